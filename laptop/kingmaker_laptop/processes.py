"""Name processes so that never a stranger is signalled: a process id together with the moment its process began."""

import contextlib
import json
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kingmaker_laptop.files import read_json, write_private

_STATE_FIELD: Final = 0
_START_FIELD: Final = 19
"""Positions after the command's closing bracket; source: proc_pid_stat(5), fields 3 and 22."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process, now and for ever.

    Attributes:
        pid: Process id; the kernel gives it to somebody else later.
        began: Clock ticks from boot to the process's start.
        boot: Which boot of the machine.
    """

    pid: int
    began: int
    boot: str

    @property
    def is_alive(self) -> bool:
        """Whether exactly this process still runs; a zombie doesn't."""
        return record_of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        with self._opened() as descriptor:
            if descriptor is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)

    def wait(self, seconds: float) -> bool:
        """Wait until the process ended; False when the time is over first."""
        with self._opened() as descriptor:
            return descriptor is None or bool(select.select([descriptor], [], [], seconds)[0])

    def stop(self, *, grace_seconds: float) -> None:
        """End the process: politely, and after the grace period by force. Returns when it is gone."""
        self.signal(signal.SIGTERM)
        if not self.wait(grace_seconds):
            self.signal(signal.SIGKILL)
            self.wait(grace_seconds)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Hold the process by a descriptor, which can't be given to another one; None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Between the record and the descriptor the id may have changed hands, so look after opening.
            yield descriptor if self.is_alive else None
        finally:
            os.close(descriptor)


def record_of(pid: int) -> ProcessRecord | None:
    """Give the record of the process that has this id now; None when there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[_STATE_FIELD] in {"Z", "X"}:
        return None
    return ProcessRecord(pid, int(fields[_START_FIELD]), _BOOT_ID.read_text().strip())


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the id, that names it for ever. None when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_START_FIELD])
    except OSError:
        return None


def save(path: Path, record: ProcessRecord) -> None:
    """Keep a record in a file."""
    write_private(path, json.dumps({"pid": record.pid, "began": record.began, "boot": record.boot}))


def load(path: Path) -> ProcessRecord | None:
    """Read a record that was kept; None when there is no complete one."""
    document = read_json(path)
    try:
        return ProcessRecord(int(document["pid"]), int(document["began"]), str(document["boot"]))
    except (KeyError, ValueError):
        return None
