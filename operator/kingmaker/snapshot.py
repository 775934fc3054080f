"""Everything one pass has to know, read live and put into one value."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kingmaker.api import Model, ModelDeployment
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.decide import RETENTION
from kingmaker.core.manifests.names import JOBS, ROUTER, WORKLOAD, bounded, decision_name, verify_job_name
from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT_UID, ROUTER_SELECTOR
from kingmaker.core.observed import Observed, ObservedJob, ObservedRouter
from kingmaker.core.serving.observe import has_ended, is_pod_ready, job_state, observe_variants
from kingmaker.core.state import State, load_state
from kingmaker.counting import Counting, TimeBetweenLooks
from kingmaker.ports import Body, Clock, Cluster, Key, Profiles, Routing

_CHILD_KINDS: Final = (
    "Deployment",
    "HorizontalPodAutoscaler",
    "Service",
    "ConfigMap",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Job",
)
_SHARED: Final = (
    ("ServiceAccount", WORKLOAD),
    ("Deployment", ROUTER),
    ("NetworkPolicy", JOBS),
    ("NetworkPolicy", ROUTER),
    ("PodDisruptionBudget", ROUTER),
)
"""Objects that all deployments of a namespace share."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """What was read of a namespace on behalf of one deployment."""

    models: list[Body]
    siblings: list[Body]
    router_pods: list[Body]
    pods: list[Body]
    objects: Mapping[tuple[str, str], Body]


class Unrouted:
    """Stands in for the routers where nothing is routed: a snapshot that is only looked at."""

    def set_namespace(self, namespace: str, *, deployments: frozenset[str], routers: Mapping[str, str]) -> None:
        """Nobody is told."""

    def routers(self, namespace: str, deployment: str) -> Mapping[str, ObservedRouter]:
        """Nothing is known."""
        del namespace, deployment
        return {}


class Snapshots:
    """Reads snapshots. What was parsed is kept for speed; counts are kept since they are stored now and then only."""

    def __init__(
        self,
        cluster: Cluster,
        profiles: Profiles,
        routers: Routing,
        clock: Clock,
        *,
        between: TimeBetweenLooks | None,
    ) -> None:
        """Take the ports, and how much time shall pass between two looks at the counts; None: pods are never asked."""
        self._cluster = cluster
        self._routers = routers
        self._clock = clock
        self._counting = Counting(profiles, clock, between)
        self._models: dict[str, tuple[str, Model]] = {}

    def forget(self, key: Key) -> None:
        """Drop what is remembered about a deployment that is gone."""
        self._counting.forget(key)

    def remember(self, key: Key, ledger: Ledger) -> None:
        """Keep what was counted for the next snapshot."""
        self._counting.remember(key, ledger)

    async def observe(self, key: Key) -> Observed | None:
        """Read the snapshot of one deployment; None when it does not exist or is being deleted."""
        body = await self._cluster.get("ModelDeployment", key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        deployment = ModelDeployment.parse(body)
        state, listed = await asyncio.gather(self._latest(deployment), self._read(key, deployment.metadata.uid))
        serving = [p for p in listed.pods if p["metadata"]["labels"].get(COMPONENT) == "serving"]
        models = {m.metadata.name: m for m in map(self._parse, listed.models)}
        stored = listed.objects.get(("ConfigMap", bounded(f"{key.name}-ledger")))
        look = await self._counting.look(key, deployment.metadata.uid, state, models, serving, stored)
        jobs = {name: job for (kind, name), job in listed.objects.items() if kind == "Job"}
        service = listed.objects.get(("Service", key.name)) or await self._cluster.get(
            "Service", key.namespace, key.name
        )
        return Observed(
            now=self._clock.now(),
            deployment=deployment,
            uid=deployment.metadata.uid,
            state=state,
            models=models,
            children=listed.objects,
            siblings=tuple(name_and_uid(s) for s in listed.siblings if not s["metadata"].get("deletionTimestamp")),
            variants=observe_variants(listed.objects, serving),
            routers=self._observe_routers(key, listed.siblings, listed.router_pods),
            jobs={name: job_state(job, listed.pods) for name, job in jobs.items()},
            ledger=look.ledger,
            profiles=look.profiles,
            scraped=look.scraped,
            scraped_at=look.scraped_at,
            pod_uids=frozenset(p["metadata"]["uid"] for p in serving),
            baselines=look.baselines,
            is_name_taken=service is not None and not owns(deployment, service),
            expired=await self._expired(deployment, state),
        )

    async def _read(self, key: Key, uid: str) -> _Listed:
        own = {DEPLOYMENT_UID: uid}
        lists = await asyncio.gather(
            self._cluster.list("Model", key.namespace),
            self._cluster.list("ModelDeployment", key.namespace),
            self._cluster.list("Pod", key.namespace, ROUTER_SELECTOR),
            self._cluster.list("Pod", key.namespace, own),
            *(self._cluster.list(kind, key.namespace, own) for kind in _CHILD_KINDS),
        )
        shared = await asyncio.gather(*(self._cluster.get(kind, key.namespace, name) for kind, name in _SHARED))
        objects = [*(body for group in lists[4:] for body in group), *(body for body in shared if body)]
        by_name = {(body["kind"], body["metadata"]["name"]): body for body in objects}
        return _Listed(lists[0], lists[1], lists[2], lists[3], by_name)

    async def verify_job(self, model: Model) -> ObservedJob | None:
        """Read the Job that verifies a Model."""
        meta = model.metadata
        name = verify_job_name(meta.name, meta.uid, model.spec.artifact.digest)
        job = await self._cluster.get("Job", meta.namespace, name)
        if job is None:
            return None
        pods = await self._cluster.list("Pod", meta.namespace, {"batch.kubernetes.io/job-name": name})
        return job_state(job, pods)

    async def _latest(self, deployment: ModelDeployment) -> State:
        """Read the state from the newest record. Status tells where to look; without it all records are read."""
        meta = deployment.metadata
        known = deployment.status.last_decision_ref
        record: Body | None = None
        sequence = 0
        if known:
            record = await self._cluster.get("Decision", meta.namespace, known.name)
            sequence = _sequence(record, meta.uid)
        if not sequence:
            records = await self._cluster.list("Decision", meta.namespace, {DEPLOYMENT_UID: meta.uid})
            record = max(records, key=lambda r: int(r["spec"]["sequence"]), default=None)
            sequence = _sequence(record, meta.uid)
        while True:
            # Records that were committed just before a crash are newer than status.
            newer = await self._cluster.get("Decision", meta.namespace, decision_name(meta.name, sequence + 1))
            if not _sequence(newer, meta.uid):
                break
            record, sequence = newer, sequence + 1
        return load_state(record["spec"]["outcome"]) if record and sequence else State()

    async def _expired(self, deployment: ModelDeployment, state: State) -> tuple[tuple[str, str], ...]:
        if state.sequence <= RETENTION or state.sequence % 20:
            return ()
        meta = deployment.metadata
        records = await self._cluster.list("Decision", meta.namespace, {DEPLOYMENT_UID: meta.uid})
        old = [r for r in records if int(r["spec"]["sequence"]) <= state.sequence - RETENTION]
        return tuple(name_and_uid(r) for r in old)

    def _observe_routers(
        self, key: Key, siblings: Iterable[Body], router_pods: Iterable[Body]
    ) -> tuple[ObservedRouter, ...]:
        pods = [p for p in router_pods if p.get("status", {}).get("podIP") and not has_ended(p)]
        self._routers.set_namespace(
            key.namespace,
            deployments=frozenset(s["metadata"]["name"] for s in siblings),
            routers={p["status"]["podIP"]: p["metadata"]["name"] for p in pods},
        )
        told = self._routers.routers(key.namespace, key.name)
        found = []
        for pod in pods:
            name = pod["metadata"]["name"]
            known = told.get(name)
            # A router that is going away still acknowledges; one that is not ready gets no requests.
            ready = is_pod_ready(pod)
            found.append(
                ObservedRouter(name, ready, known.decision, known.weights, known.error)
                if known
                else ObservedRouter(name, ready)
            )
        return tuple(found)

    def _parse(self, body: Body) -> Model:
        meta = body["metadata"]
        known = self._models.get(meta["uid"])
        if known and known[0] == meta["resourceVersion"]:
            return known[1]
        model = Model.parse(body)
        if len(self._models) > 10_000:
            self._models.clear()
        self._models[meta["uid"]] = (meta["resourceVersion"], model)
        return model


def _sequence(record: Body | None, uid: str) -> int:
    """Number of a record of this very deployment; 0 when it is none, or an older one's of the same name."""
    if record is None or record["spec"]["deploymentUid"] != uid:
        return 0
    return int(record["spec"]["sequence"])


def owns(deployment: ModelDeployment, body: Body) -> bool:
    """Whether an object belongs to a deployment, or did to an earlier one of its name."""
    references = body["metadata"].get("ownerReferences") or ()
    return any(o["kind"] == deployment.kind and o["name"] == deployment.metadata.name for o in references)


def name_and_uid(body: Body) -> tuple[str, str]:
    """Give what an owner reference is made of."""
    return body["metadata"]["name"], body["metadata"]["uid"]
