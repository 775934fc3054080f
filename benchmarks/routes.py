"""How soon a router has a change of one route among many, and what that costs: against a stand-in and a real Envoy.

PYTHONPATH=tests python benchmarks/routes.py [deployments]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer
from support.fakerouter import FakeRouter
from support.routers import NAMESPACE, Router, a_route, loopback_addresses, routing, set_routes

_MS = 1000
_PODS = {"a": ("127.9.9.1", "127.9.9.2"), "b": ("127.9.9.3",)}


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What changes of one deployment's weights cost, among `deployments` of one namespace.

    Attributes:
        first_ms: From a router's start until it takes requests for all of them.
        p50_ms: From the change to its acknowledgement, of half of all changes at most.
        p99_ms: Of all but one in a hundred.
        bytes_per_change: What the router is sent; None where that can't be seen.
        envoy_cpu_ms: Of Envoy per change; None for the stand-in.
        envoy_rss_mib: Envoy's memory; None for the stand-in.
    """

    deployments: int
    first_ms: float
    p50_ms: float
    p99_ms: float
    bytes_per_change: float | None = None
    envoy_cpu_ms: float | None = None
    envoy_rss_mib: float | None = None


async def measure_stand_in(deployments: int = 1000, changes: int = 200) -> RouteChange:
    """Measure against a router that takes whatever it is sent."""
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(_bench(deployments))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        changed = asyncio.Event()
        router = FakeRouter("router-0", bench.address, xds_port=bench.port, folder=folder, on_change=changed.set)
        began = time.perf_counter()
        running = asyncio.create_task(router.run())
        try:
            while not router.is_configured:
                changed.clear()
                await changed.wait()
            await bench.until_acknowledged(1)
            first = (time.perf_counter() - began) * _MS
            sent = router.received_bytes
            times = await bench.change(changes)
            per_change = (router.received_bytes - sent) / changes
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return RouteChange(deployments, first, _p(times, 50), _p(times, 99), per_change)


async def measure_envoy(deployments: int = 1000, changes: int = 200) -> RouteChange:
    """Measure against a real Envoy."""
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(_bench(deployments))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        began = time.perf_counter()
        router = await stack.enter_async_context(routing("router-0", bench.address, bench.port))
        await router.until_ready(client, seconds=60)
        first = (time.perf_counter() - began) * _MS
        await bench.until_acknowledged(1)
        before = _cpu_ms(router)
        times = await bench.change(changes)
        cpu = (_cpu_ms(router) - before) / changes
        rss = _rss_mib(router)
    return RouteChange(deployments, first, _p(times, 50), _p(times, 99), envoy_cpu_ms=cpu, envoy_rss_mib=rss)


class _Bench:
    """An xDS server with many deployments, of which the last one changes."""

    def __init__(self, deployments: int) -> None:
        self.address = next(loopback_addresses())
        self.port = 0
        self.server = AdsServer(on_change=lambda *_: self._changed.set())
        self._changed = asyncio.Event()
        self._names = [f"model-{number:05}" for number in range(deployments)]

    async def start(self) -> None:
        self.port = await self.server.start("127.0.0.1:0")
        self.server.set_routers(NAMESPACE, {self.address: "router-0"})
        set_routes(self.server, **{name: self._route(number, 1) for number, name in enumerate(self._names)})

    async def change(self, count: int) -> list[float]:
        """Change the route so often; give the milliseconds until each change was acknowledged."""
        times = []
        for decision in range(2, count + 2):
            began = time.perf_counter()
            self.server.set_route(NAMESPACE, self._names[-1], self._route(len(self._names) - 1, decision))
            await self.until_acknowledged(decision)
            times.append((time.perf_counter() - began) * _MS)
        return times

    async def until_acknowledged(self, decision: int) -> None:
        while not self._has(decision):
            self._changed.clear()
            await self._changed.wait()

    def _has(self, decision: int) -> bool:
        (state,) = self.server.routers(NAMESPACE, self._names[-1])
        return state.acknowledged is not None and state.acknowledged.decision == decision

    def _route(self, number: int, decision: int) -> RoutePlan:
        weight = decision % 50
        ip = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
        return a_route({"a": 100 - weight, "b": weight}, _PODS, decision=decision, cluster_ip=ip)


@asynccontextmanager
async def _bench(deployments: int) -> AsyncIterator[_Bench]:
    bench = _Bench(deployments)
    await bench.start()
    try:
        yield bench
    finally:
        await bench.server.stop()


def _cpu_ms(router: Router) -> float:
    fields = Path(f"/proc/{router.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10.0


def _rss_mib(router: Router) -> float:
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _p(times: list[float], percent: int) -> float:
    return quantiles(times, n=100, method="inclusive")[percent - 1]


async def _main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [10, 1000]
    for measure in (measure_stand_in, measure_envoy):
        for count in counts:
            print(measure.__name__, await measure(count))


if __name__ == "__main__":
    asyncio.run(_main())
