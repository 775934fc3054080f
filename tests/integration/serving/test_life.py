"""A server's life: loading, refusing what must not be served, draining."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.onnx_models import a_classifier, endless
from support.requests import a_request
from support.servers import Server, digests, eventually, run_verb


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def failed(server: Server) -> Any:
    assert server.process.wait(timeout=30) == 1
    return json.loads(server.termination_log.read_bytes())


@pytest.mark.parametrize("file", ["model.onnx", "baseline.json", "examples.json"])
def test_other_bytes_than_promised_are_never_parsed(
    serve: Any, packages: dict[str, Path], tmp_path: Path, file: str
) -> None:
    folder = copied(packages["churn-1"], tmp_path / "model")
    promised = digests(folder)
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    server = serve(folder, *promised, ready=False)
    message = failed(server)
    assert message["reason"] == "DigestMismatch"
    assert message["message"].startswith(f"{file} has digest sha256:")


@pytest.mark.parametrize("kind", ["symbolic", "hard", "none", "folder"])
def test_links_and_what_is_no_file_are_refused(
    serve: Any, packages: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    folder = copied(packages["churn-1"], tmp_path / "model")
    model, elsewhere = folder / "model.onnx", tmp_path / "elsewhere"
    promised = digests(folder)
    model.replace(elsewhere)
    if kind == "symbolic":
        model.symlink_to(elsewhere)
    elif kind == "hard":
        os.link(elsewhere, model)
    elif kind == "folder":
        model.mkdir()
    server = serve(folder, *promised, ready=False)
    message = failed(server)
    assert message["reason"] == "DigestMismatch"
    assert "plain file" in message["message"]


def test_a_model_that_fails_its_examples_never_becomes_ready(
    serve: Any, packages: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(packages["churn-1"], tmp_path / "model")
    (folder / "model.onnx").write_bytes(a_classifier(seed=5, flipped=True)[0])
    server = serve(folder, ready=False)
    assert failed(server)["reason"] == "ExampleMismatch"


def test_a_port_that_is_taken_is_said(serve: Any, packages: dict[str, Path]) -> None:
    first = serve(packages["churn-1"])
    second = serve(packages["churn-2"], address=first.address, ready=False)
    message = failed(second)
    assert "can't listen on" in message["message"]
    assert first.is_ready()


def test_being_ended_while_loading_is_no_failure(serve: Any, packages: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(packages["churn-1"], tmp_path / "model")
    (folder / "model.onnx").write_bytes(endless())
    (folder / "baseline.json").unlink()
    example = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "outputs": []}
    document = {"format": "kingmaker.dev/examples/v1", "examples": [example]}
    (folder / "examples.json").write_text(json.dumps(document))
    server = serve(folder, ready=False, task=None)
    eventually(lambda: server.manage("/livez").status == 200)
    assert server.manage("/readyz").body == b"loading"
    assert server.manage("/profile").status == 503
    assert server.end() == 0


def test_a_draining_server_answers_on_and_says_that_it_goes(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    server = serve(packages["churn-1"], "--drain-seconds", "10")
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.manage("/readyz").status == 503)
    assert server.ask("GET", "/v2/health/ready").status == 503
    answer = server.infer(a_request(rows))
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert server.process.wait(timeout=30) == 0


class Router:
    """What a router does: prefers servers that are ready, and keeps connections open until they are closed."""

    def __init__(self, servers: list[Server], body: bytes) -> None:
        self.servers, self.body = servers, body
        self.answered: dict[str, int] = {}
        self.failures: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        connections: dict[str, http.client.HTTPConnection] = {}
        turn = 0
        while not self.stop.is_set():
            ready = [server for server in self.servers if self.sees_ready(server)]
            turn += 1
            server = ready[turn % len(ready)]
            connection = connections.get(server.address)
            if connection is None:
                connection = connections[server.address] = http.client.HTTPConnection(server.address, 8080, timeout=20)
            try:
                headers = {"content-type": "application/json"}
                connection.request("POST", "/v2/models/churn/infer", body=self.body, headers=headers)
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    self.failures.append(str(response.status))
                if response.getheader("connection") == "close":
                    connections.pop(server.address).close()
                self.answered[server.address] = self.answered.get(server.address, 0) + 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connections.pop(server.address, None)
        for connection in connections.values():
            connection.close()

    @staticmethod
    def sees_ready(server: Server) -> bool:
        try:
            return server.manage("/readyz").status == 200
        except OSError:
            return False


def test_no_request_fails_while_a_server_drains_under_load(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    servers = [serve(packages["churn-1"], "--drain-seconds", "20") for _ in range(2)]
    router = Router(servers, json.dumps(a_request(rows)).encode())
    threads = [threading.Thread(target=router.run) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: all(router.answered.get(server.address, 0) > 20 for server in servers))
    told = time.monotonic()
    assert servers[0].end() == 0
    assert time.monotonic() - told < 10
    after = router.answered[servers[1].address]
    eventually(lambda: router.answered[servers[1].address] > after + 50)
    router.stop.set()
    for thread in threads:
        thread.join()
    assert router.failures == []
    assert servers[1].total("requests_total") == router.answered[servers[1].address]


def test_a_server_ends_as_soon_as_nobody_asks_it(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"], "--drain-seconds", "60")
    connection = http.client.HTTPConnection(server.address, 8080, timeout=20)
    connection.request("GET", "/v2/health/live")
    connection.getresponse().read()
    told = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - told < 5
    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_client_that_never_stops_is_left_when_the_drain_is_over(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    server = serve(packages["churn-1"], "--drain-seconds", "3")
    told = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    while server.process.poll() is None and time.monotonic() < told + 20:
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.infer(a_request(rows))
    assert 3 <= time.monotonic() - told < 10


@pytest.mark.parametrize(("drain", "status"), [("20", 504), ("0", 503)])
def test_what_is_in_flight_has_as_long_as_the_drain(serve: Any, tmp_path: Path, drain: str, status: int) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(endless())
    server = serve(folder, "--deadline-seconds", "3", "--drain-seconds", drain, task=None)
    statuses: list[int] = []
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    thread = threading.Thread(target=lambda: statuses.append(server.infer(body).status))
    thread.start()
    eventually(lambda: b"kingmaker_requests_in_flight" in (text := server.manage("/metrics").body) and
               b'kingmaker_requests_in_flight{model="churn",model_version="churn-1"} 1.0' in text)  # fmt: skip
    server.process.send_signal(signal.SIGTERM)
    thread.join()
    assert statuses == [status]
    assert server.process.wait(timeout=30) == 0


def test_logs_are_one_json_object_per_line_and_hold_no_payload(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    server = serve(packages["churn-1"], "--log-level", "debug")
    server.infer(a_request(rows + np.float32(0.123456)))
    server.infer(b'{"secret": 4711')
    server.end()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {"loaded", "ready", "draining", "ended"} <= {line["message"] for line in lines}
    assert "4711" not in server.log.read_text()
    assert "0.123456" not in server.log.read_text()


def test_verify_is_the_same_check_without_serving(packages: dict[str, Path], tmp_path: Path) -> None:
    folder = packages["churn-1"]
    code, found, _ = run_verb("verify", "--dir", str(folder), *digests(folder), log=tmp_path / "log")
    assert code == 0
    assert (found["opset"], found["examples"], found["baseline"]["rows"]) == (18, 5, 400)
