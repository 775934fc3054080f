"""The route that follows from what was decided last alone, for when nothing new can be decided."""

from __future__ import annotations

from collections.abc import Mapping

from kingmaker.core.observed import ObservedVariant
from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.core.state import State


def remembered_route(
    state: State, variants: Mapping[str, ObservedVariant], *, cluster_ip: str | None, affinity_header: str | None
) -> RoutePlan | None:
    """Give the split that a state holds, with the pods that are there; None before there is a champion.

    Whose pods don't answer gives its weight to the champion, and a champion without pods to whom it dethroned. Requests
    under such a makeshift carry decision 0, so they are no evidence.

    Args:
        state: Of the newest record that can be read.
        variants: What is seen of the pods, by model.
        cluster_ip: Of the deployment's Service; None while it has none.
        affinity_header: Requests with the same value go to the same variant.
    """
    if state.champion is None:
        return None
    decided = {share.model: share.weight for share in state.traffic} or {state.champion.name: 100}
    if min(decided.values()) < 0 or sum(decided.values()) > 100:
        decided = {state.champion.name: 100}
    weights = {model: weight if _answers(variants, model) else 0 for model, weight in decided.items()}
    heirs = [state.champion.name, *([state.previous.name] if state.previous else [])]
    heir = next((name for name in heirs if _answers(variants, name)), state.champion.name)
    weights[heir] = weights.get(heir, 0) + 100 - sum(weights.values())
    idle = sorted(model for model in variants if model not in weights)
    return RoutePlan(
        decision=state.traffic_sequence if weights == decided else 0,
        backends=tuple(Backend(m, weights.get(m, 0), _addresses(variants, m)) for m in (*weights, *idle)),
        cluster_ip=cluster_ip,
        affinity_header=affinity_header,
        draw=state.draw,
    )


def _addresses(variants: Mapping[str, ObservedVariant], model: str) -> tuple[str, ...]:
    found = variants.get(model)
    return found.addresses if found else ()


def _answers(variants: Mapping[str, ObservedVariant], model: str) -> bool:
    return bool(_addresses(variants, model))
