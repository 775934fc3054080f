"""Loads on a server, from another processor, and what came of them.

`wrk` for requests per second, the loader in `loader/` for times at a given rate, `ghz` for gRPC.
"""

import json
import resource
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.serving import programs
from benchmarks.serving.process import BenchError, Server, spawn
from benchmarks.serving.requests import Question, wire

CONNECTIONS: Final = 32
FEW: Final = 8
"""Connections for large requests."""
_WRK: Final = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the answers with one status: how many, and their times in seconds."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load."""

    right: int
    """Answers with status 200, or OK."""
    failed: int
    """All others, and requests that got none."""
    seconds: float
    server_cpu: float
    """Processors that the server used. A closed loop with less than one had to share it with others."""
    load_cpu: float
    """Likewise the program that made the load: near one it was the limit."""
    statuses: dict[str, Latencies] = field(default_factory=dict)
    error: str = ""

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return self.right / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Right answers per second that the server used a processor, whatever else ran there."""
        return self.right / (self.seconds * self.server_cpu) if self.server_cpu else 0.0

    @property
    def ok(self) -> Latencies:
        """Times of the right answers."""
        return self.statuses["200"]

    @property
    def seen(self) -> dict[str, Any]:
        """Give everything, for the file."""
        return {"rate": round(self.rate, 1), "per_cpu_second": round(self.per_cpu_second, 1), **asdict(self)}

    def insist(self, name: str) -> "Load":
        """Refuse a load with failures: a fast error is no throughput.

        Raises:
            BenchError: There were some.
        """
        if self.failed or not self.right:
            raise BenchError(f"{name} answered {self.right} right, and failed {self.failed}: {self.error or self.seen}")
        return self


@dataclass(frozen=True, slots=True)
class Generator:
    """Makes loads from one processor; `folder` is for its files."""

    core: int
    folder: Path
    needs_wrk: bool = True
    """Else the loader stands in where there is no wrk."""
    nice: int = 0

    def peak(
        self, server: Server, questions: Sequence[Question], seconds: float, connections: int = CONNECTIONS
    ) -> Load:
        """Ask as fast as answers come, with wrk; what is longer than a second, after one that is not counted.

        Raises:
            BenchError: There is no wrk.
        """
        wrk = programs.wrk()
        if wrk is None:
            if self.needs_wrk:
                raise BenchError("there is no `wrk` on this machine: `apt-get install wrk`, or as your system calls it")
            return self.paced(server, list(questions), seconds, connections=connections)
        lines = [len(questions), questions[0].path, len(questions[0].headers)]
        lines += [f"{name}: {value}" for name, value in questions[0].headers.items()]
        file = self.folder / "questions"
        head = "".join(f"{line}\n" for line in lines).encode()
        file.write_bytes(head + b"".join(struct.pack("<I", len(one.body)) + one.body for one in questions))
        command = [
            wrk,
            "-t1",
            f"-c{connections}",
            "-s",
            str(_WRK),
            f"http://{server.target.rest}",
            str(file),
        ]
        if seconds > 1:
            self._run([*command, "-d1s"], server)
        return self._run([*command, f"-d{seconds:.0f}s"], server, _read_wrk)

    def paced(self, server: Server, questions: list[Question], seconds: float, **options: Any) -> Load:
        """Ask with the loader; options are its own: `rate`, `connections`, `count`, `late`, `spin`, `log`."""
        file = self.folder / "wire"
        file.write_bytes(wire(questions, server.target.rest))
        command = [str(programs.loader()), f"-address={server.target.rest}", f"-requests={file}", f"-seconds={seconds}"]
        for name, value in options.items():
            command.append(f"-{name}={str(value).lower() if isinstance(value, bool) else value}")
        return self._run(command, server, _read_loader)

    def grpc(self, server: Server, message: Any, seconds: float, connections: int = CONNECTIONS) -> Load:
        """Ask over gRPC as fast as answers come, with ghz."""
        (self.folder / "message").write_bytes(message.SerializeToString())
        protoset = self.folder / "protoset"
        protoset.write_bytes(_descriptors(message.DESCRIPTOR.file))
        command = [str(programs.ghz()), "--insecure", f"--protoset={protoset}", "--format=json", "--cpus=1"]
        command += ["--call=inference.GRPCInferenceService/ModelInfer", f"--binary-file={self.folder / 'message'}"]
        command += [f"--concurrency={connections}", f"--connections={connections}", "--duration-stop=wait"]
        self._run([*command, "--duration=500ms", server.target.grpc], server)
        return self._run([*command, f"--duration={seconds}s", server.target.grpc], server, _read_ghz)

    def _run(self, command: list[str], server: Server, read: "Callable[[str], Load] | None" = None) -> Load:
        cpu, before, began = server.cpu(), _children(), time.monotonic()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with spawn(command, self.core, self.nice, text=True, **pipes) as process:
            output, errors = process.communicate()
        seconds = time.monotonic() - began
        if process.returncode:
            raise BenchError(f"{Path(command[0]).name}: {errors[-1000:]}{output[-1000:]}")
        if read is None:
            return Load(0, 0, seconds, 0, 0)
        seen = read(output)
        used, made = server.cpu() - cpu, _children() - before
        return Load(seen.right, seen.failed, seen.seconds, used / seconds, made / seconds, seen.statuses, seen.error)


def read_log(file: Path) -> np.ndarray:
    """Read the loader's log: for every answer when it was due, its time (both ns), its status."""
    return np.fromfile(file, dtype="<i8").reshape(-1, 3)


def _read_wrk(output: str) -> Load:
    found = json.loads(output.splitlines()[-1])
    latencies = Latencies(**found["latencies"])
    return Load(found["right"], found["failed"], found["seconds"], 0, 0, {"200": latencies}, json.dumps(found))


def _read_loader(output: str) -> Load:
    found = json.loads(output)
    statuses = {status: Latencies(**latencies) for status, latencies in found["statuses"].items()}
    right = statuses["200"].count if "200" in statuses else 0
    failed = sum(latencies.count for latencies in statuses.values()) - right
    return Load(right, failed, found["seconds"], 0, 0, statuses, found["error"])


def _read_ghz(output: str) -> Load:
    found = json.loads(output)
    right = found["statusCodeDistribution"].get("OK", 0)
    times = {one["percentage"]: one["latency"] / 1e9 for one in found["latencyDistribution"] or ()}
    times = {percent: times.get(percent, 0.0) for percent in (50, 90, 99)}
    latencies = Latencies(right, times[50], times[90], times[99], times[99], found["slowest"] / 1e9)
    error = json.dumps(found["errorDistribution"])
    return Load(right, found["count"] - right, found["total"] / 1e9, 0, 0, {"200": latencies}, error)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _descriptors(file: Any) -> bytes:
    """Give a FileDescriptorSet of a proto file and all that it imports."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet  # noqa: PLC0415

    made, seen = FileDescriptorSet(), set()

    def add(one: Any) -> None:
        if one.name in seen:
            return
        seen.add(one.name)
        for dependency in one.dependencies:
            add(dependency)
        one.CopyToProto(made.file.add())

    add(file)
    return made.SerializeToString()
