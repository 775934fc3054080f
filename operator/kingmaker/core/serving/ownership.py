"""Who owns an object, by its owner references, and who a field of it, as the API server keeps account."""

from __future__ import annotations

from typing import Final

from kingmaker.core.manifests.objects import MANAGED
from kingmaker.core.observed import Body

FIELD_MANAGER: Final = "kingmaker"
"""Under this name the operator applies everything."""

HANDOVER_MANAGER: Final = "kingmaker-handover"
"""Under this name it applies what it is about to leave to somebody else."""


def owns_replicas(live: Body) -> bool:
    """Whether the operator says how many pods a Deployment has.

    Others may say the same number at that time; the operator still has to give it up before it stops naming it.
    """
    return any(
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and not entry.get("subresource")
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
    )


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
