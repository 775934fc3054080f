"""Real serving processes for tests: each on a loopback address of its own, asked over HTTP."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kingmaker_serving.digest import sha256

T = TypeVar("T")
DEADLINE_SECONDS = 30.0
PORT, MANAGEMENT = 8080, 8082
CLASSES = {"type": "Classification", "label": "label", "score": "probabilities"}
_numbers = itertools.count(1)


def an_address() -> str:
    """A loopback address that no other process of this test run uses."""
    number = next(_numbers)
    return f"127.{160 + os.getpid() % 16}.{os.getpid() // 16 % 250 + 1}.{number % 250 + 1}"


def eventually(ask: Callable[[], T], *, what: str = "it", seconds: float = DEADLINE_SECONDS) -> T:
    """Give the first truthy value of `ask`."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := ask():
                return found
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["kingmaker-request-id"]


@dataclass
class Server:
    """One `kingmaker-serving serve`."""

    folder: Path
    process: subprocess.Popen[bytes]
    address: str
    model: str
    version: str
    log: Path
    termination_log: Path
    options: dict[str, Any] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: Any = None, *, port: int = PORT, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection(self.address, port, timeout=DEADLINE_SECONDS)
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json"} | dict(headers or {}) if raw is not None else dict(headers or {})
        try:
            connection.request(method, path, body=raw, headers=named)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def infer(self, body: Any, *, decision: int | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        stamped = {} if decision is None else {"kingmaker-decision": str(decision)}
        return self.ask("POST", f"/v2/models/{self.model}/infer", body, headers=stamped | dict(headers or {}))

    def feedback(self, body: Any) -> Answer:
        return self.ask("POST", f"/v2/models/{self.model}/feedback", body)

    def manage(self, path: str) -> Answer:
        return self.ask("GET", path, port=MANAGEMENT)

    def counts(self) -> dict[str, int]:
        """Samples of `/profile` by name and labels, without the common prefix."""
        lines = self.manage("/profile").body.decode().splitlines()
        pairs = (line.removeprefix("kingmaker_profile_").rpartition(" ") for line in lines)
        return {key: int(value) for key, _, value in pairs if not key.startswith(("start_time", "info"))}

    def total(self, prefix: str) -> int:
        """Sum of the samples whose name and labels begin like this."""
        return sum(count for key, count in self.counts().items() if key.startswith(prefix))

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.manage("/readyz").status == 200

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE_SECONDS)


def a_folder(tmp_path: Path, onnx: bytes) -> Path:
    """Give a folder with a model and nothing else, as `fetch` leaves it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx)
    return folder


def digests(folder: Path) -> list[str]:
    """Arguments for the files that a folder has."""
    arguments = []
    model = "manifest.json" if (folder / "manifest.json").is_file() else "model.onnx"
    for part, name in (("model", model), ("baseline", "baseline.json"), ("examples", "examples.json")):
        if (folder / name).is_file():
            arguments += [f"--{part}-digest", sha256((folder / name).read_bytes())]
    return arguments


def run_verb(verb: str, *arguments: str, log: Path | None = None) -> tuple[int, Any, str]:
    """Run a verb to its end: exit code, termination message, stderr."""
    named = ["--termination-log", str(log)] if log else []
    done = subprocess.run(
        [sys.executable, "-m", "kingmaker_serving", verb, *arguments, *named], capture_output=True, check=False
    )
    message = json.loads(log.read_bytes()) if log and log.exists() else None
    return done.returncode, message, done.stderr.decode()


@contextlib.contextmanager
def a_server(folder: Path, *arguments: str, ready: bool = True, **fields: Any) -> Iterator[Server]:
    """Start a server on a folder of files and end it.

    Args:
        folder: Of model.onnx and what else there is.
        arguments: Further ones of `serve`.
        ready: Wait for readiness.
        fields: `name`, `version`, `task`, `address`, `keys`.
    """
    address = fields.get("address") or an_address()
    name, version = fields.get("name", "churn"), fields.get("version", "churn-1")
    own = folder.parent / f"server-{address}"
    own.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "kingmaker_serving", "serve", "--dir", str(folder), *digests(folder)]
    command += ["--model-name", name, "--model-version", version, "--host", address]
    command += ["--drain-seconds", "0", "--termination-log", str(own / "termination-log"), *arguments]
    if fields.get("keys"):
        command += ["--id-keys", str(fields["keys"])]
    if fields.get("task"):
        command += ["--task", json.dumps(fields["task"])]
    environment = os.environ | {
        "KINGMAKER_POD_NAME": f"pod-{version}",
        "KINGMAKER_POD_IP": address,
    }
    log = own / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    server = Server(folder, process, address, name, version, log, own / "termination-log")
    try:
        if ready:
            eventually(server.is_ready, what="readiness")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
