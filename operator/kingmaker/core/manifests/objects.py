"""Metadata of everything that the operator makes: labels to find it by, owners to be collected with."""

from collections.abc import Sequence
from typing import Any, Final

from kingmaker.api import API_VERSION, Model, ModelDeployment
from kingmaker.core.manifests.names import ROUTER, bounded

Manifest = dict[str, Any]

COMPONENT: Final = "app.kubernetes.io/component"
DEPLOYMENT: Final = "kingmaker.dev/deployment"
DEPLOYMENT_UID: Final = "kingmaker.dev/deployment-uid"
MODEL: Final = "kingmaker.dev/model"

MANAGED: Final = {"app.kubernetes.io/managed-by": "kingmaker"}
"""Selects everything that the operator made."""

ROUTER_SELECTOR: Final = {"app.kubernetes.io/name": ROUTER, COMPONENT: "router"}
"""Selects the router pods of a namespace."""

OPERATOR_SELECTOR: Final = {"app.kubernetes.io/part-of": "kingmaker", COMPONENT: "operator"}
"""Selects the operator's own pods; the chart labels them so."""


def labels(name: str, *, instance: str, component: str) -> dict[str, str]:
    """Give the recommended labels. The parent's own are never copied: Argo CD tracks what it made by them.

    Args:
        name: What program it is.
        instance: Whose; cut to what a label holds.
        component: What it is for.
    """
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": bounded(instance),
        COMPONENT: component,
        "app.kubernetes.io/part-of": "kingmaker",
    } | MANAGED


def deployment_labels(mdep: ModelDeployment, component: str, *, name: str = "kingmaker") -> dict[str, str]:
    """Give the labels of an object that belongs to one ModelDeployment.

    Args:
        mdep: The owner.
        component: What the object is for.
        name: What program it is.
    """
    meta = mdep.metadata
    own = {DEPLOYMENT: bounded(meta.name), DEPLOYMENT_UID: meta.uid}
    return labels(name, instance=meta.name, component=component) | own


def serving_selector(mdep: ModelDeployment, model: str | None = None) -> dict[str, str]:
    """Select the serving pods of a ModelDeployment, all of them or those of one model.

    The uid is part of it: what an earlier ModelDeployment of the same name left behind is never taken for one's own.
    """
    selector = {COMPONENT: "serving", DEPLOYMENT_UID: mdep.metadata.uid}
    return selector if model is None else selector | {MODEL: bounded(model)}


def owner(parent: Model | ModelDeployment) -> list[Manifest]:
    """Give the controller reference: Kubernetes collects the child when the parent is gone, no finalizer needed.

    `blockOwnerDeletion` stays false; with true, admission would ask for a permission on the parents' finalizers.
    """
    meta = parent.metadata
    reference = {"apiVersion": API_VERSION, "kind": parent.kind, "name": meta.name, "uid": meta.uid}
    return [reference | {"blockOwnerDeletion": False, "controller": True}]


def manifest(
    api_version: str, kind: str, *, name: str, namespace: str, labels: dict[str, str], owners: Sequence[Manifest] = ()
) -> Manifest:
    """Give an object's head; the builder adds its body.

    Args:
        api_version: Group and version.
        kind: Its kind.
        name: Its name.
        namespace: Where it lives.
        labels: Its labels.
        owners: Owner references; what has none belongs to its namespace as a whole.
    """
    metadata: Manifest = {"name": name, "namespace": namespace, "labels": labels}
    if owners:
        metadata["ownerReferences"] = list(owners)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
