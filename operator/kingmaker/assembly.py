"""The parts put together and run: stand by where there is an election, then watch, reconcile and route."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final

from kingmaker import garbage
from kingmaker.adapters.clock import SystemClock, tick
from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.connection import connect
from kingmaker.adapters.election import Candidate, Terms
from kingmaker.adapters.feeds import Feeds, Recorded
from kingmaker.adapters.kinds import kinds
from kingmaker.adapters.lease import Elector, LeaseStore
from kingmaker.adapters.management import Management
from kingmaker.adapters.metrics import OperatorMetrics
from kingmaker.adapters.profiles import PodProfiles, pod_session
from kingmaker.adapters.prometheus import PrometheusQueries
from kingmaker.adapters.storedcluster import StoredCluster
from kingmaker.core.decide import Rules
from kingmaker.core.manifests.addresses import host_port
from kingmaker.core.manifests.settings import Settings
from kingmaker.handlers.interest import concerned, everybody
from kingmaker.handlers.watcher import Watcher
from kingmaker.kube.client import KubeClient, always
from kingmaker.kube.store import Change, Store
from kingmaker.loop import Loop
from kingmaker.options import Options
from kingmaker.ports import Key
from kingmaker.reconcile import Reconciler
from kingmaker.routing.bootstrap import router_container
from kingmaker.routing.routers import AdsRouters

logger = logging.getLogger(__name__)

_ROUTER_HEAP: Final = 900 * 2**20
"""Bytes, a little below the router's memory limit: near it Envoy refuses work instead of being killed."""


_NEWS_AFTER_SECONDS: Final = 15.0
"""Longest time after which news of Models are told."""

_STORING_SECONDS: Final = 10.0
"""For what is left to store when the operator is told to end; its grace is three times that."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the leader runs. Nothing of it listens, reads or writes before that."""

    routers: AdsRouters
    reconciler: Reconciler
    loop: Loop
    feeds: Feeds
    watcher: Watcher
    metrics: OperatorMetrics


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: A port can't be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        elector = await _elector(options, stack) if options.leader_elect else None
        parts = await _assemble(options, elector, stack)
        management = Management(parts.metrics.registry, elector.describe if elector else lambda: "ok")
        await management.start(options.bind_address, options.metrics_port)
        stack.push_async_callback(management.stop)
        if elector:
            await _until(stop, elector.win())
            # After everything that writes has ended, before the connections close.
            stack.push_async_callback(elector.release)
        if not stop.is_set():
            await _lead(options, parts, elector, stop)


async def _elector(options: Options, stack: contextlib.AsyncExitStack) -> Elector:
    terms = Terms(options.lease_seconds)
    client = await connect(options.kubeconfig or None, timeout_seconds=terms.deadline / 2)
    await stack.enter_async_context(client)
    store = LeaseStore(client, namespace=options.operator_namespace, name=options.lease_name)
    return Elector(store, Candidate(options.identity, terms), SystemClock(), tick)


async def _assemble(
    options: Options,
    elector: Elector | None,
    stack: contextlib.AsyncExitStack,
) -> _Parts:
    permit = elector.permit if elector else always
    client = await stack.enter_async_context(await connect(options.kubeconfig or None, permit=permit))
    store = Store(kinds())
    cluster = StoredCluster(KubernetesCluster(client), store)
    session = await stack.enter_async_context(pod_session())
    clock = SystemClock()

    def on_router_change(namespace: str, deployment: str) -> None:
        # A namespace has several of them, and each says several things.
        loop.add_soon(Key("ModelDeployment", namespace, deployment))

    routers = AdsRouters(on_router_change, permit=permit)
    profiles = PodProfiles(session)
    queries = PrometheusQueries(session, options.prometheus_addresses)
    reconciler = Reconciler(cluster, profiles, routers, clock, rules_of(options), queries=queries)
    metrics = OperatorMetrics(
        gauges=lambda: reconciler.gauges,
        depth=lambda: loop.depth,
        writes=lambda: cluster.writes,
        leads=lambda: elector is None or elector.leads,
        transitions=lambda: elector.epoch if elector else 0,
        dropped=lambda: profiles.dropped,
    )
    loop = Loop(reconciler, clock, observe=metrics.observe, patience=reconciler.patience)
    feeds = _feeds(client, store, options.namespaces, loop, reconciler.records)
    watcher = Watcher(options.namespaces, feeds.seen, on_break=feeds.list_again)
    stack.push_async_callback(watcher.close)
    return _Parts(routers, reconciler, loop, feeds, watcher, metrics)


def _feeds(client: KubeClient, store: Store, namespaces: Sequence[str], loop: Loop, records: Recorded) -> Feeds:
    """Have what changes in the store reconciled, from the moment on at which its namespace is known completely."""

    def changed(change: Change) -> None:
        body = change.after or change.before or {}
        if store.is_synced(body["metadata"]["namespace"]):
            for key in concerned(change, store):
                loop.add(key)

    def synced(namespace: str) -> None:
        logger.info("read completely: %s", namespace or "all namespaces")
        garbage.settle()
        for key in everybody(store, namespace):
            loop.add(key)

    store.listen(changed)
    return Feeds(client, store, namespaces, synced=synced, recorded=records)


async def _lead(options: Options, parts: _Parts, elector: Elector | None, stop: asyncio.Event) -> None:
    await parts.routers.server.start(host_port(options.bind_address, options.xds_port))
    try:
        logger.info("running; routers at port %s, metrics at port %s", options.xds_port, options.metrics_port)
        async with asyncio.TaskGroup() as group:
            lease = group.create_task(elector.keep()) if elector else None
            running = (parts.loop.run(), parts.feeds.run(), _watch(parts), garbage.collect())
            work = [group.create_task(task) for task in running]
            await stop.wait()
            logger.info("stopping")
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            # While the Lease is held: who follows begins with all that was counted.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STORING_SECONDS):
                    await parts.reconciler.store_ledgers()
            if lease:
                lease.cancel()
    finally:
        await parts.routers.server.stop()


async def _watch(parts: _Parts) -> None:
    """Have kopf tell news once all that is there was gone through: its import and its list take two seconds of CPU.

    What happens before is in its list. Nobody waits for long: there may be always something to do.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_NEWS_AFTER_SECONDS):
            await parts.feeds.are_synced()
            await parts.loop.drained()
    await parts.watcher.run()


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or until told to stop."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def rules_of(options: Options) -> Rules:
    """Give what decisions depend on of how the operator was started."""
    names = {field.name for field in fields(Settings)} & set(Options.model_fields)
    settings = Settings(**{name: getattr(options, name) for name in names})
    router = router_container(
        xds_host=options.xds_host,
        xds_port=options.xds_port,
        drain_seconds=max(1, options.pre_stop_seconds),
        max_heap_bytes=_ROUTER_HEAP,
    )
    intervals = (options.evaluation_interval, options.contest_interval, options.ledger_interval)
    return Rules(settings, router, *(timedelta(seconds=seconds) for seconds in intervals))
