"""A place to measure in: a control plane of its own, the stand-in node, and the controller where it is wanted."""

import asyncio
import contextlib
import ipaddress
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.common.progress import say
from benchmarks.scale.system import Collection, Controller, Document, Seat, System
from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import Connection, read_kubeconfig
from kingmaker.kube.reflector import LocalCopy, Reflector
from kingmaker_laptop.addresses import Addresses
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import read_ports
from kingmaker_laptop.processes import load
from support.audit import Audit, audited_control_plane
from support.nodeprocess import NodeProcess, running_node
from support.operatorprocess import sum_of
from support.processes import cpu_seconds

AT_ONCE: Final = 32
"""Requests of the benchmark that are under way at one time."""
POLL: Final = 0.02
"""Seconds between two looks at a condition that nobody tells of."""
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
READS: Final = frozenset({"get", "list"})


@dataclass
class Requests:
    """What the controller asked of the API server, by the API server's own account."""

    audit: Audit
    user: str
    _offset: int = 0

    def new(self) -> Counter[tuple[str, str]]:
        """Count what was asked since the last call, by verb and resource; the Lease is left out."""
        found: Counter[tuple[str, str]] = Counter()
        mark = json.dumps(self.user).encode()
        with self.audit.log.open("rb") as log:
            log.seek(self._offset)
            while (line := log.readline()).endswith(b"\n"):
                self._offset += len(line)
                if mark in line:
                    event = json.loads(line)
                    about = event.get("objectRef", {})
                    parts = (about.get("resource", event["requestURI"]), about.get("subresource", ""))
                    found[event["verb"], "/".join(filter(None, parts))] += 1
        return Counter({what: count for what, count in found.items() if what[1] != "leases"})


@dataclass
class Site:
    """Where steps are carried out."""

    system: System
    connection: Connection
    client: KubeClient
    node: NodeProcess
    requests: Requests
    seats: list[Seat]
    _start: Callable[[], Awaitable[Controller]]
    controller: Controller | None = None

    @property
    def running(self) -> Controller:
        """The controller, which this site has."""
        assert self.controller is not None
        return self.controller

    async def restart(self) -> Controller:
        """Kill the controller and start it anew at once."""
        await self.running.kill()
        self.controller = await self._start()
        return self.running

    def cpu(self) -> dict[str, float]:
        """Give the CPU seconds of everybody since the start of each."""
        records = Home(self.requests.audit.plane.folder).records.glob("kube-*.json")
        found = {path.stem: record.pid for path in records if (record := load(path))}
        found |= {"node": self.node.process.pid}
        if self.controller:
            found["controller"] = self.controller.pid
        return {name: cpu_seconds(pid) for name, pid in found.items()} | {"benchmark": time.process_time()}

    async def create(self, objects: Iterable[tuple[str, Document]]) -> None:
        """Create objects, as fast as the API server takes them."""
        await at_once(lambda one: insist(lambda: self.client.create(*one)), objects)

    async def patch(self, seat: Seat, patch: Document) -> None:
        """Merge-patch a seat's deployment."""
        path = self.system.deployments.object(seat.namespace, seat.name)
        await insist(lambda: self.client.patch(path, patch))

    async def written_bytes(self) -> float:
        """Give the bytes of all writes that the API server has taken from anybody, nodes and leases apart."""
        headers, tls = await self.connection.headers(), self.connection.tls or True
        async with self.node.session.get(f"{self.client.server}/metrics", headers=headers, ssl=tls) as response:
            text = await response.text()
        name = "apiserver_request_body_size_bytes_sum"
        every = sum_of(text, name)
        return every - sum(sum_of(text, name, f'resource="{other}"') for other in ("leases", "nodes", "pods"))


@asynccontextmanager
async def open_site(system: System, folder: Path, seats: list[Seat], *, controlled: bool = True) -> AsyncIterator[Site]:
    """Start a control plane, a node and, where `controlled`, the controller; end them after the block.

    Without a controller, routers are ready at once: there is nobody to configure them.
    """
    say(f"starting a control plane for {len(seats)} deployments{'' if controlled else ', without the controller'}")
    async with AsyncExitStack() as stack:
        # Everybody is written down, so that whoever is compared pays the same for it.
        audit = stack.enter_context(audited_control_plane(folder, system.user, "kingmaker-admin"))
        connection = read_kubeconfig(audit.plane.kubeconfig)
        client = await stack.enter_async_context(KubeClient(connection, agent="benchmark"))
        await system.install(audit.plane, client)
        await at_once(
            lambda name: client.create("/api/v1/namespaces", {"metadata": {"name": name}}),
            {seat.namespace for seat in seats},
        )
        ports = read_ports(Home(audit.plane.folder))
        assert ports is not None
        service = await client.get("/api/v1/namespaces/default/services/kubernetes")
        network = Addresses(ipaddress.ip_address(service["spec"]["clusterIP"]).packed[1] - 100).pods
        xds_port = ports.xds if controlled else 0
        node = await stack.enter_async_context(running_node(audit.plane.kubeconfig, network=network, xds_port=xds_port))

        async def start() -> Controller:
            return await stack.enter_async_context(system.running(audit.plane, client, folder))

        site = Site(system, connection, client, node, Requests(audit, system.user), seats, start)
        site.controller = await start() if controlled else None
        try:
            yield site
        except Exception:
            say(f"failed; the controller's log ends with:\n{site.controller.log_tail() if site.controller else ''}")
            raise


async def insist(request: Callable[[], Awaitable[Any]]) -> None:
    """Send a request until it is answered: a machine that is busy with something else must not end a long run."""
    again = False
    while True:
        try:
            await request()
            return
        except ApiError as error:
            if again and error.status == 409:
                # The first time it was done, though nobody heard of it.
                return
            if error.is_lasting:
                raise
            say(f"  once more: {error}")
            again = True
            await asyncio.sleep(1)


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Give the difference of two looks at everybody's CPU seconds."""
    return {name: round(seconds - before.get(name, 0.0), 1) for name, seconds in after.items()}


async def at_once(do: Callable[[Any], Any], things: Iterable[Any]) -> None:
    """Do something with each thing, some of them at one time, in order."""
    waiting = iter(list(things))

    async def work() -> None:
        for thing in waiting:
            await do(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


@asynccontextmanager
async def watching(
    client: KubeClient, collection: Collection, on_change: Callable[[Document, bool], None]
) -> AsyncIterator[None]:
    """Watch a collection while the block runs, which begins when all that is there was told."""
    synced = asyncio.Event()
    reflector = Reflector(client, collection.path, LocalCopy(on_change, synced.set), params=collection.params)
    running = asyncio.create_task(reflector.run())
    try:
        await asyncio.wait_for(synced.wait(), 60)
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], bool], site: Site, what: Callable[[], str], *, seconds: float) -> None:
    """Wait until a condition holds; tell every ten seconds how far it is.

    Raises:
        TimeoutError: It does not hold in time.
    """
    end, told = time.monotonic() + seconds, time.monotonic()
    while not condition():
        if site.controller:
            site.controller.check()
        now = time.monotonic()
        if now > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what()}")
        if now - told > 10:
            told = now
            say(f"  {what()}")
        await asyncio.sleep(POLL)
