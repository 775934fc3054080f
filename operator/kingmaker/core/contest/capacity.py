"""How many ready pods a variant needs before it gets requests: a fixed number, or a floor that follows the champion.

With autoscaling the champion's own number of pods says how much load there is. A challenger needs its share of that
before the share is given to it (docs/decisions/0005).
"""

from __future__ import annotations

import math

from kingmaker.api import Promotion
from kingmaker.core.contest.policy import fixed_shares
from kingmaker.core.contest.steps import ContestPolicy
from kingmaker.core.observed import Observed
from kingmaker.core.state import Contest, Share, State


def needed_pods(observed: Observed, state: State, policy: ContestPolicy, model: str) -> int:
    """How many pods must be ready before a variant takes its next step; with autoscaling, its autoscaler's minimum.

    Args:
        observed: The snapshot.
        state: Who holds the seat, and who competes in which stage.
        policy: The stages.
        model: The variant's Model.
    """
    scaling = observed.mdep.spec.serving.autoscaling
    if scaling is None:
        return max(1, observed.variant(model).desired)
    share = math.ceil(_next_weight(observed, state, policy, model) * _champion_pods(observed, state) / 100)
    return min(max(share, scaling.min_replicas), scaling.max_replicas)


def is_available(observed: Observed, state: State, policy: ContestPolicy, model: str) -> bool:
    """Whether enough pods answer for the variant's next step: all of them, where their number is fixed.

    Args:
        observed: The snapshot.
        state: Who holds the seat, and who competes in which stage.
        policy: The stages.
        model: The variant's Model.
    """
    pods = observed.variant(model)
    return pods.desired > 0 and pods.ready >= needed_pods(observed, state, policy, model) and bool(pods.endpoints)


def can_carry(observed: Observed, state: State, share: Share) -> bool:
    """Whether a variant's ready pods are enough to go on with the weight that it was given.

    With a fixed number of pods that is the weight's share of it. With autoscaling it is half of what that share of the
    champion's pods would be: an autoscaler doubles the champion at once, and the challenger needs time to follow.

    Args:
        observed: The snapshot.
        state: Who holds the seat.
        share: The weight that the variant was given.
    """
    if not share.weight:
        return True
    pods = observed.variant(share.model)
    is_fixed = observed.mdep.spec.serving.autoscaling is None
    whole = pods.desired if is_fixed else _champion_pods(observed, state) / 2
    return len(pods.endpoints) >= max(1, math.ceil(share.weight * whole / 100))


def may_shrink(state: State, model: str) -> bool:
    """Whether a variant may lose pods for want of load.

    While challengers answer, the champion keeps what it had: should one of them fail, it takes all requests at once.

    Args:
        state: Who holds the seat, and who answers beside it.
        model: The variant's Model.
    """
    is_champion = bool(state.champion and state.champion.name == model)
    return not (is_champion and any(s.weight for s in state.traffic if s.model != model))


def _next_weight(observed: Observed, state: State, policy: ContestPolicy, model: str) -> int:
    """Percent of the requests that a variant has, or gets by its next step; 0 for a champion, whom nothing awaits."""
    if state.champion and state.champion.name == model:
        return 0
    contest = state.contest_of(model)
    if contest:
        return _next_of(policy, contest)
    is_warm = bool(state.previous and state.previous.name == model)
    if is_warm or observed.mdep.spec.champion_ref.name == model:
        return 100
    fixed = fixed_shares(observed.mdep).get(model)
    return fixed.weight if fixed else policy.stages[0].weight


def _next_of(policy: ContestPolicy, contest: Contest) -> int:
    present = contest.runs[-1].weight if contest.runs else 0
    following = None if contest.fixed else policy.after(contest.stage)
    if following:
        return max(present, following.weight)
    # A fixed shadow is only watched, and a contest without promotion goes nowhere from its last stage.
    is_last = policy.promotion is Promotion.NEVER or (contest.fixed and not present)
    return present if is_last else 100


def _champion_pods(observed: Observed, state: State) -> int:
    return observed.variant(state.champion.name).desired if state.champion else 0
