"""The kinds that the operator reads and writes: where they live, how they are watched, what of them is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT_UID, MANAGED
from kingmaker.core.serving.ownership import FIELD_MANAGER
from kingmaker.kube.client import Document
from kingmaker.kube.store import Kind


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API."""

    group_version: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """Path of one object, or of the collection; of all namespaces' when `namespace` is empty."""
        root = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        scope = f"/namespaces/{quote(namespace)}" if namespace else ""
        tail = f"/{quote(name)}" if name else ""
        return f"{root}{scope}/{self.plural}{tail}"

    def typed(self, kind: str, body: Document) -> Document:
        """Give an item of a list its type, which the API server leaves out there."""
        body.setdefault("kind", kind)
        body.setdefault("apiVersion", self.group_version)
        return body


RESOURCES: Final[Mapping[str, Resource]] = {
    "Model": Resource("kingmaker.dev/v1alpha1", "models"),
    "ModelDeployment": Resource("kingmaker.dev/v1alpha1", "modeldeployments"),
    "Decision": Resource("kingmaker.dev/v1alpha1", "decisions"),
    "Deployment": Resource("apps/v1", "deployments"),
    "Job": Resource("batch/v1", "jobs"),
    "HorizontalPodAutoscaler": Resource("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Resource("policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": Resource("networking.k8s.io/v1", "networkpolicies"),
    "Service": Resource("v1", "services"),
    "ConfigMap": Resource("v1", "configmaps"),
    "ServiceAccount": Resource("v1", "serviceaccounts"),
    "Secret": Resource("v1", "secrets"),
    "Pod": Resource("v1", "pods"),
    "Event": Resource("v1", "events"),
}

TOLD_BY_KOPF: Final = ("Model",)
"""Kinds that kopf watches."""

OURS: Final = ",".join(f"{label}={value}" for label, value in MANAGED.items())
"""Selects what the operator made, pods of its workloads included."""

REFLECTED: Final[Mapping[str, str]] = {
    # What people want, and whatever the operator made for it: told at once (docs/decisions/0011).
    "ModelDeployment": "",
    "Deployment": OURS,
    "Job": OURS,
    "HorizontalPodAutoscaler": OURS,
    "PodDisruptionBudget": OURS,
    "NetworkPolicy": OURS,
    # Of anybody: one that has the name of a ModelDeployment keeps it from being reached.
    "Service": "",
    "ConfigMap": OURS,
    "ServiceAccount": OURS,
    "Pod": OURS,
}
"""Label selector of each kind that a reflector follows."""

JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Label that Kubernetes gives the pods of a Job."""

REFERS: Final = "refers to"
"""Index of ModelDeployments by the names of the Models that they refer to, in spec or in status."""

FAMILY: Final = "family"
"""Index of Models by their family."""

_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_LABELS: Final = (DEPLOYMENT_UID, COMPONENT, JOB_NAME)
_POD_METADATA: Final = (
    *("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences"),
    *("creationTimestamp", "deletionTimestamp"),
)
_POD_STATUS: Final = ("phase", "podIP", "conditions", "containerStatuses", "initContainerStatuses")
_CONTAINER: Final = ("name", "image", "ready", "restartCount", "state", "lastState")


def kinds() -> dict[str, Kind]:
    """Give how each watched kind is kept in the store."""
    trims = {"Pod": _pod, "Job": _job, "Service": _service}
    found = {
        name: Kind(trims.get(name, _any), labels=_LABELS, selector=MANAGED if selector else {})
        for name, selector in REFLECTED.items()
    }
    found["Model"] = Kind(_any, {FAMILY: lambda body: (body["spec"]["family"],)}, labels=(DEPLOYMENT_UID,))
    found["ModelDeployment"] = Kind(_any, {REFERS: models_of})
    return found


def models_of(deployment: Mapping[str, Any]) -> Iterator[str]:
    """Give the names of the Models that a ModelDeployment refers to, in spec or in status; some of them twice."""
    spec = deployment.get("spec") or {}
    if spec.get("championRef"):
        yield spec["championRef"]["name"]
    yield from (challenger["modelRef"]["name"] for challenger in spec.get("challengers") or ())
    yield from (variant["name"] for variant in (deployment.get("status") or {}).get("variants") or ())


def _any(body: Document) -> Document:
    meta = {**body["metadata"]}
    account = meta.pop("managedFields", ())
    if body["kind"] == "Deployment":
        meta["managedFields"] = [*_replicas(account)]
    if _APPLIED in (meta.get("annotations") or {}):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != _APPLIED}
    return body | {"metadata": meta}


def _replicas(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Keep of the account of a Deployment's fields whether the operator says how many pods it has."""
    for entry in entries:
        if entry.get("manager") == FIELD_MANAGER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}):
            yield entry | {"fieldsV1": {"f:spec": {"f:replicas": {}}}}


def _pod(body: Document) -> Document:
    status = _only(body.get("status") or {}, _POD_STATUS)
    for part in ("containerStatuses", "initContainerStatuses"):
        if part in status:
            status[part] = [_only(container, _CONTAINER) for container in status[part]]
    kept = {"apiVersion": body["apiVersion"], "kind": body["kind"], "status": status}
    return _any(kept | {"metadata": _only(body["metadata"], _POD_METADATA)})


def _job(body: Document) -> Document:
    # It can't be changed, so nobody compares it.
    return _any({name: part for name, part in body.items() if name != "spec"})


def _service(body: Document) -> Document:
    if MANAGED.items() <= (body["metadata"].get("labels") or {}).items():
        return _any(body)
    # Somebody else's: that there is one is all that counts.
    return _any({"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": body["metadata"]})


def _only(part: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: part[name] for name in names if name in part}
