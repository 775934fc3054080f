"""One run of a container, seen from the node: launch its shim, or find it again, end it, learn how it ended.

All that must survive the node is in the run's folder; a lock there, held by the shim, says whether it lives.
"""

import asyncio
import contextlib
import fcntl
import functools
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kingmaker_laptop.files import read_json, write_private
from kingmaker_laptop.node.states import Exited, Running
from kingmaker_laptop.node.times import format_time, parse_time, utc_now
from kingmaker_laptop.processes import start_ticks

logger = logging.getLogger(__name__)

SHIM: Final = Path(__file__).with_name("shim.py")
_START_SECONDS: Final = 30.0
LOST_CODE: Final = 137


@dataclass(frozen=True, slots=True)
class Command:
    """What a shim runs: everything resolved, nothing to expand.

    Attributes:
        paths: Mount paths and the real ones in their place, for commands that are run beside it later.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    paths: dict[str, str]


class Process:
    """A container's run. `exited` is done when it has ended; its result never raises."""

    def __init__(self, folder: Path, running: Running | None, shim_pid: int) -> None:
        self.folder = folder
        self.running = running
        self.exited: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
        self._shim_pid = shim_pid
        self._pidfd: int | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its end hasn't been seen."""
        return not self.exited.done()

    @functools.cached_property
    def command(self) -> Command:
        """What it was started with, for hooks and probes that run beside it."""
        return read_command(self.folder)

    def terminate(self) -> None:
        """Ask its process group to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGUSR1)

    def kill_shim(self) -> None:
        """The last resort, when the shim doesn't answer: its death takes the container along."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def watch(self, child: subprocess.Popen[bytes] | None = None, *, ticks: int | None = None) -> None:
        """Follow the shim until it ends; `ticks` is its start time, where another process may have its id by now."""
        self._child = child
        try:
            self._pidfd = os.pidfd_open(self._shim_pid)
        except ProcessLookupError:
            self._settle()
            return
        if ticks is not None and start_ticks(self._shim_pid) != ticks:
            self._settle()
            return
        asyncio.get_running_loop().add_reader(self._pidfd, self._settle)

    def forget(self) -> None:
        """Stop following; the container goes on."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _settle(self) -> None:
        self.forget()
        if self._child is not None:
            self._child.wait()
        if not self.exited.done():
            self.exited.set_result(read_exit(self.folder) or lost_exit(self.running))


async def launch(folder: Path, command: Command) -> Process:
    """Start a container in its new folder; returns once its program runs, or has failed to."""
    write_private(folder / "run.json", json.dumps(asdict(command)))
    with (folder / "shim.err").open("wb") as errors:
        child = subprocess.Popen(  # noqa: ASYNC220 - the shim must not be this loop's child; fork and exec take 1 ms
            [sys.executable, "-I", "-S", str(SHIM), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={},
        )
    try:
        await asyncio.wait_for(_first_word(child), _START_SECONDS)
    except TimeoutError:
        logger.warning("shim did not start within %s s", _START_SECONDS, extra={"folder": str(folder)})
        child.kill()
    process = Process(folder, read_running(folder), child.pid)
    process.watch(child)
    return process


async def adopt(folder: Path) -> Process | Exited:
    """Find a run again that another node process started: still running, or how it ended.

    A shim that was started but never got as far as taking its lock is stopped here from ever running.
    """
    while True:
        finished = read_exit(folder)
        if finished is not None:
            return finished
        if _give_up_unlocked(folder):
            return read_exit(folder) or lost_exit(read_running(folder))
        started = read_json(folder / "started.json")
        if started:
            process = Process(folder, read_running(folder), int(started["shim_pid"]))
            process.watch(ticks=int(started["shim_ticks"]))
            return process
        await asyncio.sleep(0.01)


def read_command(folder: Path) -> Command:
    """Read what a run was started with."""
    run = json.loads((folder / "run.json").read_text())
    return Command(tuple(run["argv"]), run["env"], run["cwd"], run["paths"])


def read_running(folder: Path) -> Running | None:
    """Read when and as what it started; None when it never did."""
    started = read_json(folder / "started.json")
    if not started:
        return None
    return Running(_moment(started["started_at"]), _container_id(started))


def read_exit(folder: Path) -> Exited | None:
    """Read how it ended; None while that isn't written."""
    ended = read_json(folder / "exit.json")
    if not ended:
        return None
    started = read_json(folder / "started.json")
    error = ended.get("error", "")
    reason = "StartError" if error else "Completed" if ended["code"] == 0 else ended.get("reason", "Error")
    return Exited(
        code=ended["code"],
        signal=ended["signal"],
        started_at=_moment(ended["started_at"]),
        finished_at=_moment(ended["written_at"]),
        reason=reason,
        message=error or ended.get("message", ""),
        container_id=_container_id(started) if started else "",
    )


def lost_exit(running: Running | None) -> Exited:
    """How a run ended that nobody saw end: the machine went down, or its shim was killed."""
    now = utc_now()
    return Exited(
        code=LOST_CODE,
        started_at=running.started_at if running else now,
        finished_at=now,
        reason="ContainerStatusUnknown",
        message="the container is gone and how it ended was not recorded",
        container_id=running.container_id if running else "",
    )


def _give_up_unlocked(folder: Path) -> bool:
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if read_exit(folder) is None:
            lost, now = lost_exit(read_running(folder)), format_time(utc_now())
            record = {"code": lost.code, "signal": 0, "reason": lost.reason, "message": lost.message}
            record |= {"started_at": format_time(lost.started_at), "written_at": now}
            write_private(folder / "exit.json", json.dumps(record))
    return True


async def _first_word(child: subprocess.Popen[bytes]) -> None:
    """Wait until the shim has said that its program runs or failed, or until the shim is gone."""
    assert child.stdout is not None
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    fd = child.stdout.fileno()
    loop.add_reader(fd, told.set)
    try:
        await told.wait()
    finally:
        loop.remove_reader(fd)
        child.stdout.close()


def _moment(text: str) -> datetime:
    # fromisoformat takes at most microseconds.
    head, dot, fraction = text.rstrip("Z").partition(".")
    return parse_time(f"{head}{dot}{fraction[:6]}+00:00")


def _container_id(started: dict[str, Any]) -> str:
    return f"process://{started['pid']}-{started['pid_ticks']}"
