"""Everything one pass has to know, read live and put into one value."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kingmaker.api import Model, ModelDeployment, Role, RoleStatus
from kingmaker.core.baseline import Baseline
from kingmaker.core.children import LEDGER
from kingmaker.core.decide import RETENTION
from kingmaker.core.ledger import Ledger, load_ledger
from kingmaker.core.manifests.names import ROUTER, WORKLOAD, bounded, decision_name, verify_job_name
from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT_UID, MODEL, ROUTER_SELECTOR
from kingmaker.core.observed import Observed, ObservedJob, ObservedRouter, ObservedVariant
from kingmaker.core.profile import Profile
from kingmaker.core.state import State, load_state
from kingmaker.ports import Body, Clock, Cluster, Key, PodAddress, Profiles, Routing

_CHILD_KINDS: Final = (
    "Deployment",
    "Service",
    "ConfigMap",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Job",
)
_SHARED: Final = (
    ("ServiceAccount", WORKLOAD),
    ("Deployment", ROUTER),
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
    """Reads snapshots. Memory is for speed alone: what was parsed, and when pods were last asked for counts."""

    def __init__(
        self,
        cluster: Cluster,
        profiles: Profiles,
        routers: Routing,
        clock: Clock,
        *,
        evaluation: timedelta,
        scrape: bool = True,
    ) -> None:
        """Take the ports; pods are asked for counts at most once per `evaluation`, or never."""
        self._cluster = cluster
        self._profiles = profiles
        self._routers = routers
        self._clock = clock
        self._evaluation = evaluation
        self._scrape_pods = scrape
        self._scraped: dict[Key, datetime] = {}
        self._models: dict[str, tuple[str, Model]] = {}
        self._baselines: dict[str, Baseline] = {}

    def forget(self, key: Key) -> None:
        """Drop what is remembered about a deployment that is gone."""
        self._scraped.pop(key, None)

    async def observe(self, key: Key) -> Observed | None:
        """Read the snapshot of one deployment; None when it does not exist or is being deleted."""
        body = await self._cluster.get("ModelDeployment", key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        deployment = ModelDeployment.parse(body)
        state, listed = await asyncio.gather(self._latest(deployment), self._read(key, deployment.metadata.uid))
        serving = [p for p in listed.pods if p["metadata"]["labels"].get(COMPONENT) == "serving"]
        profiles = await self._scrape(key, serving)
        models = {m.metadata.name: m for m in map(self._parse, listed.models)}
        jobs = {name: job for (kind, name), job in listed.objects.items() if kind == "Job"}
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
            ledger=_read_ledger(listed.objects.get(("ConfigMap", bounded(f"{key.name}-ledger")))),
            profiles=tuple(profiles or ()),
            scraped=profiles is not None,
            pod_uids=frozenset(p["metadata"]["uid"] for p in serving),
            baselines=await self._champion_baseline(state, models, serving),
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
        pods = [p for p in router_pods if p.get("status", {}).get("podIP") and not _ended(p)]
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

    async def _scrape(self, key: Key, serving: list[Body]) -> list[Profile] | None:
        now = self._clock.now()
        last = self._scraped.get(key)
        if not self._scrape_pods:
            return None
        if last is not None and now < last + self._evaluation * 0.9:
            return None
        self._scraped[key] = now
        return await self._profiles.scrape(_addresses(serving))

    async def _champion_baseline(
        self, state: State, models: Mapping[str, Model], serving: list[Body]
    ) -> dict[str, Baseline]:
        champion = models.get(state.champion.name) if state.champion else None
        file = champion.spec.baseline if champion else None
        if champion is None or file is None:
            return {}
        if file.digest not in self._baselines:
            name = champion.metadata.name
            pods = [p for p in serving if p["metadata"]["labels"].get(MODEL) == bounded(name)]
            found = await self._profiles.baseline(_addresses(pods), file.digest)
            if found is None:
                return {}
            self._baselines[file.digest] = found
        return {file.digest: self._baselines[file.digest]}

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


def name_and_uid(body: Body) -> tuple[str, str]:
    """Give what an owner reference is made of."""
    return body["metadata"]["name"], body["metadata"]["uid"]


def _read_ledger(config_map: Body | None) -> Ledger:
    text = (config_map or {}).get("data", {}).get(LEDGER, "")
    try:
        return load_ledger(text) if text else Ledger()
    except ValueError:
        # Somebody edited it. Counting begins again; nothing is decided on what can't be read.
        return Ledger()


def _addresses(pods: Iterable[Body]) -> list[PodAddress]:
    return [
        PodAddress(p["metadata"]["uid"], p["status"]["podIP"])
        for p in pods
        if p.get("status", {}).get("podIP") and not _ended(p)
    ]


def _ended(pod: Body) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_pod_ready(pod: Body) -> bool:
    """Whether a pod may get requests: Ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def observe_variants(objects: Mapping[tuple[str, str], Body], pods: Iterable[Body]) -> dict[str, ObservedVariant]:
    """Sum up the Deployments, Services and pods of every variant, by model name."""
    by_model: dict[str, list[Body]] = {}
    for pod in pods:
        by_model.setdefault(pod["metadata"]["labels"].get(MODEL, ""), []).append(pod)
    variants = {}
    for (kind, name), body in objects.items():
        model = body["metadata"].get("labels", {}).get(MODEL)
        if kind != "Deployment" or not model:
            continue
        ready = sorted(p["status"]["podIP"] for p in by_model.get(model, ()) if is_pod_ready(p))
        service = objects.get(("Service", name), {})
        variants[model] = ObservedVariant(
            model=model,
            desired=body["spec"].get("replicas", 1),
            ready=len(ready),
            endpoints=tuple(ready),
            service_ip=service.get("spec", {}).get("clusterIP"),
            stalled=_stalled(body, by_model.get(model, ())),
        )
    return variants


def _stalled(deployment: Body, pods: Iterable[Body]) -> str:
    for condition in deployment.get("status", {}).get("conditions") or ():
        late = condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        if late and condition["status"] == "False":
            return "; ".join([condition.get("message", "the pods do not come up"), *_complaints(pods)])
    return ""


def _complaints(pods: Iterable[Body]) -> list[str]:
    """What containers that wait or failed say, each once."""
    found: dict[str, None] = {}
    for pod in pods:
        status = pod.get("status", {})
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waiting = container.get("state", {}).get("waiting") or {}
            last = container.get("lastState", {}).get("terminated") or {}
            text = last.get("message") or waiting.get("message") or waiting.get("reason")
            if text and waiting.get("reason") not in ("PodInitializing", "ContainerCreating"):
                found[f"{container['name']}: {text}"[:500]] = None
    return list(found)


def job_state(job: Body, pods: Iterable[Body]) -> ObservedJob:
    """Sum up a Job and what its last pod said when it ended."""
    meta = job["metadata"]
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions") or () if c["status"] == "True"}
    failed = conditions.get("Failed", {})
    own = [p for p in pods if any(o.get("uid") == meta["uid"] for o in p["metadata"].get("ownerReferences", ()))]
    own.sort(key=lambda p: p["metadata"]["creationTimestamp"])
    message = next((m for pod in reversed(own) if (m := termination_message(pod))), "")
    return ObservedJob(
        name=meta["name"],
        uid=meta["uid"],
        succeeded="Complete" in conditions,
        failed=bool(failed),
        message=message,
        reason=": ".join(str(failed[k]) for k in ("reason", "message") if failed.get(k)),
    )


def termination_message(pod: Body) -> str:
    """What a pod's containers said last: the main one first, else the init container that failed."""
    status: Mapping[str, Any] = pod.get("status", {})
    for container in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        for state in (container.get("state", {}), container.get("lastState", {})):
            terminated = state.get("terminated") or {}
            if terminated.get("message"):
                return str(terminated["message"])
    return ""


def model_roles(deployments: Iterable[Body], model: str) -> tuple[RoleStatus, ...]:
    """Where a Model serves, read from the status of the namespace's deployments."""
    return tuple(
        RoleStatus(model_deployment=body["metadata"]["name"], role=Role(variant["role"]))
        for body in sorted(deployments, key=lambda b: b["metadata"]["name"])
        for variant in body.get("status", {}).get("variants") or ()
        if variant["name"] == model
    )
