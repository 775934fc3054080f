"""Several operators, each a process with the token that its pod would have, and the Service that leads to them."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop import bootstrap
from kingmaker_laptop.assets import operator_rules
from kingmaker_laptop.bootstrap import ACCOUNT, NAMESPACE
from kingmaker_laptop.components import IMAGES
from kingmaker_laptop.credentials import render_kubeconfig
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import read_ports
from support.controlplane import ControlPlane
from support.laptop import wait_for
from support.leaderpolicy import POLICY, leader_policy, lease_rules
from support.operatorprocess import sum_of
from support.wire import Wire, wired

_USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_METRICS_PORT = 8083


@dataclass
class Replica:
    """One operator process."""

    name: str
    address: str
    process: asyncio.subprocess.Process
    wire: Wire
    session: aiohttp.ClientSession
    log: Path

    async def page(self, path: str) -> str:
        """Give a page of its management port; empty when it does not answer."""
        try:
            url = f"http://{self.address}:{_METRICS_PORT}{path}"
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(1)) as response:
                return await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return ""

    async def metric(self, name: str) -> float:
        return sum_of(await self.page("/metrics"), name)

    async def leads(self) -> bool:
        """Whether it says that it leads; who does not answer does not."""
        return await self.metric("kingmaker_leader") == 1

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    async def ended(self, seconds: float = 30) -> int:
        """Wait for its end and give its exit code."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    def logged(self) -> str:
        return self.log.read_text()


@dataclass
class Replicas:
    """The operator's pods."""

    plane: ControlPlane
    client: KubeClient
    folder: Path
    stack: AsyncExitStack
    session: aiohttp.ClientSession
    lease_seconds: int
    running: list[Replica] = field(default_factory=list)

    async def start(self, name: str, *flags: str) -> Replica:
        """Start one more; `kingmaker-N` listens at 127.0.0.(20 + N)."""
        address = f"127.0.0.{20 + len(self.running)}"
        home, ports = Home(self.plane.folder), read_ports(Home(self.plane.folder))
        assert ports is not None
        wire = await self.stack.enter_async_context(wired(read_kubeconfig(self.plane.kubeconfig)))
        token = await pod_token(self.client, name)
        kubeconfig = self.folder / f"{name}.kubeconfig"
        kubeconfig.write_text(render_kubeconfig(home, server=wire.url, user=_USER, token=token))
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kingmaker", "run", f"--kubeconfig={kubeconfig}"),
                *(f"--bind-address={address}", "--xds-host=127.0.0.1", f"--xds-port={ports.xds}"),
                f"--metrics-port={_METRICS_PORT}",
                *("--leader-elect=true", f"--identity={name}", f"--lease-seconds={self.lease_seconds}"),
                *(f"--serving-image={IMAGES['serving']}", f"--router-image={IMAGES['router']}"),
                *("--router-replicas=1", "--pre-stop-seconds=1", "--drain-seconds=5", "--evaluation-interval=1"),
                *flags,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"GRPC_ENABLE_FORK_SUPPORT": "0"},
            )
        replica = Replica(name, address, process, wire, self.session, log)
        self.running.append(replica)
        return replica

    async def leader(self, *, other_than: Replica | None = None, seconds: float = 40) -> Replica:
        """Wait until one of them says that it leads."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for replica in self.running:
                if replica is not other_than and replica.process.returncode is None and await replica.leads():
                    return replica
            await asyncio.sleep(0.02)
        raise AssertionError(f"nobody leads within {seconds} s: {[r.logged()[-1500:] for r in self.running]}")

    def assert_one_writer(self) -> None:
        """Check that nothing was committed which was sent after another one had been told that it leads."""
        for old, new in itertools.permutations(self.running, 2):
            began = sorted(w.answered for w in new.wire.terms() if w.holder == new.name)
            for write in old.wire.committed():
                taken = [t for t in began if t < write.sent]
                mine = [w.answered for w in old.wire.terms() if w.holder == old.name and w.answered < write.sent]
                assert not taken or (mine and mine[-1] > taken[-1]), f"{old.name} wrote while {new.name} led: {write}"


async def pod_token(client: KubeClient, name: str) -> str:
    """Give the token that a pod of the operator would find in its volume. The pod itself never runs."""
    spec = {
        "serviceAccountName": ACCOUNT,
        "schedulingGates": [{"name": "kingmaker.dev/is-a-process"}],
        "containers": [{"name": "operator", "image": "operator"}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    # A pod whose container starts again is there already.
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}?fieldManager=test&force=true"
    pod = await client.patch(path, body, kind="application/apply-patch+yaml")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, "boundObjectRef": bound},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
    return str((await client.create(path, request))["status"]["token"])


async def install(plane: ControlPlane, client: KubeClient) -> None:
    """Give the operator its rights and put the policy into force; wait until it is."""
    await bootstrap.grant_rights(client, operator_rules())
    head = {"metadata": {"name": "kingmaker-lease", "namespace": NAMESPACE}}
    role = {**head, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": lease_rules()}
    binding = {
        **head,
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "kingmaker-lease"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    for collection, body in (("roles", role), ("rolebindings", binding)):
        path = f"{_RBAC}/namespaces/{NAMESPACE}/{collection}/kingmaker-lease?fieldManager=test&force=true"
        await client.patch(path, body, kind="application/apply-patch+yaml")
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f", "-", input=leader_policy())
    await client.create(_LEASES, {"metadata": {"name": "kingmaker"}, "spec": {"holderIdentity": ""}})
    await asyncio.to_thread(wait_for, lambda: _is_in_force(plane))
    await client.delete(f"{_LEASES}/kingmaker", {})


def _is_in_force(plane: ControlPlane) -> bool:
    metadata = {"name": "probe", "labels": {"app.kubernetes.io/managed-by": "kingmaker"}}
    probe = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    command = ("create", "-n", NAMESPACE, "--dry-run=server", f"--as={_USER}", "-f", "-")
    return POLICY in plane.kubectl(*command, input=probe, check=False).stderr


async def forget(client: KubeClient, names: list[str]) -> None:
    """Delete the Lease and the pods, so that the next test begins anew."""
    paths = [f"{_LEASES}/kingmaker", *(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}" for name in names)]
    for path in paths:
        with suppress(ApiError):
            await client.delete(path, {"gracePeriodSeconds": 0})


@asynccontextmanager
async def replicas(
    plane: ControlPlane, client: KubeClient, folder: Path, *, lease_seconds: int = 15
) -> AsyncIterator[Replicas]:
    """Start operators in the block; afterwards they end."""
    await install(plane, client)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        found = Replicas(plane, client, folder, stack, session, lease_seconds)
        ports = read_ports(Home(plane.folder))
        assert ports is not None
        await stack.enter_async_context(_service(ports.xds, found))
        try:
            yield found
        finally:
            for replica in found.running:
                if replica.process.returncode is None:
                    replica.signal(signal.SIGCONT)
                    replica.signal(signal.SIGTERM)
            for replica in found.running:
                await replica.ended()
            await forget(client, [r.name for r in found.running])


@asynccontextmanager
async def _service(port: int, found: Replicas) -> AsyncIterator[None]:
    """The operator's Service: a connection goes to one of the pods in turn, and keeps the address it comes from."""
    turn = itertools.count()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pods = [r for r in found.running if r.process.returncode is None]
        source = writer.get_extra_info("peername")[0]
        try:
            target = pods[next(turn) % len(pods)]
            there, here = await asyncio.open_connection(target.address, port, local_addr=(source, 0))
        except (OSError, ZeroDivisionError):
            writer.transport.abort()
            return
        tasks = [asyncio.create_task(copy(reader, here)), asyncio.create_task(copy(there, writer))]
        connections.update(tasks)
        await asyncio.wait(tasks)
        connections.difference_update(tasks)

    connections: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(connect, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for task in connections:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*connections, return_exceptions=True)
