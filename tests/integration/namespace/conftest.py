"""An operator as a process, at a real control plane whose garbage collector runs, and a node whose pods are ready."""

import asyncio
import ipaddress
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.addresses import Addresses
from kingmaker_laptop.home import Home as Folder
from kingmaker_laptop.ports import read_ports
from support.controlplane import ControlPlane
from support.fakenode import FakeNode, fake_node
from support.operatorprocess import OperatorProcess, running_operator
from support.routers import eventually

API_VERSION = "kingmaker.dev/v1alpha1"
SHARED = "deployments,poddisruptionbudgets,networkpolicies,serviceaccounts"
ROUTER = {"Deployment kingmaker-router", "NetworkPolicy kingmaker-router", "PodDisruptionBudget kingmaker-router"}
WORKLOAD = {"NetworkPolicy kingmaker-jobs", "ServiceAccount kingmaker-workload"}

Operating = Callable[[], AbstractAsyncContextManager[OperatorProcess]]


@dataclass(frozen=True)
class Home:
    """A namespace, as its owner sees it."""

    plane: ControlPlane
    name: str

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        result = self.plane.kubectl("-n", self.name, *arguments, input=text, check=check)
        return result.stdout + ("" if check else result.stderr)

    def apply(self, *bodies: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)}))

    def list(self, kinds: str, selector: str = "") -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kinds, "-o", "json", *(["-l", selector] if selector else [])))["items"]

    def shared(self) -> set[str]:
        """What the operator made for the namespace as a whole, as `Kind name`."""
        found = self.list(SHARED, "app.kubernetes.io/managed-by=kingmaker")
        return {
            f"{item['kind']} {item['metadata']['name']}"
            for item in found
            if "kingmaker.dev/deployment-uid" not in item["metadata"]["labels"]
        }

    async def ready(self, *names: str) -> None:
        """Wait until these deployments are ready."""
        wanted = [*(f"mdep/{name}" for name in names), "--for=condition=Ready", "--timeout=60s"]
        await asyncio.to_thread(self.kubectl, "wait", *wanted)

    async def has(self, wanted: set[str], what: str, seconds: float = 60) -> None:
        """Wait until exactly these shared objects are there."""
        await eventually(lambda: self.shared() == wanted, f"{what}: {wanted}", seconds=seconds)


def a_model(name: str, letter: str = "a", **extra: Any) -> dict[str, Any]:
    artifact = {"format": "ONNX", "uri": f"s3://models/{name}.onnx", "digest": "sha256:" + letter * 64}
    spec = {"family": "points", "version": "1", "artifact": artifact, **extra}
    return {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": name}, "spec": spec}


def a_deployment(name: str, champion: str = "m", **extra: Any) -> dict[str, Any]:
    spec = {"championRef": {"name": champion}, "serving": {"replicas": 1}, **extra}
    return {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def client(crds: ControlPlane) -> AsyncIterator[KubeClient]:
    async with KubeClient(read_kubeconfig(crds.kubeconfig), agent="test") as found:
        yield found


@pytest.fixture
def home(crds: ControlPlane, namespace: str) -> Home:
    return Home(crds, namespace)


@pytest.fixture
def operating(crds: ControlPlane, client: KubeClient, tmp_path: Path) -> Operating:
    """Runs the operator in a block, as often as asked."""

    def run() -> AbstractAsyncContextManager[OperatorProcess]:
        return running_operator(crds, client, tmp_path, "--evaluation-interval=1", "--router-replicas=2")

    return run


@pytest.fixture
async def node(crds: ControlPlane, client: KubeClient) -> AsyncIterator[FakeNode]:
    """A node whose pods are ready at once, routers among them."""
    ports = read_ports(Folder(crds.folder))
    assert ports is not None
    service = await client.get("/api/v1/namespaces/default/services/kubernetes")
    network = Addresses(ipaddress.ip_address(service["spec"]["clusterIP"]).packed[1] - 100).pods
    with tempfile.TemporaryDirectory(prefix="km") as sockets:
        async with fake_node(client, network=network, xds_port=ports.xds, folder=Path(sockets)) as running:
            yield running
