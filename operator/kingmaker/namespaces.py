"""The pass about a namespace: what its ModelDeployments and Models share, and which pods are its routers."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.core.decide import Rules
from kingmaker.core.manifests.names import JOBS
from kingmaker.core.namespace import ObservedNamespace, decide_namespace
from kingmaker.core.serving.ownership import is_managed
from kingmaker.ports import Clock, Cluster, RefusedError, Routers
from kingmaker.snapshots.namespace import look_again, observe_namespace, spokesman
from kingmaker.writes import REFUSED_RETRY, Writer

logger = logging.getLogger(__name__)

SETTLING: Final = timedelta(seconds=15)
"""How long after its start the operator takes it that routers do as they were told before: they leave one that is gone
within 8 s, and come back within seconds."""


class Namespaces:
    """Reconciles namespaces, one pass at a time each. Memory is for speed alone: which were gone through once."""

    def __init__(self, cluster: Cluster, writer: Writer, routers: Routers, clock: Clock, rules: Rules) -> None:
        """Take the ports and how the operator was started."""
        self._cluster = cluster
        self._writer = writer
        self._routers = routers
        self._clock = clock
        self._rules = rules
        self._prepared: set[str] = set()
        self._begun: datetime | None = None
        self._locks: dict[str, asyncio.Lock] = {}

    async def prepare(self, namespace: str) -> None:
        """Have what Models and ModelDeployments need before anything is done about one of them.

        Raises:
            ClusterError: The API server can't be asked.
        """
        if namespace not in self._prepared:
            async with self._lock(namespace):
                if namespace not in self._prepared:
                    await self._pass(namespace)

    async def reconcile(self, namespace: str) -> timedelta | None:
        """Go through a namespace; give how long to wait before the next look, None when only an event changes anything.

        Raises:
            ClusterError: The API server can't be asked.
        """
        async with self._lock(namespace):
            return await self._pass(namespace)

    def _lock(self, namespace: str) -> asyncio.Lock:
        return self._locks.setdefault(namespace, asyncio.Lock())

    async def _pass(self, namespace: str) -> timedelta | None:
        observed = await observe_namespace(self._cluster, namespace)
        # Read right before, and by one pass at a time: what is older never overwrites what is newer.
        now = self._clock.now()
        self._begun = self._begun or now
        settling = self._begun + SETTLING - now
        pods = tuple(replace(pod, settling=settling > timedelta(0)) for pod in observed.routers)
        self._routers.set_namespace(namespace, deployments=observed.deployments, pods=pods)
        plan = decide_namespace(observed, self._rules.settings, self._rules.router)
        about = await spokesman(self._cluster, observed) if plan.writes else None
        refusals = await self._writer.act(plan.writes, namespace, about)
        if plan.removals:
            # Who came meanwhile keeps what is shared.
            live = await look_again(self._cluster, observed)
            again = decide_namespace(live, self._rules.settings, self._rules.router)
            removals = [removal for removal in plan.removals if removal in again.removals]
            refusals += await self._writer.act(removals, namespace, None)
            logger.info("%s: removed %s", namespace, ", ".join(f"{r.kind} {r.name}" for r in removals))
        self._remember(observed)
        if refusals:
            return REFUSED_RETRY
        if observed.is_empty:
            return None
        return min(self._rules.evaluation, settling) if settling > timedelta(0) else self._rules.evaluation

    async def check_jobs_policy(self, namespace: str) -> None:
        """Let no Job begin before the policy that keeps it from what it may not reach.

        Raises:
            RefusedError: It is not there: the pass about the namespace said why.
        """
        policy = await self._cluster.get("NetworkPolicy", namespace, JOBS)
        if policy is None or not is_managed(policy):
            raise RefusedError(f"NetworkPolicy {JOBS} is not there yet: no Job begins before it")

    def _remember(self, observed: ObservedNamespace) -> None:
        if observed.deployments or observed.models:
            self._prepared.add(observed.name)
            return
        self._prepared.discard(observed.name)
        if observed.is_empty:
            self._routers.forget(observed.name)
