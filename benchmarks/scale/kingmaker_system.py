"""Kingmaker, as the steps see it: from outside, through the API server and its metrics port."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.scale.system import REPLICAS, Collection, Document, Seat
from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop import bootstrap
from support.controlplane import CRDS, ControlPlane
from support.fakecounts import baseline_document
from support.operatorprocess import OperatorProcess, running_operator

_API: Final = "/apis/kingmaker.dev/v1alpha1"
_OURS: Final = "app.kubernetes.io/managed-by=kingmaker"
_SEEN: Final = re.compile(r"^kingmaker_decision_sequence\{", re.MULTILINE)
_QUEUED: Final = re.compile(r"^kingmaker_queue_depth (\S+)$", re.MULTILINE)
_FLAGS: Final = ("--router-replicas=2", "--pre-stop-seconds=1", "--drain-seconds=5")


@dataclass
class KingmakerController:
    """The operator's process."""

    operator: OperatorProcess
    pid: int
    started: float
    xds_port: int

    def check(self) -> None:
        """Raise with the end of its log when it has ended."""
        if self.operator.process.returncode is not None:
            raise RuntimeError(f"the operator ended:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Give the end of its log."""
        return self.operator.log.read_text()[-4000:]

    async def is_up(self) -> bool:
        """Whether its metrics are served."""
        return bool(await self.operator.exposition())

    async def kill(self) -> None:
        """Kill it; return when it is gone."""
        self.operator.process.kill()
        await self.operator.process.wait()

    async def gone_through(self) -> int:
        """Count the deployments that it has a plan for, once nothing is queued any more; 0 before it answers."""
        text = await self.operator.exposition()
        queued = _QUEUED.search(text)
        return 0 if queued is None or float(queued[1]) else len(_SEEN.findall(text))


class Kingmaker:
    """ModelDeployments with a Model each, two serving pods, two routers per namespace."""

    name = "kingmaker"
    user = f"system:serviceaccount:{bootstrap.NAMESPACE}:{bootstrap.ACCOUNT}"
    manager = "kingmaker"
    deployments = Collection(f"{_API}/modeldeployments")
    child = Collection("/apis/apps/v1/deployments", f"{_OURS},app.kubernetes.io/component=serving")
    records = Collection(f"{_API}/decisions")
    children = (
        Collection("/api/v1/serviceaccounts", _OURS),
        Collection("/api/v1/services", _OURS),
        Collection("/api/v1/configmaps", _OURS),
        Collection("/apis/networking.k8s.io/v1/networkpolicies", _OURS),
        Collection("/apis/policy/v1/poddisruptionbudgets", _OURS),
        Collection("/apis/batch/v1/jobs", _OURS),
        Collection(f"{_API}/decisions", _OURS),
        Collection("/apis/apps/v1/deployments", _OURS),
    )

    def __init__(self, *, interval: float = 30) -> None:
        """Take the evaluation interval in seconds."""
        self.interval = interval

    async def install(self, plane: ControlPlane, client: KubeClient) -> None:
        """Apply the CRDs; account and rights come with each start."""
        del plane
        definitions = [yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*.yaml"))]
        await bootstrap.apply_definitions(client, definitions)
        while not await _are_served(client, definitions):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)

    def parents(self, seat: Seat) -> list[tuple[str, Document]]:
        """Give the Model and the ModelDeployment."""
        spec = {"championRef": {"name": f"{seat.name}-1"}, "serving": {"replicas": REPLICAS}}
        return [_model(seat, 1), _object(seat, "ModelDeployment", seat.name, spec)]

    def is_ready(self, body: Document) -> bool:
        """Whether the condition Ready is True."""
        conditions = body.get("status", {}).get("conditions", ())
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def edit(self, replicas: int) -> Document:
        """Give the patch of `spec.serving`."""
        return {"spec": {"serving": {"replicas": replicas}}}

    def parent_of(self, child: Document) -> str:
        """Give the name in its labels."""
        return str(child["metadata"]["labels"]["kingmaker.dev/deployment"])

    def record_of(self, record: Document) -> tuple[str, str]:
        """Give the deployment that a Decision names."""
        return record["metadata"]["namespace"], record["spec"]["deployment"]

    def challenge(self, seat: Seat, weight: int, *, fixed: bool) -> tuple[str, list[tuple[str, Document]], Document]:
        """Give a challenger with a fixed weight, or in a stage that lasts longer than any step."""
        name = f"{seat.name}-2"
        challenger: Document = {"name": "v2", "modelRef": {"name": name}}
        if fixed:
            return name, [_model(seat, 2)], {"spec": {"challengers": [challenger | {"weight": weight}]}}
        stage = {"name": "live", "weight": weight, "minDuration": "7d"}
        contest = {"stages": [stage], "promotion": "Never"}
        return name, [_model(seat, 2)], {"spec": {"challengers": [challenger], "contest": contest}}

    @asynccontextmanager
    async def running(
        self, plane: ControlPlane, client: KubeClient, folder: Path
    ) -> AsyncIterator[KingmakerController]:
        """Run the operator as its ServiceAccount, with the chart's rights."""
        flags = (*_FLAGS, f"--evaluation-interval={self.interval}")
        async with running_operator(plane, client, folder, *flags) as operator:
            yield KingmakerController(operator, operator.process.pid, operator.started, operator.ports.xds)


async def _are_served(client: KubeClient, definitions: list[Document]) -> bool:
    try:
        return await bootstrap.are_served(client, definitions)
    except ApiError:
        return False


def _model(seat: Seat, version: int) -> tuple[str, Document]:
    name = f"{seat.name}-{version}"
    uri = f"s3://models/{seat.namespace}/{name}"
    digest = hashlib.sha256(uri.encode()).hexdigest()
    baseline = hashlib.sha256(baseline_document(name)).hexdigest()
    spec = {
        "family": seat.name,
        "version": str(version),
        "artifact": {"format": "ONNX", "uri": f"{uri}.onnx", "digest": f"sha256:{digest}"},
        "baseline": {"uri": f"{uri}.json", "digest": f"sha256:{baseline}"},
    }
    return _object(seat, "Model", name, spec)


def _object(seat: Seat, kind: str, name: str, spec: dict[str, Any]) -> tuple[str, Document]:
    path = f"{_API}/namespaces/{seat.namespace}/{kind.lower()}s"
    return path, {"apiVersion": "kingmaker.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
