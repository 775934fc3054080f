"""The number of pods changes hands on a real API server with Kubernetes' own autoscaler, and no pod is lost by it."""

import asyncio
import ipaddress
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker.kube.reflector import LocalCopy, Reflector
from kingmaker_laptop.addresses import Addresses
from support.controlplane import ControlPlane, running_control_plane, with_crds
from support.fakenode import fake_node
from support.operatorprocess import OperatorProcess, running_operator

APPLY = "application/apply-patch+yaml"
SCALING = {"minReplicas": 2, "maxReplicas": 6, "targetCPUPercent": 70}
HPA_SECONDS = 60
"""The autoscaler answers every change after 15 seconds; four times that for a busy machine."""


@dataclass
class Seat:
    """One ModelDeployment, and every number of pods that its variants were given, in order."""

    client: KubeClient
    operator: OperatorProcess
    namespace: str
    numbers: dict[str, list[int]] = field(default_factory=dict)

    async def apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        path = self.path(f"kingmaker.dev/v1alpha1/{kind.lower()}s/{name}")
        await self.client.patch(f"{path}?fieldManager=person&force=true", body, kind=APPLY)

    async def model(self, name: str, letter: str) -> None:
        artifact = {"format": "ONNX", "uri": f"s3://models/{name}.onnx", "digest": "sha256:" + letter * 64}
        await self.apply("Model", name, {"family": "seat", "version": "1", "artifact": artifact})

    async def serve(self, serving: dict[str, Any], **spec: Any) -> None:
        await self.apply("ModelDeployment", "seat", {"championRef": {"name": "a"}, "serving": serving, **spec})

    async def status(self) -> dict[str, Any]:
        body = await self.client.get(self.path("kingmaker.dev/v1alpha1/modeldeployments/seat"))
        return body.get("status", {})

    async def condition(self, kind: str) -> dict[str, Any]:
        conditions = (await self.status()).get("conditions", ())
        return next((c for c in conditions if c["type"] == kind), {})

    async def is_ready(self) -> bool:
        return (await self.condition("Ready")).get("status") == "True"

    async def replicas(self, model: str) -> int:
        body = await self.client.get(self.path(f"apps/v1/deployments/seat-{model}"))
        return int(body["spec"]["replicas"])

    async def owners(self, model: str) -> set[str]:
        """Who owns `spec.replicas`, by the API server's own account."""
        body = await self.client.get(self.path(f"apps/v1/deployments/seat-{model}"))
        entries = body["metadata"]["managedFields"]
        return {e["manager"] for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})}

    async def autoscalers(self) -> dict[str, dict[str, Any]]:
        found = await self.client.get(self.path("autoscaling/v2/horizontalpodautoscalers"))
        return {item["metadata"]["name"]: item["spec"] for item in found["items"]}

    def path(self, tail: str) -> str:
        """Path in this namespace of `group/version/plural/...`."""
        group, version, rest = tail.split("/", 2)
        return f"/apis/{group}/{version}/namespaces/{self.namespace}/{rest}"

    async def given(self, model: str) -> list[int]:
        """Every number of pods that a variant was given, as far as the watch told."""
        return self.numbers.get(model, [])

    def see(self, body: dict[str, Any], gone: bool) -> None:
        seen = self.numbers.setdefault(body["metadata"]["name"].removeprefix("seat-"), [])
        if not gone and seen[-1:] != [body["spec"]["replicas"]]:
            seen.append(body["spec"]["replicas"])


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: on the one that all share pods start nowhere."""
    with running_control_plane(tmp_path_factory.mktemp("controlplane")) as running:
        yield running


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> ControlPlane:
    """The same, with the project's CRDs served."""
    return with_crds(control_plane)


@pytest.fixture
async def seat(crds: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Seat]:
    """A seat whose pods start nothing, with the operator and Kubernetes' autoscaler at work."""
    async with KubeClient(read_kubeconfig(crds.kubeconfig), agent="test") as client:
        service = await client.get("/api/v1/namespaces/default/services/kubernetes")
        network = Addresses(ipaddress.ip_address(service["spec"]["clusterIP"]).packed[1] - 100).pods
        flags = (
            *("--router-replicas=1", "--pre-stop-seconds=1", "--drain-seconds=1"),
            *("--evaluation-interval=1", f"--namespaces={namespace}"),
        )
        with tempfile.TemporaryDirectory(prefix="km") as sockets:
            async with (
                running_operator(crds, client, tmp_path, *flags) as operator,
                fake_node(client, network=network, xds_port=operator.ports.xds, folder=Path(sockets)),
            ):
                found = Seat(client, operator, namespace)
                await found.model("a", "a")
                await found.model("b", "b")
                async with asyncio.TaskGroup() as group:
                    collection = found.path("apps/v1/deployments")
                    watch = {"labelSelector": "app.kubernetes.io/component=serving"}
                    reflector = Reflector(client, collection, LocalCopy(found.see), params=watch)
                    task = group.create_task(reflector.run())
                    yield found
                    task.cancel()


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = HPA_SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.1)


async def test_the_number_of_pods_changes_hands_without_a_pod_being_lost(seat: Seat) -> None:
    await seat.serve({"replicas": 4})
    await eventually(seat.is_ready)
    assert await seat.owners("a") == {"kingmaker"}

    await seat.serve({"autoscaling": SCALING})

    async def handed_over() -> bool:
        return "seat-a" in await seat.autoscalers() and "kingmaker" not in await seat.owners("a")

    await eventually(handed_over)
    assert await seat.owners("a") == {"kingmaker-handover"}
    assert await seat.given("a") == [4]

    # Five at least: now it is the autoscaler who writes.
    await seat.serve({"autoscaling": SCALING | {"minReplicas": 5}})
    await eventually(lambda: _is(seat.replicas("a"), 5))
    assert await seat.owners("a") == {"kube-controller-manager"}

    # There is no metrics API here: said, and no reason to be unready.
    await eventually(lambda: _has(seat.condition("AutoscalingActive"), "MetricsUnavailable"))
    assert "install metrics-server" in (await seat.condition("AutoscalingActive"))["message"]
    await eventually(seat.is_ready)

    await seat.serve({"replicas": 3})
    await eventually(lambda: _is(seat.owners("a"), {"kingmaker"}))
    assert await seat.autoscalers() == {}
    # Status is written after the children, and a watch tells what was written a moment later.
    await eventually(lambda: _is(seat.condition("AutoscalingActive"), {}))
    await eventually(lambda: _is(seat.given("a"), [4, 5, 3]))


async def test_a_new_variant_begins_with_what_its_weight_needs(seat: Seat) -> None:
    await seat.serve({"autoscaling": SCALING | {"minReplicas": 3}})
    await eventually(seat.is_ready)
    challenger = {"name": "b", "modelRef": {"name": "b"}, "weight": 40}
    await seat.serve({"autoscaling": SCALING | {"minReplicas": 3}}, challengers=[challenger])

    async def is_split() -> bool:
        return (await seat.status()).get("traffic") == "60/40"

    await eventually(is_split)
    found = await seat.autoscalers()
    assert {name: spec["minReplicas"] for name, spec in found.items()} == {"seat-a": 3, "seat-b": 3}
    assert found["seat-a"]["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"
    assert (await seat.given("a"), await seat.given("b")) == ([3], [3])
    assert "kingmaker" not in await seat.owners("b")

    await seat.serve({"autoscaling": SCALING | {"minReplicas": 3}})

    async def is_alone() -> bool:
        return list(await seat.autoscalers()) == ["seat-a"]

    await eventually(is_alone)


async def test_what_the_autoscaler_says_all_the_time_writes_nothing(seat: Seat) -> None:
    await seat.serve({"autoscaling": SCALING})
    await eventually(lambda: _has(seat.condition("AutoscalingActive"), "MetricsUnavailable"))
    path = seat.path("autoscaling/v2/horizontalpodautoscalers/seat-a")
    hands = await seat.client.get(path)
    before = await seat.operator.metric("kingmaker_writes_total")
    passes = await seat.operator.metric("kingmaker_reconcile_duration_seconds_count")
    # Words that differ each time, as those of an autoscaler do that waits for pods to prove themselves.
    for number in range(5):
        said = [{**c, "message": f"{c['message']} {number}"} for c in hands["status"]["conditions"]]
        await seat.client.patch(f"{path}/status", {"status": {"conditions": said}})
        wanted = passes + 2 * (number + 1)
        await eventually(lambda wanted=wanted: _at_least(seat.operator, wanted))
    assert await seat.operator.metric("kingmaker_writes_total") == before


async def _is(found: Awaitable[Any], wanted: object) -> bool:
    return bool(await found == wanted)


async def _has(condition: Awaitable[dict[str, Any]], reason: str) -> bool:
    return (await condition).get("reason") == reason


async def _at_least(operator: OperatorProcess, passes: float) -> bool:
    return await operator.metric("kingmaker_reconcile_duration_seconds_count") >= passes
