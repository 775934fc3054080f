"""A decision before it is numbered, and how it becomes the next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kingmaker.api import Action, Actor, DecidedModel, DecidedWeight, DecisionSpec, Reason
from kingmaker.core.contest.checks import Check, evidence_of
from kingmaker.core.contest.steps import ContestPolicy
from kingmaker.core.manifests.objects import Manifest
from kingmaker.core.manifests.records import decision_body
from kingmaker.core.observed import Observed
from kingmaker.core.state import STAGE_RUNS_LIMIT, Champion, Contest, Share, StageRun, State, dump_state

FIXED_STAGE: Final = "fixed"
"""Name of the one stage of a challenger with a split of its own."""


REIGN: Final = "reign"
"""Name of the stage in which a new champion is compared with the old one."""


@dataclass(frozen=True, slots=True)
class Side:
    """A model in a decision."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """What was decided, why, and the state that follows (not yet numbered, traffic not yet settled)."""

    action: Action
    reason: Reason
    message: str
    state: State
    rule: str = ""
    from_side: Side | None = None
    to_side: Side | None = None
    checks: tuple[Check, ...] = ()
    actor: Actor = Actor.OPERATOR


def design_traffic(state: State, policy: ContestPolicy, fixed: dict[str, Share]) -> tuple[Share, ...]:
    """Give every model its part of the traffic; the champion gets what is left, weights sum to 100.

    Whom it dethroned comes last, with no more than half of what contests leave.

    Args:
        state: Who holds the seat and who competes in which stage.
        policy: The stages.
        fixed: Splits of the declared fixed challengers, by model.
    """
    if state.champion is None:
        return ()
    shares = [fixed.get(c.model, Share(c.model)) for c in state.contests if c.fixed]
    staged = state.staged
    if staged:
        stage = policy.stage(staged.stage)
        shares.append(Share(staged.model, stage.weight if stage else 0, stage.shadow_percent if stage else 0))
    rest = 100 - sum(s.weight for s in shares)
    if state.previous and (beside := min(state.previous.weight, rest // 2)) > 0:
        shares.append(Share(state.previous.name, beside))
        rest -= beside
    return (Share(state.champion.name, rest), *shares)


def settle(before: State, record: Record, policy: ContestPolicy, fixed: dict[str, Share], now: datetime) -> State:
    """Number the decision and settle the traffic that follows from it.

    When any split changes, the decision's number stamps all traffic from now on, so every contest begins a new run:
    counts under different splits are never added as if they were one. So it does when other requests belong together.

    Args:
        before: The state in which it was decided.
        record: What was decided.
        policy: The stages.
        fixed: Splits of the declared fixed challengers, by model.
        now: The time, aware.
    """
    sequence = before.sequence + 1
    state = replace(record.state, sequence=sequence, at=now)
    traffic = design_traffic(state, policy, fixed)
    affinity = policy.affinity
    if (traffic, affinity) == (before.traffic, before.affinity) and not _has_unrouted(state):
        return state
    champion_weight = traffic[0].weight if traffic else 0
    shares = {s.model: s for s in traffic[1:]}
    contests = tuple(_begin_run(c, shares[c.model], champion_weight, sequence, now) for c in state.contests)
    is_drawn_anew = affinity != before.affinity or _compares_others(before.traffic, traffic)
    draw = sequence if is_drawn_anew else before.draw
    previous = _compare_with_previous(state.previous, shares, champion_weight, sequence, now)
    return replace(
        state,
        traffic=traffic,
        traffic_sequence=sequence,
        affinity=affinity,
        draw=draw,
        contests=contests,
        previous=previous,
    )


def _compares_others(before: tuple[Share, ...], after: tuple[Share, ...]) -> bool:
    """Whether a model gets requests that had none, or another one is champion: then entities are drawn anew.

    So none is always among the first, and who was lucky with its entities must do without them in the seat. As a
    challenger grows, entities stay where they are.
    """
    had = {share.model for share in before if share.weight}
    is_dethroned = bool(before and after) and before[0].model != after[0].model
    return is_dethroned or any(share.weight and share.model not in had for share in after)


def _compare_with_previous(
    previous: Champion | None, shares: Mapping[str, Share], champion_weight: int, sequence: int, now: datetime
) -> Champion | None:
    """Begin a run in which the champion is judged against whom it dethroned: it challenges, the old one is the
    measure."""
    if previous is None or not previous.weight or previous.name not in shares:
        return previous
    run = StageRun(REIGN, sequence, now, champion_weight, shares[previous.name].weight)
    return replace(previous, runs=(*previous.runs, run)[-STAGE_RUNS_LIMIT:])


def _has_unrouted(state: State) -> bool:
    return any(not c.runs or not c.runs[-1].decision for c in state.contests)


def _begin_run(contest: Contest, share: Share, champion_weight: int, sequence: int, now: datetime) -> Contest:
    stage = contest.stage or FIXED_STAGE
    run = StageRun(stage, sequence, now, share.weight, champion_weight, share.shadow_percent)
    # A stage entered by this very decision stands as a run without a number yet.
    kept = tuple(r for r in contest.runs if r.decision)
    return replace(contest, runs=(*kept, run)[-STAGE_RUNS_LIMIT:])


def enter_stage(contest: Contest, stage: str, now: datetime) -> Contest:
    """Put a contest into a stage; `settle` gives the run its number and split.

    Args:
        contest: The contest.
        stage: Name of the stage that it enters.
        now: The time, aware.
    """
    kept = tuple(r for r in contest.runs if r.decision)
    return replace(contest, runs=(*kept, StageRun(stage, 0, now, 0, 0)))


def record_body(observed: Observed, record: Record, state: State) -> Manifest:
    """Build the Decision that keeps a record.

    Args:
        observed: The snapshot in which it was decided.
        record: What was decided.
        state: The numbered state after it, of `settle`.
    """
    mdep = observed.mdep
    spec = DecisionSpec(
        deployment=mdep.metadata.name,
        deployment_uid=observed.uid,
        sequence=state.sequence,
        action=record.action,
        from_=_model(record.from_side),
        to=_model(record.to_side),
        weights=tuple(
            DecidedWeight(model=s.model, weight=s.weight, shadow_percent=s.shadow_percent) for s in state.traffic
        ),
        reason=record.reason,
        rule=record.rule,
        message=record.message[:4096],
        evidence=tuple(evidence_of(c) for c in record.checks),
        actor=record.actor,
        at=observed.now,
        observed_generation=mdep.metadata.generation,
        outcome=dump_state(state),
    )
    return decision_body(mdep, spec)


def _model(side: Side | None) -> DecidedModel | None:
    return DecidedModel(name=side.name, digest=side.digest or None) if side else None
