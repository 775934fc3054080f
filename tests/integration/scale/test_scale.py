"""Two hundred deployments on one operator: all become ready, then nothing is written, and with traffic little."""

import asyncio
import hashlib
import ipaddress
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.addresses import Addresses
from support.controlplane import ControlPlane
from support.fakecounts import baseline_document
from support.nodeprocess import NodeProcess, running_node
from support.observer import observing
from support.operatorprocess import OperatorProcess, running_operator, sum_of

NAMESPACES = 4
PER_NAMESPACE = 50
DEPLOYMENTS = NAMESPACES * PER_NAMESPACE
READY_SECONDS = 240
"""Three times what two processors took that had little else to do."""
IDLE_SECONDS = 60
QUIET_SECONDS = 33
"""Longer than the evaluation interval: until then some deployment has not looked at the counts for the first time."""
TRAFFIC_SECONDS = 70
PASSES = "kingmaker_reconcile_duration_seconds_count"
API = "/apis/kingmaker.dev/v1alpha1"

READS = ("GET", "LIST")
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")


@dataclass
class Cluster:
    """The control plane, and what is asked of it as administrator."""

    plane: ControlPlane
    client: KubeClient
    session: aiohttp.ClientSession

    async def pods_network(self) -> str:
        """The loopback network that this control plane's pods may use."""
        service = await self.client.get("/api/v1/namespaces/default/services/kubernetes")
        second = ipaddress.ip_address(service["spec"]["clusterIP"]).packed[1]
        return Addresses(second - 100).pods

    async def requests(self) -> dict[str, Counter[str]]:
        """Requests that the API server answered since its start: by verb, by resource."""
        tls = read_kubeconfig(self.plane.kubeconfig).tls
        headers = {"Authorization": f"Bearer {self.plane.token}"}
        async with self.session.get(f"{self.plane.url}/metrics", headers=headers, ssl=tls or True) as response:
            text = await response.text()
        found: dict[str, Counter[str]] = {}
        lines = [line for line in text.splitlines() if line.startswith("apiserver_request_total{")]
        for verb in READS + WRITES:
            found[verb] = Counter()
            for resource in {line.partition(',resource="')[2].partition('"')[0] for line in lines}:
                labels = (f'verb="{verb}"', f',resource="{resource}"')
                found[verb][resource] = int(sum_of(text, "apiserver_request_total", *labels))
        return found

    async def unready(self) -> list[dict[str, Any]]:
        """ModelDeployments that are not Ready=True."""
        found = (await self.client.get(f"{API}/modeldeployments"))["items"]
        # Other tests may have left some of theirs.
        items = [item for item in found if item["metadata"]["namespace"].startswith("scale-")]
        left = [item for item in items if not _is_ready(item)]
        assert len(items) == DEPLOYMENTS
        return left


def _is_ready(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture
async def cluster(crds: ControlPlane) -> AsyncIterator[Cluster]:
    connection = read_kubeconfig(crds.kubeconfig)
    async with KubeClient(connection, agent="test") as client, aiohttp.ClientSession() as session:
        yield Cluster(crds, client, session)


async def create_all(client: KubeClient) -> None:
    """Create the namespaces, and in each as many Models and ModelDeployments, as fast as the API server takes them."""
    slots = asyncio.Semaphore(16)

    async def create(path: str, body: dict[str, Any]) -> None:
        async with slots:
            await client.create(path, body)

    spaces = [f"scale-{number}" for number in range(NAMESPACES)]
    await asyncio.gather(*(create("/api/v1/namespaces", {"metadata": {"name": name}}) for name in spaces))
    objects = []
    for space in spaces:
        for number in range(PER_NAMESPACE):
            seat, model = f"seat-{number}", f"seat-{number}-1"
            digest = f"sha256:{number:064x}"
            artifact = {"format": "ONNX", "uri": f"s3://models/{model}.onnx", "digest": digest}
            cells = hashlib.sha256(baseline_document(model)).hexdigest()
            baseline = {"uri": f"s3://models/{model}.json", "digest": f"sha256:{cells}"}
            spec = {"family": seat, "version": "1", "artifact": artifact, "baseline": baseline}
            objects.append(create(f"{API}/namespaces/{space}/models", _resource("Model", model, spec)))
            spec = {"championRef": {"name": model}, "serving": {"replicas": 1}}
            objects.append(
                create(f"{API}/namespaces/{space}/modeldeployments", _resource("ModelDeployment", seat, spec))
            )
    await asyncio.gather(*objects)


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kingmaker.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def all_ready(cluster: Cluster, operator: OperatorProcess) -> float:
    """Wait until every deployment is ready; give when half of them were, in monotonic seconds."""
    half, end = 0.0, time.monotonic() + READY_SECONDS
    while left := await cluster.unready():
        assert operator.process.returncode is None, operator.log.read_text()[-4000:]
        if not half and len(left) <= DEPLOYMENTS / 2:
            half = time.monotonic()
        assert time.monotonic() < end, (
            f"{len(left)} not ready after {READY_SECONDS} s: {await told(left[-1], operator)}"
        )
        await asyncio.sleep(1)
    return half or time.monotonic()


async def told(item: dict[str, Any], operator: OperatorProcess) -> str:
    """Say how far an operator is that was too slow."""
    ready = [c for c in item.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]
    passes = await operator.metric(PASSES)
    return f"{item['metadata']['name']} {ready}; {passes:.0f} passes, {operator.cpu_seconds():.0f} s of CPU"


async def writes_settled(operator: OperatorProcess) -> None:
    """Wait until the operator has written nothing while every deployment looked at its counts."""
    end = time.monotonic() + 120
    known, since = -1.0, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        assert time.monotonic() < end, "the operator goes on writing"
        await asyncio.sleep(0.5)
        writes = await operator.metric("kingmaker_writes_total")
        if writes != known:
            known, since = writes, time.monotonic()


@pytest.mark.timeout(500)
async def test_two_hundred_deployments_become_ready_and_then_rest(cluster: Cluster, tmp_path: Path) -> None:
    network = await cluster.pods_network()
    flags = ("--router-replicas=1", "--pre-stop-seconds=1", "--drain-seconds=5")
    async with (
        running_operator(cluster.plane, cluster.client, tmp_path, *flags) as operator,
        running_node(cluster.plane.kubeconfig, network=network, xds_port=operator.ports.xds) as node,
        observing(cluster.client, everything_of=("modeldeployments", "models", "events")) as observer,
    ):
        began = time.monotonic()
        await create_all(cluster.client)
        created = time.monotonic()
        half = await all_ready(cluster, operator)
        ready = time.monotonic()
        await writes_settled(operator)
        settled = time.monotonic()
        busy_cpu, busy_writes = operator.cpu_seconds(), await operator.metric("kingmaker_writes_total")
        before = await cluster.requests()
        await asyncio.sleep(IDLE_SECONDS)
        after = await cluster.requests()
        idle_cpu = operator.cpu_seconds() - busy_cpu
        idle_writes = await operator.metric("kingmaker_writes_total") - busy_writes
        idle = {verb: after[verb] - before[verb] for verb in READS + WRITES}
        written = Counter(c.kind for c in observer.changes if c.manager.startswith("kingmaker"))
        reads = idle["GET"] + idle["LIST"]
        figures = {
            "deployments": DEPLOYMENTS,
            "created within": f"{created - began:.1f} s",
            "half ready after": f"{half - began:.1f} s",
            "all ready after": f"{ready - began:.1f} s",
            "last write after": f"{settled - began - QUIET_SECONDS:.1f} s",
            "objects created": dict(observer.count("created")),
            "operator's writes": f"{busy_writes:.0f}, {busy_writes / DEPLOYMENTS:.1f} per deployment",
            "of them seen by a watch": dict(written.most_common()),
            "operator's passes": f"{await operator.metric(PASSES):.0f}",
            "operator's CPU until then": f"{busy_cpu:.1f} s",
            "operator's memory now, at most": [f"{operator.memory_mebibytes(f):.0f} MiB" for f in ("VmRSS", "VmHWM")],
            "operator's failed passes": await operator.metric("kingmaker_reconcile_errors_total"),
            f"idle {IDLE_SECONDS} s: operator's CPU": f"{idle_cpu / IDLE_SECONDS:.1%} of one processor",
            "idle: operator's writes": idle_writes,
            "idle: changes seen by a watch": len(observer.since(settled)),
            "idle: reads by anybody": f"{sum(reads.values()) / IDLE_SECONDS:.1f}/s {dict(reads.most_common(12))}",
            "idle: writes by anybody": {verb: dict(+idle[verb]) for verb in WRITES if +idle[verb]},
        }
        print("\n" + "\n".join(f"{name:32} {value}" for name, value in figures.items()))
        assert idle_writes == 0
        assert [str(change) for change in observer.since(settled)] == []
        assert not await cluster.unready()
        await with_traffic(node, operator)
        assert not await cluster.unready()


async def with_traffic(node: NodeProcess, operator: OperatorProcess) -> None:
    """Let all pods count; each is looked at twice, and what was counted is stored at most once in that time."""
    cpu, writes, looks = operator.cpu_seconds(), await operator.metric("kingmaker_writes_total"), await node.looks()
    await node.traffic(5)
    await asyncio.sleep(TRAFFIC_SECONDS)
    written = await operator.metric("kingmaker_writes_total") - writes
    looked = await node.looks() - looks
    share = (operator.cpu_seconds() - cpu) / TRAFFIC_SECONDS
    print(f"with traffic: {looked} looks at pods, {written:.0f} writes, {share:.1%} of one processor")
    assert looked >= 2 * DEPLOYMENTS
    assert written <= DEPLOYMENTS
