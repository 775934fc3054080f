"""A whole laptop cluster for the session: control plane, node, operator as its ServiceAccount."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.controlplane import ControlPlane, running_control_plane
from support.laptop import run, wait_for
from support.models import packaged


@dataclass(frozen=True)
class Cluster:
    """A cluster and one namespace of it."""

    plane: ControlPlane
    namespace: str
    models: dict[str, dict]

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        result = self.plane.kubectl("-n", self.namespace, *arguments, input=text, check=check)
        return result.stdout + ("" if check else result.stderr)

    def apply(self, *manifests: dict) -> None:
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def list(self, kinds: str, selector: str = "") -> list[dict[str, Any]]:
        flags = ["-l", selector] if selector else []
        return json.loads(self.kubectl("get", kinds, "-o", "json", *flags))["items"]

    def condition(self, kind: str, name: str, wanted: str) -> dict[str, Any]:
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == wanted), {"status": "absent", "reason": "", "message": ""})

    def wait_ready(self, name: str, seconds: float = 60) -> None:
        wait_for(lambda: self.condition("mdep", name, "Ready")["status"] == "True", seconds)

    def wait_reason(self, kind: str, name: str, reason: str, seconds: float = 40) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            condition = self.condition(kind, name, "Ready")
            return condition if condition["reason"] == reason else None

        return wait_for(found, seconds)

    def deploy(self, name: str, **spec: Any) -> None:
        head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}}
        self.apply({**head, "spec": {"championRef": {"name": "points-1"}, "serving": {"replicas": 1}, **spec}})

    def serve(self, name: str, **spec: Any) -> None:
        self.apply(*self.models.values())
        self.deploy(name, **spec)
        self.wait_ready(name)

    def url(self, name: str) -> str:
        return self.kingmaker("url", name).strip()

    def kingmaker(self, verb: str, *arguments: str) -> str:
        from support.controlplane import KINGMAKER

        result = run([*KINGMAKER, verb, "--dir", str(self.plane.folder), "-n", self.namespace, *arguments])
        assert result.returncode == 0, result.stderr
        return result.stdout

    def infer(self, name: str, **headers: str) -> tuple[int, dict[str, str], dict]:
        body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]}
        return self.post(f"{self.url(name)}/v2/models/{name}/infer", body, **headers)

    def post(self, url: str, body: dict, **headers: str) -> tuple[int, dict[str, str], dict]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **named})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, dict(response.headers), json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.load(error)


@pytest.fixture(scope="session")
def whole_laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Everything of `kingmaker up`; counts are looked at every second."""
    folder = tmp_path_factory.mktemp("laptop")
    with running_control_plane(folder, "--operator-arg=--evaluation-interval=1", without="") as plane:
        yield plane


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Two models of one family."""
    out: Path = tmp_path_factory.mktemp("models")
    return {name: packaged(name, out, seed=seed) for seed, name in enumerate(("points-1", "points-2"))}


@pytest.fixture
def cluster(whole_laptop: ControlPlane, models: dict[str, dict]) -> Iterator[Cluster]:
    """A fresh namespace."""
    name = f"test-{secrets.token_hex(4)}"
    whole_laptop.kubectl("create", "namespace", name)
    yield Cluster(whole_laptop, name, models)
    whole_laptop.kubectl("delete", "namespace", name, "--wait=false")
