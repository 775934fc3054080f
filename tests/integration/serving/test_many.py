"""Many models in one process: each comes, changes and goes on its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from kingmaker_serving.digest import sha256
from support.onnx_models import echo
from support.requests import a_request
from support.servers import CLASSES, Server, an_address, eventually


class Fleet:
    """A server of the models in a file that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.file, self.address = folder / "models.json", an_address()
        self.log = folder / "log"
        self.entries: dict[str, dict[str, Any]] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def add(self, name: str, version: str, folder: Path, **fields: Any) -> None:
        digest = sha256((folder / "model.onnx").read_bytes())
        self.entries[name] = {
            "name": name, "version": version, "folder": str(folder), "digest": digest, "task": CLASSES
        } | fields  # fmt: skip

    def write(self) -> None:
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps({"format": "kingmaker.dev/models/v1", "models": list(self.entries.values())}))
        partial.replace(self.file)

    def start(self) -> None:
        self.write()
        command = [sys.executable, "-m", "kingmaker_serving", "serve", "--models", str(self.file)]
        command += ["--host", self.address, "--drain-seconds", "0"]
        with self.log.open("wb") as output:
            environment = os.environ | {"KINGMAKER_POD_IP": self.address}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        eventually(self.of("x").is_ready, what="readiness")

    def of(self, name: str) -> Server:
        assert self.process is not None
        return Server(self.file.parent, self.process, self.address, name, "", self.log, self.log)

    def index(self, **body: Any) -> dict[str, dict[str, str]]:
        answer = self.of("x").ask("POST", "/v2/repository/index", body)
        assert answer.status == 200
        return {entry["name"]: entry for entry in answer.json}

    def version(self, name: str) -> str:
        return str(self.of(name).infer(a_request(np.ones((1, 3), np.float32))).headers["kingmaker-model"])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    found = Fleet(tmp_path)
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.wait()


def test_models_come_change_and_go_on_their_own(fleet: Fleet, packages: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(packages["churn-1"], broken)
    fleet.add("a", "a-1", packages["churn-1"])
    fleet.add("b", "b-1", packages["churn-2"])
    fleet.add("c", "c-1", broken)
    (broken / "model.onnx").write_bytes(b"no model")
    fleet.start()

    index = fleet.index()
    assert {name: entry["state"] for name, entry in index.items()} == {"a": "READY", "b": "READY", "c": "UNAVAILABLE"}
    assert index["c"]["reason"].startswith("DigestMismatch")
    assert set(fleet.index(ready=True)) == {"a", "b"}
    assert (fleet.version("a"), fleet.version("b")) == ("a-1", "b-1")
    assert fleet.of("c").infer(a_request([[1, 2, 3]])).status == 503
    assert fleet.of("c").ask("GET", "/v2/models/c/ready").status == 503
    assert fleet.of("d").infer(a_request([[1, 2, 3]])).status == 404

    fleet.add("a", "a-2", packages["churn-2"])
    del fleet.entries["b"]
    fleet.add("d", "d-1", packages["churn-1"])
    fleet.write()
    eventually(lambda: set(fleet.index(ready=True)) == {"a", "d"} and fleet.version("a") == "a-2")
    assert fleet.of("b").infer(a_request([[1, 2, 3]])).status == 404
    assert fleet.of("a").ask("GET", "/v2/models/a/versions/a-2/ready").status == 200
    assert fleet.of("a").ask("GET", "/v2/models/a/versions/a-1/ready").status == 404


def test_a_version_that_can_not_be_served_leaves_the_one_before(fleet: Fleet, packages: dict[str, Path]) -> None:
    fleet.add("a", "a-1", packages["churn-1"])
    fleet.start()
    fleet.add("a", "a-2", packages["churn-2"], digest="sha256:" + "0" * 64)
    fleet.write()
    eventually(lambda: b"model refused" in fleet.log.read_bytes())
    assert fleet.version("a") == "a-1"


def test_each_model_has_its_own_counts(fleet: Fleet, packages: dict[str, Path]) -> None:
    fleet.add("a", "a-1", packages["churn-1"])
    fleet.add("b", "b-1", packages["churn-2"])
    fleet.start()
    for _ in range(3):
        fleet.version("a")
    fleet.version("b")
    for name, count in (("a", 3), ("b", 1)):
        profile = fleet.of(name).manage(f"/profile?model={name}").body.decode()
        assert f'model="{name}-1"' in profile
        assert f'requests_total{{decision="none",outcome="ok"}} {count}\n' in profile
    assert fleet.of("a").manage("/profile").status == 400
    metrics = fleet.of("a").manage("/metrics").body.decode()
    assert 'kingmaker_requests_total{model="a",model_version="a-1",outcome="ok"} 3.0' in metrics
    assert metrics.count("# TYPE kingmaker_requests_total counter") == 1


def test_no_request_fails_while_a_model_is_replaced(fleet: Fleet, tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        folder = tmp_path / f"echo-{number}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(echo(TensorProto.INT64, shape=("n", "m")[: number + 1]))
        folders.append(folder)
    fleet.add("e", "e-0", folders[0], task=None)
    del fleet.entries["e"]["task"]
    fleet.start()
    bodies = [{"inputs": [{"name": "x", "datatype": "INT64", "shape": shape, "data": [5]}]} for shape in ([1], [1, 1])]
    seen = set()
    for turn in range(1, 5):
        fleet.add("e", f"e-{turn}", folders[turn % 2])
        del fleet.entries["e"]["task"]
        fleet.write()

        def answered(wanted: str = f"e-{turn}") -> bool:
            answers = [fleet.of("e").infer(body) for body in bodies]
            # The two take different shapes: one of them is right whoever answers, and none is lost.
            assert {answer.status for answer in answers} <= {200, 400}
            seen.update(answer.headers["kingmaker-model"] for answer in answers)
            return {answer.headers["kingmaker-model"] for answer in answers} == {wanted}

        eventually(answered)
    assert {f"e-{turn}" for turn in range(1, 5)} <= seen


def test_a_command_line_that_says_both_or_neither_is_refused(tmp_path: Path) -> None:
    for arguments in ([], ["--models", "x.json", "--model-name", "a"]):
        command = [sys.executable, "-m", "kingmaker_serving", "serve", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "--models" in done.stderr
