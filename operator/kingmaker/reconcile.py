"""Read, decide, act, write status once. The file to read first.

Decisions are made in `core.decide`; how objects are read and written is in `adapters`. What is here is their order:

1. one snapshot of everything, live;
2. the plan, a pure function of the snapshot;
3. the record of the decision, if there is one. It is the commit: nothing else of the plan happens without it, and a
   crash after it is healed by the next pass, which finds the record and plans what follows from it;
4. the route, so that traffic leaves a harmful model before anything slower is done;
5. children, ledger, status, events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from kingmaker.api import Model, ModelDeployment, RoleStatus
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.decide import Rules, decide
from kingmaker.core.manifests.names import JOBS, WORKLOAD
from kingmaker.core.plan import Action, Apply, Create, Delete, Gauges, HandOver
from kingmaker.core.serving.children import ledger_config_map, workload_manifests
from kingmaker.core.serving.observe import model_roles
from kingmaker.core.serving.ownership import is_being_collected, is_ours, taken_message
from kingmaker.core.serving.verification import ObservedModel, decide_model
from kingmaker.ports import (
    Body,
    Clock,
    Cluster,
    ClusterError,
    ConflictError,
    Key,
    NotFoundError,
    Profiles,
    RefusedError,
    Routers,
)
from kingmaker.snapshot import Snapshots, name_and_uid

logger = logging.getLogger(__name__)

_REFUSED_RETRY: Final = timedelta(seconds=15)
"""Until an object that admission refused is tried again: a quota may be raised at any time."""


_STORED_AT_ONCE: Final = 16
"""Ledgers that are stored at one time when the operator ends."""


class Reconciler:
    """Reconciles Models and ModelDeployments, one pass at a time per key."""

    def __init__(self, cluster: Cluster, profiles: Profiles, routers: Routers, clock: Clock, rules: Rules) -> None:
        """Take the ports and how the operator was started."""
        self._cluster = cluster
        self._routers = routers
        self._clock = clock
        self._rules = rules
        self._snapshots = Snapshots(cluster, profiles, routers, clock, between=rules.time_between_looks)
        self.gauges: dict[Key, Gauges] = {}
        """The newest figures per deployment, for metrics."""
        self._unsaved: dict[Key, tuple[ModelDeployment, Ledger]] = {}
        """Deployments with counts that are in memory alone."""

    async def __call__(self, key: Key) -> datetime | None:
        """Reconcile one object; give the time to look again, None when only an event can change anything."""
        if key.kind == "Model":
            return await self._reconcile_model(key)
        try:
            return await self._reconcile_deployment(key)
        except ClusterError:
            # It passes: until then routers keep what they have, this deployment's route among it.
            raise
        except Exception:
            # The namespace's other deployments must not wait for one that can't be decided about.
            self._routers.keep_route(key.namespace, key.name)
            raise

    async def _reconcile_deployment(self, key: Key) -> datetime | None:
        observed = await self._snapshots.observe(key)
        if observed is None:
            self._routers.set_route(key.namespace, key.name, None)
            self._routers.forget(key.namespace, key.name)
            self._snapshots.forget(key)
            self.gauges.pop(key, None)
            self._unsaved.pop(key, None)
            return None
        plan = decide(observed, self._rules)
        if plan.ledger is not None:
            # What was counted was counted, whatever becomes of the plan.
            self._remember(key, observed.deployment, plan.ledger)
        about = observed.deployment.manifest()
        if plan.record is not None:
            # Should the record be refused, what was decided before goes on: the namespace's router waits for nobody.
            self._routers.set_route(key.namespace, key.name, plan.route_before)
            await self._cluster.create(plan.record)
            spec = plan.record["spec"]
            logger.info("%s: decision %d, %s: %s", key, spec["sequence"], spec["action"], spec["message"])
        self._routers.set_route(key.namespace, key.name, plan.route)
        refusals = await self._act(plan.actions, key.namespace, about)
        if plan.store_ledger:
            refusals += await self._store_ledger(key, observed.deployment, plan.ledger or observed.ledger)
        if plan.status is not None:
            await self._write_status(about, plan.status)
        for event in plan.events:
            await self._emit(about, event.type, event.reason, event.message)
        self.gauges[key] = plan.gauges
        retry = self._clock.now() + _REFUSED_RETRY if refusals else None
        return min((t for t in (plan.requeue_at, retry) if t), default=None)

    async def _store_ledger(self, key: Key, deployment: ModelDeployment, ledger: Ledger) -> list[str]:
        stored = replace(ledger, stored=self._clock.now(), unsaved=False)
        apply = Apply(ledger_config_map(deployment, stored), is_new=ledger.stored is None)
        refusals = await self._act((apply,), key.namespace, deployment.manifest())
        # What was refused is tried again after the usual time, not at every look.
        self._remember(key, deployment, replace(stored, unsaved=bool(refusals)))
        return refusals

    def _remember(self, key: Key, deployment: ModelDeployment, ledger: Ledger) -> None:
        self._snapshots.remember(key, ledger)
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

    async def _reconcile_model(self, key: Key) -> datetime | None:
        body = await self._cluster.get("Model", key.namespace, key.name)
        if body is None:
            return None
        model = Model.parse(body)
        roles = await self._roles(key)
        job = await self._snapshots.verify_job(model)
        plan = decide_model(ObservedModel(self._clock.now(), model, job, roles), self._rules.settings)
        if plan.actions:
            await self._prepare(key.namespace)
        refusals = await self._act(plan.actions, key.namespace, body)
        if plan.status is not None:
            await self._write_status(body, plan.status)
        for event in plan.events:
            await self._emit(body, event.type, event.reason, event.message)
        return self._clock.now() + _REFUSED_RETRY if refusals else None

    async def _prepare(self, namespace: str) -> None:
        """Have what workloads need before the first Job, also where there is no deployment yet."""
        account = await self._cluster.get("ServiceAccount", namespace, WORKLOAD)
        if account and await self._cluster.get("NetworkPolicy", namespace, JOBS):
            return
        owners = [name_and_uid(b) for b in await self._cluster.list("ModelDeployment", namespace)]
        models = [name_and_uid(b) for b in await self._cluster.list("Model", namespace)]
        for body in workload_manifests(namespace, owners=owners, models=models, settings=self._rules.settings):
            await self._cluster.apply(body)

    async def _roles(self, key: Key) -> tuple[RoleStatus, ...]:
        return model_roles(await self._cluster.list("ModelDeployment", key.namespace), key.name)

    async def _act(self, actions: tuple[Action, ...], namespace: str, about: Body) -> list[str]:
        """Carry out the actions in order. A refusal becomes an Event and does not keep the others from happening."""
        refusals: list[str] = []
        for action in actions:
            try:
                await self._carry_out(action, namespace)
            except RefusedError as refused:
                refusals.append(str(refused))
                await self._emit(about, "Warning", "Refused", str(refused))
        return refusals

    async def _carry_out(self, action: Action, namespace: str) -> None:
        match action:
            case Create(body):
                await self._cluster.create(body)
            case Apply(body, is_new):
                if is_new:
                    await self._check_name(body, namespace)
                await self._cluster.apply(body)
            case HandOver(body, uid, replicas):
                await self._hand_over(body, uid, replicas)
            case Delete(api_version, kind, name, uid):
                await self._cluster.delete(api_version, kind, namespace, name, uid)
            case _:
                assert_never(action)

    async def _check_name(self, body: Body, namespace: str) -> None:
        """Leave alone what has the name of a child and isn't one.

        Raises:
            ConflictError: It was an earlier owner's of the same name, and is about to be collected.
            RefusedError: It is somebody else's.
        """
        kind, name = body["kind"], body["metadata"]["name"]
        live = await self._cluster.get_live(kind, namespace, name)
        if live is None or is_ours(live, body):
            return
        if is_being_collected(live, body):
            raise ConflictError(f"{kind} {name} of an earlier owner is not gone yet")
        raise RefusedError(taken_message(kind, name))

    async def _hand_over(self, body: Body, uid: str, replicas: int) -> None:
        meta = body["metadata"]
        head = {"apiVersion": body["apiVersion"], "kind": body["kind"]}
        metadata = {"name": meta["name"], "namespace": meta["namespace"], "uid": uid}
        await self._cluster.apply_aside({**head, "metadata": metadata, "spec": {"replicas": replicas}})
        await self._cluster.apply(body)

    async def _write_status(self, about: Body, status: Mapping[str, object]) -> None:
        meta = about["metadata"]
        head = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
        metadata = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        try:
            await self._cluster.apply_status({**head, "metadata": metadata, "status": status})
        except NotFoundError:
            # Deleted meanwhile: its children go with it.
            logger.debug("status of a deleted object", extra={"object": meta["name"]})

    async def _emit(self, about: Body, type_: str, reason: str, message: str) -> None:
        await self._cluster.emit(about, type_=type_, reason=reason, message=message, now=self._clock.now())
