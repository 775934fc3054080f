"""`ModelDeployment.status`: conditions and the view of the state. Nothing in it changes by itself."""

from __future__ import annotations

from collections.abc import Iterator

from kingmaker.api import (
    ENROLLED,
    ChampionStatus,
    ContestStatus,
    DecisionRef,
    DriftState,
    DriftStatus,
    ModelDeploymentStatus,
    PreviousChampion,
    Reason,
    RejectedModel,
    RetrainingStatus,
    Role,
    VariantStatus,
)
from kingmaker.core.assess import Assessment
from kingmaker.core.conditions import HOLDING, conditions, holding
from kingmaker.core.contest.assessment import JudgedContest
from kingmaker.core.manifests.names import decision_name
from kingmaker.core.serving.traffic import previous_is_warm
from kingmaker.core.state import State
from kingmaker.core.wording import split


def build_status(assessed: Assessment) -> ModelDeploymentStatus:
    """Give the status that describes what was assessed."""
    observed, state = assessed.observed, assessed.state
    meta = observed.mdep.metadata
    return ModelDeploymentStatus(
        observed_generation=meta.generation,
        conditions=conditions(assessed),
        url=f"http://{meta.name}.{meta.namespace}",
        champion=_champion(state),
        previous_champion=_previous(assessed),
        observed_champion_ref=state.observed_champion_ref or None,
        traffic=split((s.weight, s.shadow_percent) for s in state.traffic) or None,
        variants=tuple(_variants(assessed)),
        contest=_contest(assessed),
        queue=tuple(c.model for c in assessed.contests.candidates)[:50],
        rejected=tuple(RejectedModel(name=j.name, digest=j.digest, reason=j.reason) for j in state.judged),
        drift=_drift(assessed),
        retraining=_retraining(assessed),
        last_decision_ref=DecisionRef(name=decision_name(meta.name, state.sequence)) if state.sequence else None,
    )


def _champion(state: State) -> ChampionStatus | None:
    seat = state.champion
    return ChampionStatus(name=seat.name, digest=seat.digest, since=seat.since) if seat else None


def _drift(assessed: Assessment) -> DriftStatus | None:
    monitor = assessed.monitor
    if assessed.state.champion is None or not monitor.has_baseline:
        return None
    # Since when nothing is known changes with every restart, and says nothing.
    since = monitor.since if monitor.state is not DriftState.UNKNOWN else None
    return DriftStatus(state=monitor.state, features=monitor.features[:20], since=since)


def _previous(assessed: Assessment) -> PreviousChampion | None:
    seat = assessed.state.previous
    if seat is None or seat.until is None or not previous_is_warm(assessed.observed, assessed.state):
        return None
    return PreviousChampion(name=seat.name, digest=seat.digest, until=seat.until)


def _variants(assessed: Assessment) -> Iterator[VariantStatus]:
    state = assessed.state
    shares = {s.model: s for s in state.traffic}
    for model in assessed.traffic.kept:
        pods = assessed.observed.variant(model)
        contest = state.contest_of(model)
        share = shares.get(model)
        yield VariantStatus(
            name=model,
            role=_role(state, model),
            challenger=(contest.entry or ENROLLED) if contest else None,
            stage=contest.stage if contest else None,
            weight=share.weight if share else 0,
            shadow_percent=share.shadow_percent if share else 0,
            replicas=pods.desired,
            ready_replicas=pods.ready,
        )


def _role(state: State, model: str) -> Role:
    if state.champion and state.champion.name == model:
        return Role.CHAMPION
    if state.previous and state.previous.name == model:
        return Role.PREVIOUS
    return Role.CHALLENGER


def _contest(assessed: Assessment) -> ContestStatus | None:
    shown = assessed.contests.shown
    if shown is None:
        return None
    contest = shown.contest
    return ContestStatus(
        challenger=contest.model,
        digest=contest.digest,
        stage=contest.stage,
        since=contest.runs[-1].since,
        started_at=contest.started,
        verdict=shown.judgement.verdict,
        message=_message(assessed, shown),
    )


def _message(assessed: Assessment, shown: JudgedContest) -> str:
    """Say why the contest stays where it is, and roughly how long it takes: words that stay while they are about
    right."""
    why = HOLDING.get(holding(assessed) or Reason.STAGE_RUNNING, "")
    if shown.forecast is None:
        return why
    before = assessed.observed.mdep.status.contest
    return f"{why}; {shown.forecast.words(before.message if before else '')}"


def _retraining(assessed: Assessment) -> RetrainingStatus | None:
    if assessed.observed.mdep.spec.retraining is None:
        return None
    state, opened = assessed.state, assessed.retraining.open
    closed = [r for r in state.runs if r.outcome]
    return RetrainingStatus(
        job=opened.job_name if opened and opened.was_seen else None,
        run=state.runs[-1].number if state.runs else 0,
        next_allowed_at=assessed.retraining.next_allowed_at,
        last_outcome=closed[-1].outcome if closed else None,
        lost_candidates=state.lost_runs,
    )
