"""Who owns an object, by its owner references, and who a field of it, as the API server keeps account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kingmaker.core.manifests.objects import MANAGED
from kingmaker.core.observed import Body

FIELD_MANAGER: Final = "kingmaker"
"""Under this name the operator applies everything."""

HANDOVER_MANAGER: Final = "kingmaker-handover"
"""Under this name it applies what it is about to leave to somebody else."""

_REPLICAS: Final[Mapping[str, Any]] = {"f:spec": {"f:replicas": {}}}


def owns_replicas(live: Body) -> bool:
    """Whether the operator says how many pods a Deployment has; others may say the same number at that time."""
    return any(True for _ in _who_says_replicas(live))


def applies_replicas(live: Body) -> bool:
    """Whether it says so in what it applied, so that the number goes where the next apply leaves it out.

    What it wrote by scaling stays, whatever is applied.
    """
    return any(entry["operation"] == "Apply" and not entry.get("subresource") for entry in _who_says_replicas(live))


def scaled(live: Body, replicas: int, version: str) -> dict[str, Any]:
    """Give a Deployment as it is known after it was scaled: of what others changed meanwhile nobody has told yet.

    Args:
        live: As it was known before.
        replicas: Its number of pods now, said by the operator.
        version: Its resourceVersion now.
    """
    said = {"manager": FIELD_MANAGER, "operation": "Update", "subresource": "scale", "fieldsV1": _REPLICAS}
    meta = {**live["metadata"], "resourceVersion": version, "managedFields": [said]}
    return {**live, "metadata": meta, "spec": {**live["spec"], "replicas": replicas}}


def _who_says_replicas(live: Body) -> Iterator[Body]:
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}):
            yield entry


def is_ours(live: Body, wanted: Body) -> bool:
    """Whether an object belongs to who wants to write it: they share an owner, or it is the namespace's own.

    Args:
        live: The object that is there.
        wanted: The object that shall be there, with its owners.
    """
    if not _owners(wanted):
        return is_managed(live)
    return bool(_owners(live) & _owners(wanted))


def is_managed(live: Body) -> bool:
    """Whether the operator made an object, by its label."""
    return MANAGED.items() <= (live["metadata"].get("labels") or {}).items()


def is_being_collected(live: Body, wanted: Body) -> bool:
    """Whether an object belonged to an earlier owner of the same kind and name: it is about to go.

    Args:
        live: The object that is there.
        wanted: The object that shall be there, with its owners.
    """
    names = {(o["kind"], o["name"]) for o in wanted["metadata"].get("ownerReferences") or ()}
    return any((o["kind"], o["name"]) in names for o in live["metadata"].get("ownerReferences") or ())


def taken_message(kind: str, name: str) -> str:
    """Say what to do about an object of somebody else.

    Args:
        kind: Kind of the object.
        name: Its name.
    """
    return f"{kind} {name} exists and is somebody else's: delete or rename it, or choose another name for yours"


def _owners(body: Body) -> set[str]:
    return {o["uid"] for o in body["metadata"].get("ownerReferences") or ()}
