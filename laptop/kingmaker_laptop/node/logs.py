"""Read what a container wrote, as the container runtime interface stores it, with the options of `kubectl logs`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from kingmaker_laptop.node.times import parse_time

_POLL_SECONDS: Final = 0.15
_FALLBACK_LINES: Final = 80
_FALLBACK_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Options of a log request.

    Attributes:
        tail_lines: Only that many lines from the end.
        since: Only lines written at or after this time.
        limit_bytes: Stop after that many bytes.
        stream: `stdout`, `stderr`, or empty for both.
    """

    is_following: bool = False
    has_timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as stored."""

    time: bytes
    stream: bytes
    is_whole: bool
    text: bytes


def read_entries(folder: Path) -> Iterator[Entry]:
    """Read a run's log, the rotated part first."""
    for name in ("log.1", "log"):
        try:
            with (folder / name).open("rb") as file:
                yield from (parse_entry(line) for line in file if line.endswith(b"\n"))
        except FileNotFoundError:
            continue


def parse_entry(line: bytes) -> Entry:
    """Read `<time> <stream> <F|P> <text>`."""
    time, stream, tag, text = line.removesuffix(b"\n").split(b" ", 3)
    return Entry(time, stream, tag == b"F", text)


def last_output(folder: Path) -> str:
    """The end of the log, for `terminationMessagePolicy: FallbackToLogsOnError`: 80 lines, 2048 bytes at most."""
    lines = [entry.text for entry in read_entries(folder)][-_FALLBACK_LINES:]
    return b"\n".join(lines)[-_FALLBACK_BYTES:].decode(errors="replace")


async def stream_log(folder: Path, options: LogOptions, *, is_running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the log in pieces; when following, until the container has ended and all is read."""
    left = options.limit_bytes
    async for entry in _chosen(folder, options, is_running):
        piece = _format(entry, options)
        if left is not None:
            piece, left = piece[:left], left - len(piece)
        if piece:
            yield piece
        if left is not None and left <= 0:
            return


async def _chosen(folder: Path, options: LogOptions, is_running: Callable[[], bool]) -> AsyncIterator[Entry]:
    # Opened before the past is read: what is written from then on is found by going on from here.
    tail = _Tail(folder / "log")
    try:
        past = [entry for entry in _rotated(folder) + tail.read() if _matches(entry, options)]
        for entry in _last_lines(past, options.tail_lines):
            yield entry
        while options.is_following:
            was_running = is_running()
            found = tail.read()
            for entry in found:
                if _matches(entry, options):
                    yield entry
            if not found and not was_running:
                return
            await asyncio.sleep(0 if found else _POLL_SECONDS)
    finally:
        tail.close()


def _rotated(folder: Path) -> list[Entry]:
    try:
        with (folder / "log.1").open("rb") as file:
            return [parse_entry(line) for line in file]
    except FileNotFoundError:
        return []


class _Tail:
    """Reads a growing file, and goes on with its successor when it is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> list[Entry]:
        """What has been added since the last call."""
        if self._file is None and not self._open():
            return []
        lines = self._take()
        if self._is_rotated():
            lines += self._take()
            self.close()
            if self._open():
                lines += self._take()
        return [parse_entry(line) for line in lines]

    def _take(self) -> list[bytes]:
        assert self._file is not None
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines

    def _is_rotated(self) -> bool:
        assert self._file is not None
        try:
            return self._path.stat().st_ino != Path(f"/proc/self/fd/{self._file.fileno()}").stat().st_ino
        except FileNotFoundError:
            return False

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _matches(entry: Entry, options: LogOptions) -> bool:
    if options.stream and entry.stream.decode() != options.stream:
        return False
    return options.since is None or _written_at(entry) >= options.since


def _written_at(entry: Entry) -> datetime:
    head, _, fraction = entry.time.decode().rstrip("Z").partition(".")
    return parse_time(f"{head}.{fraction[:6]}+00:00")


def _last_lines(entries: list[Entry], count: int | None) -> list[Entry]:
    """The last lines; pieces of one long line count as one."""
    if count is None:
        return entries
    start, lines = len(entries), 0
    for index in range(len(entries) - 1, -1, -1):
        lines += entries[index].is_whole
        if lines > count:
            break
        start = index
    return entries[start:] if count > 0 else []


def _format(entry: Entry, options: LogOptions) -> bytes:
    text = entry.text + (b"\n" if entry.is_whole else b"")
    return entry.time + b" " + text if options.has_timestamps else text
