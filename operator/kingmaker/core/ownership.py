"""Who owns a field of a live object, as the API server keeps account of it."""

from __future__ import annotations

from typing import Final

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
