"""The operator at work under the chart's own Roles and policies, with the token of one of the chart's pods."""

import asyncio
import ipaddress
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.addresses import Addresses
from kingmaker_laptop.credentials import render_kubeconfig
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import read_ports
from support.controlplane import ControlPlane
from support.fakenode import fake_node
from support.rbac_users import soon
from support.team import SYSTEM, TEAM

USER = f"system:serviceaccount:{SYSTEM}:kingmaker"
APPLY = "application/apply-patch+yaml"


@dataclass
class Loop:
    """The operator at work, and its administrator, who asks for one thing after the other."""

    client: KubeClient
    operator: KubeClient
    url: str
    """Of the operator's management port."""
    token: str
    """The operator's."""
    name: str = "seat"
    """The ModelDeployment that this is about."""

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
                    yield Loop(client, own, f"http://127.0.0.1:{ports.metrics}", token)
        finally:
            if operator.returncode is None:
                operator.terminate()
            await asyncio.wait_for(operator.wait(), 30)
            print((folder / "operator.log").read_text()[-4000:])


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def equals(found: Awaitable[Any], wanted: object) -> bool:
    return bool(await found == wanted)
