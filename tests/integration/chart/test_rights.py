"""The operator's rights are those that its whole loop uses: none less, none more, by the API server's own record.

The chart's Roles are bound, its policies are in force, and the operator works with the token of one of its pods.
"""

import asyncio
import ipaddress
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker.local.addresses import Addresses
from kingmaker.local.credentials import render_kubeconfig
from kingmaker.local.home import Home
from kingmaker.local.kube.client import ApiError, KubeClient
from kingmaker.local.kube.kubeconfig import read_kubeconfig
from kingmaker.local.ports import read_ports
from support.audit import Audit, audited_control_plane, granted, table
from support.controlplane import ControlPlane
from support.fakenode import fake_node
from support.helm import CHART, Helm
from support.people import soon
from support.team import SYSTEM, TEAM

USER = f"system:serviceaccount:{SYSTEM}:kingmaker"
APPLY = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """A control plane with the chart, which writes down what the operator asks."""
    with audited_control_plane(tmp_path_factory.mktemp("audit"), USER) as audit:
        audit.plane.kubectl("create", "namespace", TEAM)
        helm = Helm(tmp_path_factory.mktemp("helm"), audit.plane.kubeconfig)
        values = {"scope": {"namespaces": [TEAM]}}
        helm.run("install", "kingmaker", str(CHART), "-n", SYSTEM, "--create-namespace", values=values)
        yield audit


class Loop:
    """The operator at work, and its administrator, who asks for one thing after the other."""

    def __init__(self, client: KubeClient, operator: KubeClient) -> None:
        self.client = client
        self.operator = operator
        self.name = "seat"

    async def apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        path = f"{self.path(f'{kind.lower()}s')}/{name}?fieldManager=person&force=true"
        await self.client.patch(path, body, kind=APPLY)

    async def model(self, name: str, letter: str) -> None:
        artifact = {"format": "ONNX", "uri": f"s3://models/{name}.onnx", "digest": "sha256:" + letter * 64}
        await self.apply("Model", name, {"family": "seat", "version": "1", "artifact": artifact})

    async def seat(self, champion: str = "a", **spec: Any) -> None:
        wanted = {"championRef": {"name": champion}, "serving": {"replicas": 2}, "contest": {"rollbackWindow": "0s"}}
        await self.apply("ModelDeployment", self.name, wanted | spec)

    async def status(self) -> dict[str, Any]:
        return (await self.client.get(f"{self.path('modeldeployments')}/{self.name}")).get("status", {})

    async def reason(self, condition: str = "Ready") -> str:
        found = (c["reason"] for c in (await self.status()).get("conditions", ()) if c["type"] == condition)
        return next(found, "")

    async def champion(self) -> str:
        return (await self.status()).get("champion", {}).get("name", "")

    async def traffic(self) -> str:
        return (await self.status()).get("traffic", "")

    async def exists(self, group_version: str, what: str) -> bool:
        try:
            await self.client.get(f"/{group_version}/namespaces/{TEAM}/{what}")
        except ApiError as error:
            if not error.is_not_found:
                raise
            return False
        return True

    async def decisions(self) -> list[int]:
        found = await self.client.get(self.path("decisions"))
        mine = (item["spec"] for item in found["items"] if item["spec"]["deployment"] == self.name)
        return sorted(spec["sequence"] for spec in mine)

    def path(self, plural: str) -> str:
        return f"/apis/kingmaker.dev/v1alpha1/namespaces/{TEAM}/{plural}"


@asynccontextmanager
async def running_loop(plane: ControlPlane, folder: Path) -> AsyncIterator[Loop]:
    """Run the operator with the token of one of the chart's pods, beside a node whose pods start nothing."""
    home = Home(plane.folder)
    ports = read_ports(home)
    assert ports is not None
    names = ("get", "pods", "-n", SYSTEM, "-o", "name")
    pods = soon(plane.kubectl(*names).stdout.split)
    pod = pods[0].removeprefix("pod/")
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}")
    token = plane.kubectl("create", "token", "kingmaker", "-n", SYSTEM, *bound).stdout.strip()
    kubeconfig = folder / "operator.kubeconfig"
    kubeconfig.write_text(render_kubeconfig(home, server=plane.url, user=USER, token=token))
    command = (
        *(sys.executable, "-m", "kingmaker", "run", f"--kubeconfig={kubeconfig}", f"--namespaces={TEAM}"),
        *(f"--operator-namespace={SYSTEM}", "--leader-elect=true", "--lease-name=kingmaker", f"--identity={pod}"),
        *("--bind-address=127.0.0.1", "--xds-host=127.0.0.1", f"--xds-port={ports.xds}"),
        *(f"--metrics-port={ports.metrics}", "--serving-image=serving", "--router-image=router"),
        *("--router-replicas=2", "--pre-stop-seconds=1", "--drain-seconds=1", "--evaluation-interval=1"),
    )
    with (folder / "operator.log").open("w") as log:
        operator = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    async with (
        KubeClient(read_kubeconfig(plane.kubeconfig), agent="test") as client,
        KubeClient(read_kubeconfig(kubeconfig), agent="test") as own,
    ):
        service = await client.get("/api/v1/namespaces/default/services/kubernetes")
        network = Addresses(ipaddress.ip_address(service["spec"]["clusterIP"]).packed[1] - 100).pods
        try:
            with tempfile.TemporaryDirectory(prefix="km") as sockets:
                async with fake_node(client, network=network, xds_port=ports.xds, folder=Path(sockets)):
                    yield Loop(client, own)
        finally:
            if operator.returncode is None:
                operator.terminate()
            await asyncio.wait_for(operator.wait(), 30)
            print((folder / "operator.log").read_text()[-4000:])


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def _is(found: Awaitable[Any], wanted: object) -> bool:
    return bool(await found == wanted)


@pytest.mark.timeout(300)
async def test_the_whole_loop_uses_all_rights_and_asks_for_no_other(audit: Audit, tmp_path: Path) -> None:
    async with running_loop(audit.plane, tmp_path) as loop:
        await serve_and_scale(loop)
        await promote(loop)
        await retrain(loop)
        await complain_twice(loop)
        await decide_often(loop)
    rights = granted(yaml.safe_load((CHART / "files" / "rules.yaml").read_text()))
    rights |= granted(yaml.safe_load((CHART / "files" / "lease-rules.yaml").read_text()))
    used = audit.used()
    print(f"\n{len(audit.events())} requests of the operator\n\n{table(used)}")
    assert not audit.refused()
    assert sorted(used - rights) == []
    assert sorted(rights - used) == []


async def serve_and_scale(loop: Loop) -> None:
    """Verify, serve, route; let the number of pods follow the load, and take it back."""
    await loop.model("a", "a")
    await loop.model("b", "b")
    await loop.seat()
    await eventually(lambda: _is(loop.traffic(), "100"))
    await loop.seat(serving={"autoscaling": {"minReplicas": 2, "maxReplicas": 6, "targetCPUPercent": 70}})
    scaler = ("apis/autoscaling/v2", "horizontalpodautoscalers/seat-a")
    await eventually(lambda: loop.exists(*scaler))
    await loop.seat(serving={"replicas": 3})
    await eventually(lambda: _is(loop.exists(*scaler), False))


async def promote(loop: Loop) -> None:
    """Change the champion; the old one's objects go."""
    await loop.seat("b")
    await eventually(lambda: _is(loop.champion(), "b"))
    await eventually(lambda: _is(loop.exists("apis/apps/v1", "deployments/seat-a"), False))


async def retrain(loop: Loop) -> None:
    """Train because the champion is old; what comes out is a Model."""
    template = {"image": "trainer"}
    output = {"uriPrefix": "s3://models/seat/"}
    await loop.seat("b", retraining={"triggers": ["Age"], "maxAge": "1s", "output": output, "template": template})
    await eventually(lambda: loop.exists("apis/kingmaker.dev/v1alpha1", "models/seat-r1"))
    await loop.seat("b")


async def complain_twice(loop: Loop) -> None:
    """Say the same about the same object again: an Event is counted up."""
    for champion in ("gone", "b", "gone", "b"):
        await loop.seat(champion)
        wanted = "ChampionNotFound" if champion == "gone" else "Serving"
        await eventually(lambda wanted=wanted: _is(loop.reason(), wanted))


async def decide_often(loop: Loop) -> None:
    """Decide until the oldest Decisions are deleted: a ModelDeployment keeps 200, and looks at every twentieth.

    Most of them are copies of one that the operator wrote, in its name: they would take minutes.
    """
    loop.name = "busy"
    await loop.seat("b")
    await eventually(lambda: _is(loop.traffic(), "100"))
    found = await loop.client.get(f"{loop.path('decisions')}/busy-000001")
    metadata = {key: found["metadata"][key] for key in ("labels", "ownerReferences")}
    for number in range(2, 219):
        outcome = json.dumps(json.loads(found["spec"]["outcome"]) | {"sequence": number})
        spec = found["spec"] | {"sequence": number, "outcome": outcome}
        body = {**found, "metadata": metadata | {"name": f"busy-{number:06d}"}, "spec": spec}
        await loop.operator.create(loop.path("decisions"), body)
    while len(numbers := await loop.decisions()) == numbers[-1]:
        await split(loop, 10 + numbers[-1] % 20)


async def split(loop: Loop, weight: int) -> None:
    await loop.seat("b", challengers=[{"name": "a", "modelRef": {"name": "a"}, "weight": weight}])
    await eventually(lambda: _is(loop.traffic(), f"{100 - weight}/{weight}"))
