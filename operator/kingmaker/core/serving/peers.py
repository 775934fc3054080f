"""Which pods the servers of a ModelDeployment may pass feedback on to: those that the operator names to them.

A label may arrive at any pod of a deployment and counts at the one that answered. The names are a ConfigMap, which is
written once where pods came or went and settled: not once per pod of a rollout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from kingmaker.core.manifests.serving import TARGETS
from kingmaker.core.observed import Body, ObservedVariant

SETTLED: Final = timedelta(seconds=60)
"""Where not all the pods come up that are wanted, those that are ready are named once they were for this long."""


def name_peers(variants: Iterable[ObservedVariant], live: Body | None, now: datetime) -> Mapping[str, tuple[str, ...]]:
    """Name the pods of each model of a deployment; empty where there is one pod at most, which has no peer.

    Args:
        variants: What the pods are now.
        live: The ConfigMap as it is; who has not settled stays as it says.
        now: Aware.

    Returns:
        Addresses by model, both sorted.
    """
    before = _named(live)
    found = {
        variant.model: variant.endpoints if _is_settled(variant, now) else before.get(variant.model, ())
        for variant in variants
    }
    peers = {model: pods for model, pods in sorted(found.items()) if pods}
    return peers if sum(map(len, peers.values())) > 1 else {}


def _is_settled(variant: ObservedVariant, now: datetime) -> bool:
    if variant.ready >= variant.desired and not variant.returning:
        return True
    return variant.last_ready is not None and now >= variant.last_ready + SETTLED


def _named(live: Body | None) -> dict[str, tuple[str, ...]]:
    """What the ConfigMap says; nothing where somebody wrote something else into it."""
    try:
        content: Any = json.loads((live or {}).get("data", {}).get(TARGETS, "{}"))
        return {str(model): tuple(map(str, pods)) for model, pods in content.get("peers", {}).items()}
    except (ValueError, AttributeError, TypeError):
        return {}
