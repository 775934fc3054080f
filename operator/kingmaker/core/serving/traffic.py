"""Which pods exist, what the routers do with requests, and when something may be taken down. Make before break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from kingmaker.core.contest.assessment import ContestAssessment
from kingmaker.core.contest.candidates import is_ready
from kingmaker.core.contest.capacity import can_carry
from kingmaker.core.contest.policy import affinity_header
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.core.state import Share, State


@dataclass(frozen=True, slots=True)
class TrafficAssessment:
    """What becomes of the requests in one state.

    `kept` are the models whose pods shall run, the champion first. `route` is what every router shall do, None before
    there is a champion; `is_acknowledged` tells whether every ready router does it, and at least one is ready.
    """

    kept: tuple[str, ...]
    route: RoutePlan | None
    is_acknowledged: bool


def assess_traffic(contests: ContestAssessment) -> TrafficAssessment:
    """Assess the traffic of one state, from what holds for its contests."""
    observed, state = contests.observed, contests.state
    kept = _kept_variants(contests)
    route = plan_route(observed, state, kept)
    return TrafficAssessment(kept, route, _is_acknowledged(observed, route))


def previous_is_warm(observed: Observed, state: State) -> bool:
    """Whether the dethroned champion is still within its rollback window.

    Args:
        observed: The snapshot, for the time.
        state: Who was dethroned, and until when it stays.
    """
    return bool(state.previous and state.previous.until and observed.now < state.previous.until)


def _kept_variants(contests: ContestAssessment) -> tuple[str, ...]:
    """Name who answers, who may have to answer again, and who comes next."""
    observed, state, target = contests.observed, contests.state, contests.wanted
    names = [state.champion.name] if state.champion else []
    if previous_is_warm(observed, state) and state.previous:
        names.append(state.previous.name)
    names += [c.model for c in state.contests]
    # Nobody is taken down before a decision took its requests.
    names += [share.model for share in state.traffic if share.weight]
    model = observed.models.get(target or "")
    if target and model and is_ready(model):
        names.append(target)
    return tuple(dict.fromkeys((*names, *contests.entrants)))


def plan_route(observed: Observed, state: State, kept: Sequence[str] = ()) -> RoutePlan | None:
    """Plan what every router shall do; None before there is a champion.

    A variant whose ready pods can't carry its weight gives it to the champion until they can. Requests under such a
    makeshift split carry decision 0, so they are no evidence for anybody.

    Args:
        observed: The snapshot.
        state: Whose split is planned.
        kept: Models whose pods run; those without weight are in the route too, so that weight finds them known.
    """
    if state.champion is None:
        return None
    shares = _carried(observed, state)
    weights = {s.model: s.weight for s in shares}
    as_decided = {s.model: s.weight for s in state.traffic} == weights
    models = [*weights, *(m for m in kept if m not in weights)]
    service = observed.children.get(("Service", observed.mdep.metadata.name), {})
    return RoutePlan(
        decision=state.traffic_sequence if as_decided else 0,
        backends=tuple(Backend(m, weights.get(m, 0), observed.variant(m).addresses) for m in models),
        cluster_ip=service.get("spec", {}).get("clusterIP"),
        affinity_header=affinity_header(observed.mdep),
        draw=state.draw,
    )


def _carried(observed: Observed, state: State) -> tuple[Share, ...]:
    champion, *others = state.traffic
    weights = {s.model: s.weight if can_carry(observed, state, s) else 0 for s in others}
    rest = 100 - sum(weights.values())
    stand_in = state.previous.name if state.previous and previous_is_warm(observed, state) else ""
    if not observed.variant(champion.model).endpoints and observed.variant(stand_in).endpoints:
        weights[stand_in] = weights.get(stand_in, 0) + rest
        rest = 0
    return (Share(champion.model, rest), *(Share(m, w) for m, w in weights.items()))


def _is_acknowledged(observed: Observed, route: RoutePlan | None) -> bool:
    ready = [r for r in observed.routers if r.ready]
    if route is None or not ready:
        return False
    weights = {b.model: b.weight for b in route.backends if b.weight}
    return all(r.decision == route.decision and {m: w for m, w in r.weights.items() if w} == weights for r in ready)


def removable_variants(
    observed: Observed, state: State, traffic: TrafficAssessment, drain: timedelta
) -> tuple[str, ...]:
    """Name the models whose pods may go: unwanted, at weight 0 in every router, and drained.

    Routers that are not ready may still have connections: as long as one exists that has not acknowledged, all stay.

    Args:
        observed: The snapshot.
        state: When its last decision was taken.
        traffic: What its routers shall do, and do.
        drain: How long requests may be in flight to a pod that gets no new ones.
    """
    unwanted = [m for m in observed.variants if m not in traffic.kept]
    if not unwanted or state.champion is None or state.at is None:
        return ()
    if not traffic.is_acknowledged or observed.now < state.at + drain:
        return ()
    return tuple(unwanted)
