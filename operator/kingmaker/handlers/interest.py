"""Whom a change concerns: from what an object was and is to the keys whose pass it may change. Pure, index look-ups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kingmaker.adapters.kinds import FAMILY, REFERS
from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT, MODEL
from kingmaker.kube.store import Change, Store
from kingmaker.ports import Body, Key

_TELLING: Final = frozenset({"Ready", "Progressing", "ReplicaFailure", "Complete", "Failed"})
"""Conditions of pods, Deployments and Jobs that a pass looks at. Their counts change often and tell nothing more."""

_SHARED: Final = frozenset({"router", "workload"})
"""Components of what a namespace has once, and of the routers' pods."""

_OF_THE_CLUSTER: Final = frozenset({"metadata", "status", "apiVersion", "kind"})
"""Parts of a body that don't say what somebody wants."""


def concerned(change: Change, store: Store) -> Iterator[Key]:
    """Give the keys that a change concerns, some of them perhaps twice.

    Args:
        change: As the store told it; what we wrote ourselves concerns others than who wrote it.
        store: In the state after the change.
    """
    match change.kind:
        case "ModelDeployment":
            yield from _of_deployment(change)
        case "Model":
            yield from _of_model(change, store)
        case _:
            yield from _of_child(change, store)


def everybody(store: Store, namespace: str) -> Iterator[Key]:
    """Give all keys of a namespace, of all when it is empty; what is shared may be all that is left in one."""
    spaces = {space for collection in store.kinds.values() for space in collection.namespaces()}
    for space in [namespace] if namespace else sorted(spaces):
        yield Key("Namespace", space)
    for kind in ("Model", "ModelDeployment"):
        collection = store.kinds[kind]
        for space in [namespace] if namespace else collection.namespaces():
            for body in collection.all(space):
                yield _key(kind, body)


def _of_deployment(change: Change) -> Iterator[Key]:
    """A deployment concerns itself, the Models whose role in it changed, and its namespace when it comes or goes."""
    before, after = change.before or {}, change.after or {}
    key = _key(change.kind, after or before)
    if not change.is_own or _uid(before) != _uid(after):
        yield key
    for model, _ in _roles(before) ^ _roles(after):
        yield Key("Model", key.namespace, model)
    if _presence(before) != _presence(after):
        yield Key("Namespace", key.namespace)


def _of_model(change: Change, store: Store) -> Iterator[Key]:
    """A Model concerns itself, and who refers to it, or may enrol it, once its verdict changes; and its namespace."""
    body = change.after or change.before or {}
    key = _key(change.kind, body)
    if _presence(change.before or {}) != _presence(change.after or {}):
        yield Key("Namespace", key.namespace)
    if not change.is_own or _uid(change.before or {}) != _uid(change.after or {}):
        yield key
    if _verdict(change.before) == _verdict(change.after):
        return
    deployments = store.kinds["ModelDeployment"]
    for found in deployments.by(REFERS, key.namespace, key.name):
        yield _key("ModelDeployment", found)
    for relative in store.kinds["Model"].by(FAMILY, key.namespace, body["spec"]["family"]):
        for found in deployments.by(REFERS, key.namespace, relative["metadata"]["name"]):
            if found["spec"].get("enrol") or found["spec"].get("retraining"):
                yield _key("ModelDeployment", found)


def _of_child(change: Change, store: Store) -> Iterator[Key]:
    """A child concerns its owner, or its namespace, once something changed that a pass looks at."""
    before, after = change.before, change.after
    if before is not None and after is not None:
        is_ledger = change.is_own and change.kind == "ConfigMap"
        if is_ledger or _news(before) == _news(after):
            return
    for body in (before, after):
        if body is not None:
            yield from _owners(change.kind, body, store)


def _owners(kind: str, body: Body, store: Store) -> Iterator[Key]:
    meta = body["metadata"]
    labels, namespace = meta.get("labels") or {}, meta["namespace"]
    if labels.get(COMPONENT) in _SHARED:
        yield Key("Namespace", namespace)
    elif DEPLOYMENT in labels:
        yield Key("ModelDeployment", namespace, labels[DEPLOYMENT])
    elif labels.get(COMPONENT) == "verify" and MODEL in labels:
        yield Key("Model", namespace, labels[MODEL])
    elif kind == "Service" and store.kinds["ModelDeployment"].get(namespace, meta["name"]):
        # Somebody else's, and the name is one that a deployment needs.
        yield Key("ModelDeployment", namespace, meta["name"])


def _key(kind: str, body: Body) -> Key:
    return Key(kind, body["metadata"]["namespace"], body["metadata"]["name"])


def _uid(body: Body) -> str:
    return str(body["metadata"]["uid"]) if body else ""


def _presence(body: Body) -> str:
    """Tell one object from another of its name, and from one that is about to go."""
    return "" if not body or body["metadata"].get("deletionTimestamp") else _uid(body)


def _roles(body: Body) -> set[tuple[str, str]]:
    return {(v["name"], v["role"]) for v in (body.get("status") or {}).get("variants") or ()}


def _verdict(body: Body | None) -> tuple[str, ...] | None:
    if body is None:
        return None
    conditions = (body.get("status") or {}).get("conditions") or ()
    return (_uid(body), *(f"{c['type']}={c['status']}" for c in conditions))


def _news(body: Body) -> tuple[object, ...]:
    """What a pass looks at in a child: what somebody wants of it, and the part of its status that tells something."""
    meta: Mapping[str, Any] = body["metadata"]
    status = body.get("status") or {}
    conditions = sorted(
        (c["type"], c["status"], c.get("reason", "")) for c in status.get("conditions") or () if c["type"] in _TELLING
    )
    wanted = {name: part for name, part in body.items() if name not in _OF_THE_CLUSTER}
    known = (meta["uid"], meta.get("labels"), meta.get("ownerReferences"), "deletionTimestamp" in meta)
    return (*known, wanted, status.get("podIP"), status.get("phase"), *conditions)
