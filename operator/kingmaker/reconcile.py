"""Read, decide, act, write status once. The file to read first.

Decisions are made in `core.decide` and `core.namespace`; how objects are read and written is in `adapters`. What is
here is their order. A namespace comes first: nothing of a Model or ModelDeployment is done before its namespace has
what all of them need, and before it is known which pods are its routers. Then, for a ModelDeployment:

1. one snapshot of its objects;
2. where routers were told nothing yet, the route of the newest record: whatever fails after this, it goes on serving;
3. the counts of its pods, and the plan, a pure function of all that;
4. the record of the decision, if there is one. It is the commit: nothing else of the plan happens without it, and a
   crash after it is healed by the next pass, which finds the record and plans what follows from it;
5. the route, so that traffic leaves a harmful model before anything slower is done;
6. children, ledger, status, events.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.api import ModelDeployment, Reason
from kingmaker.core.contest.policy import affinity_header
from kingmaker.core.contest.queries import questions
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.decide import Rules, decide
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Apply, CreateKeys, Event, Gauges, Plan
from kingmaker.core.quiet import Quiet
from kingmaker.core.serving.children import ledger_config_map
from kingmaker.core.serving.remembered import remembered_route
from kingmaker.core.serving.verification import decide_model
from kingmaker.counting import Counting
from kingmaker.namespaces import Namespaces
from kingmaker.ports import Body, Clock, Cluster, ClusterError, Key, Profiles, Queries, Routers
from kingmaker.questions import Questions
from kingmaker.snapshots.deployment import DeploymentSnapshots
from kingmaker.snapshots.model import observe_model
from kingmaker.writes import REFUSED_RETRY, Writer, is_final

logger = logging.getLogger(__name__)

_OLD: Final = timedelta(seconds=0.2)
"""Age of a snapshot from which on another one is read, when pods were asked for their counts in between."""

_PATIENCE: Final = {"Namespace": 0.0, "Model": 10.0, "ModelDeployment": 60.0}
"""Seconds by kind, while nothing is served yet: in the order in which they need one another."""

_STORED_AT_ONCE: Final = 16
"""Ledgers that are stored at one time when the operator ends."""


class Reconciler:
    """Reconciles namespaces, Models and ModelDeployments, one pass at a time per key."""

    def __init__(
        self,
        cluster: Cluster,
        profiles: Profiles,
        routers: Routers,
        clock: Clock,
        rules: Rules,
        *,
        queries: Queries | None = None,
    ) -> None:
        """Take the ports and how the operator was started; without `queries` no Prometheus is asked."""
        self._cluster = cluster
        self._routers = routers
        self._clock = clock
        self._rules = rules
        self._writer = Writer(cluster, clock)
        self._namespaces = Namespaces(cluster, self._writer, routers, clock, rules)
        self._snapshots = DeploymentSnapshots(cluster, clock, routers)
        self._counting = Counting(profiles, clock, rules.time_between_looks)
        self._questions = Questions(queries, clock, rules.evaluation)
        self.records = self._snapshots.records
        """Told by a watch what became of Decisions."""
        self.gauges: dict[Key, Gauges] = {}
        """The newest figures per deployment, for metrics."""
        self._quiet: dict[Key, Quiet] = {}
        self._keys_made: dict[Key, tuple[str, datetime]] = {}
        """When it was seen to last that a deployment has keys for its request ids, with the deployment's uid."""
        self._unsaved: dict[Key, tuple[ModelDeployment, Ledger]] = {}
        """Deployments with counts that are in memory alone."""

    async def __call__(self, key: Key) -> datetime | None:
        """Reconcile one object; give the time to look again, None when only an event can change anything."""
        if key.kind == "Namespace":
            wait = await self._namespaces.reconcile(key.namespace)
            return self._clock.now() + wait if wait else None
        await self._namespaces.prepare(key.namespace)
        try:
            return await (self._reconcile_model(key) if key.kind == "Model" else self._reconcile_deployment(key))
        except ClusterError:
            # It passes: until then routers keep what they have, this deployment's route among it.
            raise
        except Exception as error:
            if key.kind == "ModelDeployment":
                await self._fall_back(key)
            await self._say_failed(key, error)
            raise

    def patience(self, key: Key) -> float:
        """Give the seconds for which others may go first; none for who answers requests."""
        known = self.gauges.get(key)
        return 0.0 if known and known.weights else _PATIENCE[key.kind]

    async def _reconcile_deployment(self, key: Key) -> datetime | None:
        found = await self._observe(key)
        if found is None:
            self._forget(key)
            return None
        observed, about = found
        quiet = self._quiet.get(key)
        if quiet and quiet.holds(observed):
            looked_at = observed.scraped_at or observed.now
            return min(quiet.until, looked_at + self._rules.time_between_looks(observed.state))
        plan = decide(observed, self._rules)
        if plan.ledger is not None:
            # What was counted was counted, whatever becomes of the plan.
            self._remember(key, observed.mdep, plan.ledger)
        if plan.record is not None:
            # Should the record be refused, what was decided before goes on: the namespace's router waits for nobody.
            self._routers.set_route(key.namespace, key.name, plan.route_before)
            await self._writer.confirm(about)
            await self.records.commit(plan.record)
            spec = plan.record["spec"]
            logger.info("%s: decision %d, %s: %s", key, spec["sequence"], spec["action"], spec["message"])
        self._routers.set_route(key.namespace, key.name, plan.route)
        if plan.record is None and any(map(is_final, plan.actions)):
            await self._writer.confirm(about)
        refusals = await self._writer.act(plan.actions, key.namespace, about)
        if not refusals and any(isinstance(action, CreateKeys) for action in plan.actions):
            self._keys_made[key] = (observed.uid, self._clock.now())
        if plan.store_ledger:
            refusals += await self._store_ledger(key, observed.mdep, plan.ledger or observed.ledger)
        if plan.status is not None:
            await self._writer.write_status(about, plan.status)
        for event in plan.events:
            await self._writer.emit(about, event)
        self.gauges[key] = plan.gauges
        self._settle(key, observed, None if refusals else plan)
        retry = self._clock.now() + REFUSED_RETRY if refusals else None
        return min((t for t in (plan.requeue_at, retry) if t), default=None)

    def _settle(self, key: Key, observed: Observed, plan: Plan | None) -> None:
        """Remember a snapshot that leads to nothing: for a while, or at least until it has to be looked at anyway."""
        self._quiet.pop(key, None)
        if plan and plan.does_nothing and (until := plan.quiet_until or plan.requeue_at):
            self._quiet[key] = Quiet(replace(observed, ledger=plan.ledger or observed.ledger), until)

    async def _observe(self, key: Key) -> tuple[Observed, Body] | None:
        """Read a snapshot, with its ModelDeployment as it is, and what pods counted; None when that is gone."""
        snapshot = await self._snapshots.observe(key)
        if snapshot is None:
            return None
        seen = snapshot.observed
        self._keep_route(key, seen)
        look = await self._counting.look(key, seen.uid, seen.state, seen.models, snapshot.serving, snapshot.stored)
        if self._clock.now() - seen.now > _OLD:
            # Pods that do not answer were waited for: what is old by now must not overwrite what happened meanwhile.
            snapshot = await self._snapshots.observe(key)
            if snapshot is None or snapshot.observed.uid != seen.uid:
                return await self._observe(key) if snapshot else None
        observed = replace(
            snapshot.observed,
            now=self._clock.now(),
            # Those that hold what was decided before an operator started say so as soon as that is known.
            routers=self._routers.routers(key.namespace, key.name),
            ledger=look.ledger,
            profiles=look.profiles,
            scraped=look.scraped,
            scraped_at=look.scraped_at,
            baselines=look.baselines,
            answers=self._questions.look(key, questions(snapshot.observed.mdep, snapshot.observed.state)),
            keys_made=self._made_keys(key, seen.uid),
        )
        return observed, snapshot.body

    def _made_keys(self, key: Key, uid: str) -> datetime | None:
        of, when = self._keys_made.get(key, ("", None))
        return when if of == uid else None

    async def _store_ledger(self, key: Key, deployment: ModelDeployment, ledger: Ledger) -> list[str]:
        stored = replace(ledger, stored=self._clock.now(), unsaved=False)
        apply = Apply(ledger_config_map(deployment, stored), is_new=ledger.stored is None)
        refusals = await self._writer.act((apply,), key.namespace, deployment.manifest())
        # What was refused is tried again after the usual time, not at every look.
        self._remember(key, deployment, replace(stored, unsaved=bool(refusals)))
        return refusals

    def _remember(self, key: Key, deployment: ModelDeployment, ledger: Ledger) -> None:
        self._counting.remember(key, ledger)
        if ledger.unsaved:
            self._unsaved[key] = (deployment, ledger)
        else:
            self._unsaved.pop(key, None)

    async def store_ledgers(self) -> None:
        """Store what is in memory alone, before somebody else goes on. What fails is told, and lost with a crash's."""
        slots = asyncio.Semaphore(_STORED_AT_ONCE)

        async def store(key: Key, deployment: ModelDeployment, ledger: Ledger) -> None:
            async with slots:
                await self._store_ledger(key, deployment, ledger)

        unsaved = [store(key, *held) for key, held in self._unsaved.items()]
        stored = await asyncio.gather(*unsaved, return_exceptions=True)
        failed = [error for error in stored if error is not None]
        if failed:
            logger.warning("%d ledgers of %d were not stored; the first: %s", len(failed), len(stored), failed[0])

    def _keep_route(self, key: Key, observed: Observed) -> None:
        """Where routers were told nothing yet of a deployment, have them go on as was decided last."""
        service = observed.children.get(("Service", key.name), {})
        route = remembered_route(
            observed.state,
            observed.variants,
            cluster_ip=service.get("spec", {}).get("clusterIP"),
            affinity_header=affinity_header(observed.mdep),
        )
        self._routers.keep_route(key.namespace, key.name, route)

    async def _fall_back(self, key: Key) -> None:
        """Have a deployment that can't be decided about answer as was decided last; the others don't wait for it."""
        route = await self._snapshots.last_route(key)
        if route is None:
            self._routers.keep_route(key.namespace, key.name, None)
        else:
            self._routers.set_route(key.namespace, key.name, route)

    def _forget(self, key: Key) -> None:
        """Drop what is known of a deployment that is gone."""
        self._routers.drop_route(key.namespace, key.name)
        self._snapshots.forget(key)
        self._counting.forget(key)
        self._questions.forget(key)
        self.gauges.pop(key, None)
        self._quiet.pop(key, None)
        self._keys_made.pop(key, None)
        self._unsaved.pop(key, None)

    async def _reconcile_model(self, key: Key) -> datetime | None:
        body = await self._cluster.get("Model", key.namespace, key.name)
        if body is None:
            return None
        observed = await observe_model(self._cluster, self._clock, body)
        plan = decide_model(observed, self._rules.settings)
        if plan.actions:
            await self._namespaces.check_jobs_policy(key.namespace)
        if any(map(is_final, plan.actions)):
            await self._writer.confirm(body)
        refusals = await self._writer.act(plan.actions, key.namespace, body)
        if plan.status is not None:
            await self._writer.write_status(body, plan.status)
        for event in plan.events:
            await self._writer.emit(body, event)
        return self._clock.now() + REFUSED_RETRY if refusals else None

    async def _say_failed(self, key: Key, error: Exception) -> None:
        """Tell people of an object that nothing can be decided about; the log has the traceback."""
        body = await self._cluster.get(key.kind, key.namespace, key.name)
        if body is not None:
            message = f"nothing can be decided: {' '.join(str(error).split())}"
            await self._writer.emit(body, Event("Warning", Reason.INTERNAL, message))
