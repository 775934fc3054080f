"""Everything one pass about a ModelDeployment has to know of the API server, read into one value.

No list in it grows with the namespace: Models are read by name, or by the labels that let them enter, and what a
namespace has once is another pass's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kingmaker.api import Model, ModelDeployment
from kingmaker.core.manifests.names import bounded, produced_model_name
from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT_UID
from kingmaker.core.manifests.records import RETENTION
from kingmaker.core.observed import Observed
from kingmaker.core.plan import RoutePlan
from kingmaker.core.serving.observe import job_state, observe_variants
from kingmaker.core.serving.remembered import remembered_route
from kingmaker.core.state import State
from kingmaker.ports import Body, Clock, Cluster, Key, Routing
from kingmaker.snapshots.parsed import Parsed
from kingmaker.snapshots.records import Records, name_and_uid

logger = logging.getLogger(__name__)

_CHILD_KINDS: Final = (
    "Deployment",
    "HorizontalPodAutoscaler",
    "Service",
    "ConfigMap",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Job",
)

_PRUNED_EVERY: Final = 20
"""Decisions between two looks for records beyond the retention."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read: the value that is decided on, without counts, the pods that have them, and the stored ledger.

    `body` is the ModelDeployment as the API server gives it.
    """

    body: Body
    observed: Observed
    serving: list[Body]
    stored: Body | None


class DeploymentSnapshots:
    """Reads snapshots. Memory is for speed alone: Models that were parsed, records that were looked through."""

    def __init__(self, cluster: Cluster, clock: Clock, routers: Routing) -> None:
        """Take the ports."""
        self._cluster = cluster
        self._clock = clock
        self._routers = routers
        self.records = Records(cluster)
        self._models = Parsed(Model)
        self._deployments = Parsed(ModelDeployment)
        self._pruned: dict[Key, int] = {}
        self._uids: dict[Key, str] = {}
        self._sought: dict[Key, set[str]] = {}
        """Models that a deployment names and that were looked for in vain."""

    def forget(self, key: Key) -> None:
        """Drop what is remembered about a deployment that is gone."""
        self._pruned.pop(key, None)
        self._sought.pop(key, None)
        self.records.forget(self._uids.pop(key, ""))

    async def observe(self, key: Key) -> Snapshot | None:
        """Read the snapshot of one deployment; None when it does not exist or is being deleted.

        Raises:
            ValueError: The ModelDeployment, or the newest record of its state, can't be read.
        """
        body = await self._cluster.get("ModelDeployment", key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        deployment = self._deployments.of(body)
        meta = deployment.metadata
        self._uids[key] = meta.uid
        # One after the other: what is in memory waits for nobody, and a task costs more than reading it does.
        latest = await self.records.latest(deployment)
        children = await self._children(key.namespace, meta.uid)
        pods = await self._cluster.list("Pod", key.namespace, {DEPLOYMENT_UID: meta.uid})
        models, unreadable = await self._read_models(deployment, latest.state)
        serving = _serving(pods)
        service = children.get(("Service", key.name)) or await self._cluster.get("Service", key.namespace, key.name)
        jobs = {name: job for (kind, name), job in children.items() if kind == "Job"}
        observed = Observed(
            now=self._clock.now(),
            mdep=deployment,
            uid=meta.uid,
            state=latest.state,
            models=models,
            unreadable=unreadable,
            children=children,
            variants=observe_variants(children, serving),
            routers=self._routers.routers(key.namespace, key.name),
            jobs={name: job_state(job, pods) for name, job in jobs.items()},
            pod_uids=frozenset(p["metadata"]["uid"] for p in serving),
            taken=(*_taken(deployment, service), *latest.taken),
            expired=await self._expired(key, deployment, latest.state),
        )
        return Snapshot(body, observed, serving, children.get(("ConfigMap", bounded(f"{key.name}-ledger"))))

    async def last_route(self, key: Key) -> RoutePlan | None:
        """Give what was decided last of who answers, with the pods of now, of a deployment that can't be decided about.

        Whatever can't be read is done without: the deployment's spec, records that are no state. None when no record
        says anything.
        """
        body = await self._cluster.get("ModelDeployment", key.namespace, key.name)
        if body is None:
            return None
        uid = body["metadata"]["uid"]
        own = {DEPLOYMENT_UID: uid}
        state = await self.records.last_readable(key.namespace, uid)
        pods = await self._cluster.list("Pod", key.namespace, own)
        service = await self._cluster.get("Service", key.namespace, key.name)
        return remembered_route(
            state,
            observe_variants({}, _serving(pods)),
            cluster_ip=_text(service, "spec", "clusterIP"),
            affinity_header=_text(body, "spec", "routing", "affinity", "header"),
        )

    async def _children(self, namespace: str, uid: str) -> dict[tuple[str, str], Body]:
        own = {DEPLOYMENT_UID: uid}
        lists = [await self._cluster.list(kind, namespace, own) for kind in _CHILD_KINDS]
        return {(body["kind"], body["metadata"]["name"]): body for group in lists for body in group}

    async def _read_models(self, deployment: ModelDeployment, state: State) -> tuple[dict[str, Model], dict[str, str]]:
        """Read the Models that matter here: those that are named, and those that may enter by themselves."""
        namespace = deployment.metadata.namespace
        enrol, retraining = deployment.spec.enrol, deployment.spec.retraining
        labels = [dict(enrol.selector.match_labels)] if enrol else []
        if enrol or retraining or state.runs:
            labels.append({DEPLOYMENT_UID: deployment.metadata.uid})
        key = Key("ModelDeployment", namespace, deployment.metadata.name)
        named = [await self._find(key, name) for name in _named(deployment, state)]
        listed = [await self._cluster.list("Model", namespace, one) for one in labels]
        bodies = [*filter(None, named), *(body for group in listed for body in group)]
        if retraining and not state.open_run:
            bodies += await self._in_the_way(deployment, state)
        models: dict[str, Model] = {}
        unreadable: dict[str, str] = {}
        for body in bodies:
            name = body["metadata"]["name"]
            try:
                models[name] = self._models.of(body)
            except ValueError as error:
                unreadable[name] = " ".join(str(error).split())
        return models, unreadable

    async def _find(self, key: Key, model: str) -> Body | None:
        """Give a Model that a deployment names. Where it is not known it is looked for, once.

        Both are applied together, and news of the Model may come later: that it is not there is said only if so.
        """
        body = await self._cluster.get("Model", key.namespace, model)
        sought = self._sought.setdefault(key, set())
        if body is not None:
            sought.discard(model)
        elif model not in sought:
            sought.add(model)
            body = await self._cluster.get_live("Model", key.namespace, model)
        return body

    async def _in_the_way(self, deployment: ModelDeployment, state: State) -> list[Body]:
        """Read the Models that have the name which the next run's would get, until there is a free one."""
        meta, number = deployment.metadata, state.next_run_number
        found: list[Body] = []
        while body := await self._cluster.get("Model", meta.namespace, produced_model_name(meta.name, number)):
            found.append(body)
            number += 1
        return found

    async def _expired(self, key: Key, deployment: ModelDeployment, state: State) -> tuple[tuple[str, str], ...]:
        if state.sequence <= RETENTION or state.sequence % _PRUNED_EVERY or self._pruned.get(key) == state.sequence:
            return ()
        records = await self.records.all(key.namespace, deployment.metadata.uid)
        old = [r for r in records if int(r["spec"]["sequence"]) <= state.sequence - RETENTION]
        if not old:
            self._pruned[key] = state.sequence
        return tuple(name_and_uid(r) for r in old)


def _named(deployment: ModelDeployment, state: State) -> list[str]:
    """Name the Models that the spec or the state names."""
    spec = deployment.spec
    names: list[str] = [spec.champion_ref.name, *(c.model_ref.name for c in spec.challengers)]
    names += [seat.name for seat in (state.champion, state.previous) if seat]
    names += [contest.model for contest in state.contests]
    if run := state.open_run:
        names += [run.parent, produced_model_name(deployment.metadata.name, run.number)]
    return [name for name in dict.fromkeys(names) if name]


def _taken(deployment: ModelDeployment, service: Body | None) -> tuple[tuple[str, str], ...]:
    """Name the deployment's Service where it is neither its own nor an earlier deployment's of its name."""
    if service is None:
        return ()
    name = deployment.metadata.name
    references = service["metadata"].get("ownerReferences") or ()
    is_own = any(o["kind"] == deployment.kind and o["name"] == name for o in references)
    return () if is_own else (("Service", name),)


def _serving(pods: Iterable[Body]) -> list[Body]:
    return [p for p in pods if p["metadata"]["labels"].get(COMPONENT) == "serving"]


def _text(body: Body | None, *path: str) -> str | None:
    """Give a text in an object that may have any form."""
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None
