"""A server as a process on one processor: started, asked until it answers right, frozen while others are measured."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.requests import Question
from support.processes import cpu_seconds, memory_mebibytes

_START_SECONDS: Final = 90
_POLL: Final = 0.002


class BenchError(Exception):
    """A step can't be measured; the others can."""


@dataclass(frozen=True, slots=True)
class Target:
    """How a server is started, and where it listens: host and port."""

    name: str
    command: Sequence[str]
    rest: str
    folder: Path
    """Its working folder, where its `log` is too."""
    grpc: str = ""
    management: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """A target that runs."""

    target: Target
    process: "subprocess.Popen[bytes]"
    began: float
    """time.monotonic() when it was started."""

    def right(self, question: Question) -> bool:
        """Ask once, on a connection of its own; False when it is not there yet.

        Raises:
            BenchError: It answers wrong.
        """
        connection = http.client.HTTPConnection(self.target.rest, timeout=10)
        try:
            connection.request("POST", question.path, question.body, dict(question.headers))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status in {404, 503}:
            return False
        if response.status != 200:
            raise BenchError(f"{self.target.name} answers {response.status}: {body[:300]!r}")
        if wrong := question.wrong(body, response.headers):
            raise BenchError(f"{self.target.name} answers wrong: {wrong}")
        return True

    def wait(self, question: Question) -> float:
        """Wait for the first right answer; give the seconds since the start."""
        while not self.right(question):
            if self.process.poll() is not None or time.monotonic() - self.began > _START_SECONDS:
                raise BenchError(f"{self.target.name} gives no right answer; its log ends with: {self.log_tail()}")
            time.sleep(_POLL)
        return time.monotonic() - self.began

    def log_tail(self) -> str:
        """Give the end of what it wrote."""
        return (self.target.folder / "log").read_text(errors="replace")[-1500:]

    def pids(self) -> list[int]:
        """Give the process and all that descend from it."""
        children: dict[int, list[int]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(path.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu(self) -> float:
        """CPU seconds since the start, of all its processes."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def manage(self, path: str) -> bytes:
        """Read a page of the management port.

        Raises:
            BenchError: It is not there.
        """
        connection = http.client.HTTPConnection(self.target.management, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise BenchError(f"{self.target.name} answers {response.status} to {path}: {body[:300]!r}")
        return body

    def forget_highest(self) -> None:
        """Let the highest memory count from now on."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory of all its processes in MiB, now or at its highest (`VmHWM`)."""
        return sum(memory_mebibytes(pid, field) for pid in self.pids())

    def _send(self, number: int) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        """Stop it, so that it costs nobody anything."""
        self._send(signal.SIGSTOP)

    @contextlib.contextmanager
    def thawed(self) -> Iterator["Server"]:
        """Let it run while the block does."""
        self._send(signal.SIGCONT)
        try:
            yield self
        finally:
            self.freeze()

    def end(self) -> None:
        """End it and all its processes."""
        pids = self.pids()
        self._send(signal.SIGCONT)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=15)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def spawn(command: Sequence[str], core: int, nice: int, **options: Any) -> "subprocess.Popen[Any]":
    """Start a program on one processor, in a session of its own."""
    pinned = ["taskset", "-c", str(core), "nice", "-n", str(nice), *command]
    process: subprocess.Popen[Any] = subprocess.Popen(pinned, start_new_session=True, **options)
    _prefer(process.pid, nice)
    return process


def _prefer(pid: int, nice: int) -> None:
    """Make a process's session nice: where Linux groups processes by session, a process is nice to its group alone."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def start(target: Target, core: int, *, nice: int = 0) -> Server:
    """Start a target on one processor."""
    target.folder.mkdir(parents=True, exist_ok=True)
    # What a library would start one thread per processor for is one thread here, for everybody.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **target.environment}
    with (target.folder / "log").open("wb") as log:
        began = time.monotonic()
        process = spawn(target.command, core, nice, stdout=log, stderr=log, env=environment, cwd=target.folder)
    return Server(target, process, began)


@contextlib.contextmanager
def running(target: Target, core: int, question: Question, *, nice: int = 0) -> Iterator[Server]:
    """Run a target while the block does, from when it answers right."""
    server = start(target, core, nice=nice)
    try:
        server.wait(question)
        for pid in server.pids():
            _prefer(pid, nice)
        yield server
    finally:
        server.end()
