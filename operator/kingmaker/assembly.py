"""The parts put together and run: stand by where there is an election, then watch, reconcile and route."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from kingmaker.adapters.apiserver import ApiServer, always
from kingmaker.adapters.clock import SystemClock, tick
from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.election import Candidate, Terms
from kingmaker.adapters.lease import Elector, LeaseStore
from kingmaker.adapters.management import Management
from kingmaker.adapters.metrics import OperatorMetrics
from kingmaker.adapters.profiles import PodProfiles
from kingmaker.core.decide import Rules
from kingmaker.handlers.watcher import Watcher
from kingmaker.loop import Loop
from kingmaker.ports import Key
from kingmaker.reconcile import Reconciler
from kingmaker.routing.routers import AdsRouters

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the leader runs. Nothing of it listens, reads or writes before that."""

    routers: AdsRouters
    loop: Loop
    watcher: Watcher
    metrics: OperatorMetrics


async def serve(args: argparse.Namespace, rules: Rules, namespaces: Sequence[str]) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: A port can't be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        elector = await _elector(args, stack) if args.leader_elect else None
        parts = await _assemble(args, rules, namespaces, elector, stack)
        management = Management(parts.metrics.registry, elector.describe if elector else lambda: "ok")
        await management.start(args.bind_address, args.metrics_port)
        stack.push_async_callback(management.stop)
        if elector:
            await _until(stop, elector.win())
            # After everything that writes has ended, before the connections close.
            stack.push_async_callback(elector.release)
        if not stop.is_set():
            await _lead(args, parts, elector, stop)


async def _elector(args: argparse.Namespace, stack: contextlib.AsyncExitStack) -> Elector:
    terms = Terms(args.lease_seconds)
    api = await ApiServer.connect(args.kubeconfig or None, timeout_seconds=terms.deadline / 2)
    stack.push_async_callback(api.close)
    store = LeaseStore(api, namespace=args.operator_namespace, name=args.lease_name)
    return Elector(store, Candidate(args.identity, terms), SystemClock(), tick)


async def _assemble(
    args: argparse.Namespace,
    rules: Rules,
    namespaces: Sequence[str],
    elector: Elector | None,
    stack: contextlib.AsyncExitStack,
) -> _Parts:
    permit = elector.permit if elector else always
    cluster = await KubernetesCluster.connect(args.kubeconfig or None, permit=permit)
    stack.push_async_callback(cluster.close)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    clock = SystemClock()

    def on_router_change(namespace: str, deployment: str) -> None:
        loop.add(Key("ModelDeployment", namespace, deployment))

    routers = AdsRouters(on_router_change, permit=permit)
    reconciler = Reconciler(cluster, PodProfiles(session), routers, clock, rules)
    metrics = OperatorMetrics(
        plans=lambda: reconciler.plans,
        depth=lambda: loop.depth,
        writes=lambda: cluster.writes,
        leads=lambda: elector is None or elector.leads,
        transitions=lambda: elector.epoch if elector else 0,
    )
    loop = Loop(reconciler, clock, observe=metrics.observe)
    watcher = Watcher(namespaces, loop.add)
    stack.push_async_callback(watcher.close)
    return _Parts(routers, loop, watcher, metrics)


async def _lead(args: argparse.Namespace, parts: _Parts, elector: Elector | None, stop: asyncio.Event) -> None:
    await parts.routers.server.start(f"{args.bind_address}:{args.xds_port}")
    try:
        logger.info("running; routers at port %s, metrics at port %s", args.xds_port, args.metrics_port)
        async with asyncio.TaskGroup() as group:
            lease = group.create_task(elector.keep()) if elector else None
            work = [group.create_task(parts.loop.run()), group.create_task(parts.watcher.run())]
            await stop.wait()
            logger.info("stopping")
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            if lease:
                lease.cancel()
    finally:
        await parts.routers.server.stop()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or until told to stop."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
