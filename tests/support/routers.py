"""Real routers and the small HTTP servers behind them, each on a loopback address of its own."""

import asyncio
import itertools
import os
import re
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from kingmaker.core.manifests.router import RouterContainer
from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.ads import AdsServer, RouterState
from kingmaker.routing.bootstrap import router_container

ENVOY = Path(sys.executable).with_name("envoy")
NAMESPACE = "team"

# Dies with the tests. A program and no `preexec_fn`, with which Python forks: gRPC does not always survive that.
_TIED = [
    sys.executable,
    "-SEc",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])",
]


def loopback_addresses() -> Iterator[str]:
    """Addresses that no other test uses at the same time, most probably."""
    block = f"127.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}"
    return (f"{block}.{host}" for host in range(1, 255))


async def eventually(holds: Callable[[], bool], what: str, *, seconds: float = 15) -> None:
    """Wait until something holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.005)


@dataclass
class Upstream:
    """A server that says which model it is, and keeps the headers of what it was asked last."""

    model: str
    address: str
    delay_seconds: float = 0.0
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def serving(model: str, address: str) -> AsyncIterator[Upstream]:
    """Run an upstream."""
    upstream = Upstream(model, address)

    async def answer(request: web.Request) -> web.Response:
        upstream.requests += 1
        upstream.headers = {name.lower(): value for name, value in request.headers.items()}
        await request.read()
        if upstream.delay_seconds:
            await asyncio.sleep(upstream.delay_seconds)
        return web.json_response({"address": address}, headers={"kingmaker-model": model})

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=5, keepalive_timeout=30)
    await runner.setup()
    await web.TCPSite(runner, address, 8080).start()
    try:
        yield upstream
    finally:
        await runner.cleanup()


@dataclass
class Router:
    """An Envoy, started as its pod's container would be."""

    pod: str
    address: str
    container: RouterContainer
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://{self.address}:8080"

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    async def is_ready(self, client: aiohttp.ClientSession) -> bool:
        """Whether the readiness probe succeeds."""
        try:
            async with client.get(f"http://{self.address}:8082/ready", timeout=aiohttp.ClientTimeout(1)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def until_ready(self, client: aiohttp.ClientSession, *, seconds: float = 20) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not await self.is_ready(client):
            assert asyncio.get_running_loop().time() < deadline, f"router {self.pod} is not ready"
            await asyncio.sleep(0.02)
        # Its workers open the port a moment later.
        while not await self._listens():
            assert asyncio.get_running_loop().time() < deadline, f"router {self.pod} does not listen"
            await asyncio.sleep(0.005)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.address, 8080)
        except OSError:
            return False
        writer.close()
        return True


def expand_arguments(container: RouterContainer, *, address: str, pod: str) -> list[str]:
    """Fill in what a kubelet would."""
    variables = {"POD_IP": address, "POD_NAME": pod, "POD_NAMESPACE": NAMESPACE}
    return [re.sub(r"\$\((\w+)\)", lambda found: variables[found.group(1)], a) for a in container.args]


@asynccontextmanager
async def routing(
    pod: str, address: str, xds_port: int, *, xds_host: str = "127.0.0.1", api_type: str = "DELTA_GRPC"
) -> AsyncIterator[Router]:
    """Run a router; with the API type GRPC one of a release that spoke state-of-the-world xDS."""
    container = router_container(xds_host=xds_host, xds_port=xds_port, concurrency=1, drain_seconds=2)
    arguments = [a.replace("DELTA_GRPC", api_type) for a in expand_arguments(container, address=address, pod=pod)]
    process = await asyncio.create_subprocess_exec(*_TIED, ENVOY, *arguments)
    try:
        yield Router(pod, address, container, process)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


@asynccontextmanager
async def ads_server(port: int = 0) -> AsyncIterator[tuple[AdsServer, int, list[str]]]:
    """Run an xDS server; the list gets the namespaces that it reports as changed."""
    changes: list[str] = []
    server = AdsServer(on_change=lambda namespace, _: changes.append(namespace))
    bound = await server.start(f"127.0.0.1:{port}")
    try:
        yield server, bound, changes
    finally:
        await server.stop()


def a_route(
    weights: dict[str, int],
    endpoints: Mapping[str, tuple[str, ...]],
    *,
    decision: int = 1,
    cluster_ip: str | None = None,
    affinity_header: str | None = None,
    draw: int = 0,
) -> RoutePlan:
    """A route to the given models; the first is the champion."""
    backends = tuple(Backend(model, weight, endpoints.get(model, ())) for model, weight in weights.items())
    return RoutePlan(decision, backends, cluster_ip, affinity_header, draw)


def set_routes(server: AdsServer, **routes: RoutePlan) -> None:
    """Say what all deployments of the namespace are."""
    server.set_deployments(NAMESPACE, frozenset(routes))
    for name, route in routes.items():
        server.set_route(NAMESPACE, name, route)


def acknowledged_weights(state: RouterState) -> dict[str, int] | None:
    """What a router certainly does, None when that is unknown."""
    return None if state.acknowledged is None else dict(state.acknowledged.weights)


@dataclass
class Load:
    """What clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def load(
    client: aiohttp.ClientSession, url: str, *, host: str = "churn", workers: int = 4
) -> AsyncIterator[Load]:
    """Send requests to a router without a break, each worker one at a time, while the block runs."""
    seen = Load()
    stopping = asyncio.Event()

    async def send() -> None:
        for number in itertools.count():
            if stopping.is_set():
                return
            try:
                async with client.post(url, data=f"request {number}", headers={"host": host}) as response:
                    body = await response.text()
                    if response.status == 200:
                        seen.answers[response.headers["kingmaker-model"]] += 1
                    else:
                        seen.failures.append(f"{response.status} {body}")
            except (aiohttp.ClientError, TimeoutError) as error:
                seen.failures.append(repr(error))
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(send())
        try:
            yield seen
        finally:
            stopping.set()
