"""What Kubernetes objects say of pods, Jobs and variants: pure, from bodies to values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from kingmaker.api import Role, RoleStatus
from kingmaker.api.model import MOST_ROLES
from kingmaker.core.manifests.objects import MODEL
from kingmaker.core.observed import Body, ObservedJob, ObservedVariant, Trouble
from kingmaker.core.serving.endings import job_ending
from kingmaker.core.serving.pod_problems import STARTING, find_trouble


def has_ended(pod: Body) -> bool:
    """Whether a pod will run nothing more."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_pod_ready(pod: Body) -> bool:
    """Whether a pod may get requests: Ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_returning(pod: Body) -> bool:
    """Whether a pod that is not ready answers yet, or will in a moment.

    Either it ends, and its server goes on answering until the drain is over; or its server was killed and is being
    started for the first time again, at the same address. One that keeps failing is given up: nobody shall wait for it.
    """
    status = pod.get("status", {})
    if has_ended(pod) or not status.get("podIP"):
        return False
    states = [(c.get("state", {}), c) for c in status.get("containerStatuses") or ()]
    if pod["metadata"].get("deletionTimestamp"):
        return any(state.get("running") is not None for state, _ in states)
    waits = any((state.get("waiting") or {}).get("reason") == "CrashLoopBackOff" for state, _ in states)
    return not waits and any(c.get("restartCount") or state.get("terminated") for state, c in states)


def observe_variants(objects: Mapping[tuple[str, str], Body], pods: Iterable[Body]) -> dict[str, ObservedVariant]:
    """Sum up the Deployments, Services and pods of every variant, by model name.

    Pods may outlive their Deployment: what somebody deletes by hand answers until its pods are gone.

    Args:
        objects: What belongs to the deployment, by (kind, name).
        pods: Its serving pods.
    """
    by_model: dict[str, list[Body]] = {}
    for pod in pods:
        by_model.setdefault(pod["metadata"]["labels"].get(MODEL, ""), []).append(pod)
    found = {model: _variant(model, {}, None, own) for model, own in by_model.items() if model}
    for (kind, name), body in objects.items():
        model = body["metadata"].get("labels", {}).get(MODEL)
        if kind == "Deployment" and model:
            found[model] = _variant(model, body, objects.get(("Service", name)), by_model.get(model, []))
    return found


def _variant(model: str, deployment: Body, service: Body | None, pods: list[Body]) -> ObservedVariant:
    ready = sorted(p["status"]["podIP"] for p in pods if is_pod_ready(p))
    trouble = find_trouble(deployment, pods)
    return ObservedVariant(
        model=model,
        desired=deployment.get("spec", {"replicas": 0}).get("replicas", 1),
        ready=len(ready),
        endpoints=tuple(ready),
        returning=tuple(sorted(p["status"]["podIP"] for p in pods if is_returning(p))),
        last_ready=max(filter(None, map(_ready_since, pods)), default=None),
        service_ip=(service or {}).get("spec", {}).get("clusterIP"),
        stalled=_stalled(deployment, trouble),
        unbegun_since=min(filter(None, map(_unbegun_since, pods)), default=None),
        trouble=trouble,
    )


def _ready_since(pod: Body) -> datetime | None:
    """When a ready pod became so, None for others and where nobody says."""
    if not is_pod_ready(pod):
        return None
    since = next(c.get("lastTransitionTime") for c in pod["status"]["conditions"] if c["type"] == "Ready")
    return datetime.fromisoformat(since) if since else None


def _unbegun_since(pod: Body) -> datetime | None:
    """When a pod got its node, where no container of it began yet and none says why; None for others."""
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or has_ended(pod):
        return None
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    waits = [c.get("state", {}).get("waiting") for c in containers]
    if not all(wait is not None and wait.get("reason", "") in STARTING for wait in waits):
        return None
    scheduled = (c for c in status.get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "True")
    since = next((c.get("lastTransitionTime") for c in scheduled), None)
    return datetime.fromisoformat(since) if since else None


def _stalled(deployment: Body, trouble: Trouble | None) -> str:
    for condition in deployment.get("status", {}).get("conditions") or ():
        late = condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        if late and condition["status"] == "False":
            said = condition.get("message", "the pods do not come up")
            return f"{said}; {trouble.message}" if trouble else str(said)
    return ""


def job_state(job: Body, pods: Iterable[Body]) -> ObservedJob:
    """Sum up a Job and what its last pod said when it ended.

    Args:
        job: The Job.
        pods: Pods among which its own are.
    """
    meta = job["metadata"]
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions") or () if c["status"] == "True"}
    failed = conditions.get("Failed", {})
    own = [p for p in pods if any(o.get("uid") == meta["uid"] for o in p["metadata"].get("ownerReferences", ()))]
    own.sort(key=lambda p: p["metadata"]["creationTimestamp"])
    ended = [pod for pod in own if has_ended(pod)] or own
    last = ended[-1] if ended else None
    return ObservedJob(
        name=meta["name"],
        uid=meta["uid"],
        succeeded="Complete" in conditions,
        failed=bool(failed),
        message=termination_message(last) if last else "",
        ending=job_ending(job, last),
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
    """Where a Model serves, by name, as many as its status may name.

    Args:
        deployments: The namespace's ModelDeployments, whose status says so.
        model: The Model's name.
    """
    found = (
        RoleStatus(model_deployment=body["metadata"]["name"], role=Role(variant["role"]))
        for body in sorted(deployments, key=lambda b: b["metadata"]["name"])
        for variant in body.get("status", {}).get("variants") or ()
        # Who is to be the first champion challenges nobody.
        if variant["name"] == model and (variant["role"] != Role.CHALLENGER or body["status"].get("champion"))
    )
    return tuple(islice(found, MOST_ROLES))
