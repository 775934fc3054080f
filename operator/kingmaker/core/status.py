"""`ModelDeployment.status`: conditions and the view of the state. Nothing in it changes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from kingmaker.api import (
    ENROLLED,
    ChampionStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    ContestStatus,
    DecisionRef,
    DriftStatus,
    ModelDeploymentStatus,
    PreviousChampion,
    Reason,
    RejectedModel,
    RetrainingStatus,
    Role,
    VariantStatus,
)
from kingmaker.core.contest.candidates import find_candidates, is_ready, unready_message
from kingmaker.core.contest.capacity import needed_pods
from kingmaker.core.contest.champion import wanted_champion
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.lifecycle import judge_contest
from kingmaker.core.contest.policy import contest_policy
from kingmaker.core.contest.steps import Hold, next_step
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.manifests.names import decision_name, retrain_job_name
from kingmaker.core.observed import Observed
from kingmaker.core.retraining.triggers import next_allowed_at
from kingmaker.core.serving.autoscaling import judge_autoscaling
from kingmaker.core.serving.ownership import taken_message
from kingmaker.core.serving.traffic import is_acknowledged, kept_variants, previous_is_warm
from kingmaker.core.state import Contest, Share, State

_ABNORMAL = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})


def build_status(observed: Observed, state: State, watch: DataMonitor, totals: Totals) -> dict[str, Any]:
    """Give the status that describes this state.

    Args:
        observed: The snapshot; what did not change keeps its time of transition.
        state: What is decided.
        watch: What monitoring says of the champion's data.
        totals: Counts per model digest, for the verdict of the running contest.
    """
    contest = _contest_status(observed, state, totals)
    holding = _holding(observed, state, totals)
    status = ModelDeploymentStatus(
        observed_generation=observed.deployment.metadata.generation,
        conditions=_conditions(observed, state, watch, holding),
        url=f"http://{observed.deployment.metadata.name}.{observed.deployment.metadata.namespace}",
        champion=_champion(state),
        previous_champion=_previous(observed, state),
        observed_champion_ref=state.observed_champion_ref or None,
        traffic=split_text(state.traffic) or None,
        variants=tuple(_variants(observed, state)),
        contest=contest,
        queue=tuple(c.model for c in find_candidates(observed, state))[:50],
        rejected=tuple(RejectedModel(name=j.name, digest=j.digest, reason=j.reason) for j in state.judged),
        drift=DriftStatus(state=watch.state, features=watch.features[:20], since=watch.since)
        if watch.since and state.champion
        else None,
        retraining=_retraining(observed, state),
        last_decision_ref=DecisionRef(name=decision_name(observed.deployment.metadata.name, state.sequence))
        if state.sequence
        else None,
    )
    return status.manifest()


def split_text(traffic: Iterable[Share]) -> str:
    """Put a split into a word: answers as `95/5`, champion first, copies as `+100s`."""
    shares = tuple(traffic)
    answers = "/".join(str(s.weight) for s in shares if s.weight)
    return answers + "".join(f"+{s.shadow_percent}s" for s in shares if s.shadow_percent)


def _champion(state: State) -> ChampionStatus | None:
    seat = state.champion
    return ChampionStatus(name=seat.name, digest=seat.digest, since=seat.since) if seat else None


def _previous(observed: Observed, state: State) -> PreviousChampion | None:
    seat = state.previous
    if seat is None or seat.until is None or not previous_is_warm(observed, state):
        return None
    return PreviousChampion(name=seat.name, digest=seat.digest, until=seat.until)


def _variants(observed: Observed, state: State) -> Iterator[VariantStatus]:
    shares = {s.model: s for s in state.traffic}
    for model in kept_variants(observed, state):
        pods = observed.variant(model)
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


def _shown_contest(state: State) -> Contest | None:
    return state.staged or (state.contests[0] if state.contests else None)


def _contest_status(observed: Observed, state: State, totals: Totals) -> ContestStatus | None:
    contest = _shown_contest(state)
    if contest is None:
        return None
    judgement = judge_contest(observed, state, contest, totals)
    return ContestStatus(
        challenger=contest.model,
        digest=contest.digest,
        stage=contest.stage,
        since=contest.runs[-1].since,
        started_at=contest.started,
        verdict=judgement.verdict,
        message=_HOLDING.get(_holding(observed, state, totals) or Reason.STAGE_RUNNING, ""),
    )


_HOLDING = {
    Reason.STAGE_RUNNING: "the stage's minimum duration is not over",
    Reason.THIN_EVIDENCE: "too few requests or labels for a verdict",
    Reason.NO_LABELS: "no labels arrive: post feedback, or name the challenger in spec.championRef",
    Reason.SPLIT_MISMATCH: "requests or labels do not arrive in the designed shares, so nothing is concluded",
    Reason.AWAITING_PROMOTION: "won; promotion is Manual: approve its digest or name it in spec.championRef",
    Reason.AWAITING_APPROVAL: "won; add its digest to spec.contest.approval.approvedDigests to promote it",
    Reason.PROMOTION_NEVER: "won; promotion is Never, so it stays in its last stage",
    Reason.PAUSED: "paused: traffic stays as it is until a person decides",
}


def _holding(observed: Observed, state: State, totals: Totals) -> Reason | None:
    contest = _shown_contest(state)
    if contest is None:
        return None
    judgement = judge_contest(observed, state, contest, totals)
    step = next_step(contest, judgement, contest_policy(observed.deployment), observed.now)
    return step.reason if isinstance(step, Hold) else Reason.STAGE_RUNNING


def _retraining(observed: Observed, state: State) -> RetrainingStatus | None:
    spec = observed.deployment.spec.retraining
    if spec is None:
        return None
    run = state.open_run
    closed = [r for r in state.runs if r.outcome]
    return RetrainingStatus(
        job=_seen_job(observed, run.number) if run else None,
        run=state.runs[-1].number if state.runs else 0,
        next_allowed_at=next_allowed_at(spec, state),
        last_outcome=closed[-1].outcome if closed else None,
        lost_candidates=state.lost_runs,
    )


def _seen_job(observed: Observed, run: int) -> str | None:
    """The Job's name once it was seen: that it vanished afterwards can be told from that it never was."""
    name = retrain_job_name(observed.deployment.metadata.name, run)
    before = observed.deployment.status.retraining
    return name if name in observed.jobs or (before and before.job == name) else None


Finding = tuple[ConditionType, ConditionStatus, Reason, str]


def _conditions(observed: Observed, state: State, watch: DataMonitor, holding: Reason | None) -> tuple[Condition, ...]:
    findings = list(_find(observed, state, watch, holding))
    known = {c.type: c for c in observed.deployment.status.conditions}
    return tuple(
        _condition(known.get(kind), kind, status, reason, message, observed)
        for kind, status, reason, message in findings
        if kind not in _ABNORMAL or status is ConditionStatus.TRUE
    )


def _condition(
    before: Condition | None,
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: str,
    observed: Observed,
) -> Condition:
    since: datetime = before.last_transition_time if before and before.status == status else observed.now
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:4096],
        last_transition_time=since,
        observed_generation=observed.deployment.metadata.generation,
    )


def _find(observed: Observed, state: State, watch: DataMonitor, holding: Reason | None) -> Iterator[Finding]:
    serving = _champion_available(observed, state)
    routed = _router_configured(observed, state)
    blocked = _blocked(observed, state)
    working = _working(observed, state)
    yes, no = ConditionStatus.TRUE, ConditionStatus.FALSE
    # While routers take over new weights they answer by the old ones: a contest's steps don't make anybody unready.
    answering = routed[1] is yes or (routed[2] is Reason.ROUTER_PENDING and _was_ready(observed))
    ready = serving[1] is yes and answering and working is None and blocked is None
    failing = next((f for f in (serving, routed) if f[1] is not yes), serving)
    reason, message = (Reason.SERVING, f"{state.champion.name} serves") if ready and state.champion else failing[2:]
    if blocked:
        reason, message = blocked
    elif not ready and working:
        reason, message = working
    yield ConditionType.READY, yes if ready else no, reason, message
    if blocked:
        yield ConditionType.STALLED, yes, *blocked
    elif not ready:
        yield ConditionType.RECONCILING, yes, reason, message
    yield serving
    yield routed
    scaling = observed.deployment.spec.serving.autoscaling
    if scaling:
        models = kept_variants(observed, state)
        yield ConditionType.AUTOSCALING_ACTIVE, *judge_autoscaling(observed, scaling, models)
    contest = _shown_contest(state)
    pending = holding in (Reason.AWAITING_PROMOTION, Reason.AWAITING_APPROVAL)
    if contest:
        text = f"{contest.model} in stage {contest.stage}"
        yield ConditionType.CONTEST_IN_PROGRESS, yes, holding or Reason.STAGE_RUNNING, text
        yield (
            ConditionType.PROMOTION_PENDING,
            yes if pending else no,
            holding or Reason.STAGE_RUNNING,
            _HOLDING.get(holding or Reason.STAGE_RUNNING, ""),
        )
    else:
        idle = _waiting_challenger(observed) or (Reason.NO_CHALLENGER, "nobody contests the seat")
        yield ConditionType.CONTEST_IN_PROGRESS, no, *idle
        yield ConditionType.PROMOTION_PENDING, no, Reason.NO_CHALLENGER, "nobody contests the seat"
    yield ConditionType.MODEL_DRIFT_DETECTED, watch.drift_status, watch.drift_reason, watch.drift_message
    yield ConditionType.DATA_QUALITY_BROKEN, watch.quality_status, watch.quality_reason, watch.quality_message
    run = state.open_run
    if observed.deployment.spec.retraining is None:
        yield ConditionType.RETRAINING_ACTIVE, no, Reason.NOT_CONFIGURED, "spec.retraining is not set"
    elif run:
        yield ConditionType.RETRAINING_ACTIVE, yes, Reason.JOB_RUNNING, f"run {run.number}, because of {run.reason}"
    elif state.skipped:
        yield ConditionType.RETRAINING_ACTIVE, no, Reason(state.skipped), f"due, but not started: {state.skipped}"
    else:
        yield ConditionType.RETRAINING_ACTIVE, no, Reason.NOT_DUE, "no trigger holds"


def _champion_available(observed: Observed, state: State) -> Finding:
    kind = ConditionType.CHAMPION_AVAILABLE
    if state.champion is None:
        return kind, ConditionStatus.FALSE, Reason.CHAMPION_UNAVAILABLE, "no model holds the seat yet"
    pods = observed.variant(state.champion.name)
    if pods.endpoints:
        return kind, ConditionStatus.TRUE, Reason.SERVING, f"{state.champion.name} has ready pods"
    message = f"{state.champion.name} has no ready pod" + (f": {pods.stalled}" if pods.stalled else "")
    return kind, ConditionStatus.FALSE, Reason.CHAMPION_UNAVAILABLE, message


def _router_configured(observed: Observed, state: State) -> Finding:
    kind = ConditionType.ROUTER_CONFIGURED
    refused = next((r for r in observed.routers if r.error), None)
    if refused:
        message = f"router {refused.pod} refused the configuration: {refused.error}"
        return kind, ConditionStatus.FALSE, Reason.ROUTER_REJECTED, message
    if not [r for r in observed.routers if r.ready]:
        return kind, ConditionStatus.FALSE, Reason.NO_ROUTER, "no router pod is ready yet"
    if state.champion is None or not is_acknowledged(observed, state):
        return kind, ConditionStatus.FALSE, Reason.ROUTER_PENDING, "a router pod has not acknowledged the weights yet"
    return kind, ConditionStatus.TRUE, Reason.ROUTER_ACKNOWLEDGED, "every router pod has the present weights"


def _was_ready(observed: Observed) -> bool:
    conditions = observed.deployment.status.conditions
    return any(c.type == ConditionType.READY and c.status == ConditionStatus.TRUE for c in conditions)


def _blocked(observed: Observed, state: State) -> tuple[Reason, str] | None:
    """What only a person can mend."""
    if observed.is_name_taken:
        return Reason.NAME_TAKEN, taken_message("Service", observed.deployment.metadata.name)
    target = wanted_champion(observed, state)
    if target is None:
        return None
    model = observed.models.get(target)
    if model is None:
        return Reason.CHAMPION_NOT_FOUND, unready_message(None, target)
    stalled = any(c.type == ConditionType.STALLED and c.status == ConditionStatus.TRUE for c in model.status.conditions)
    if stalled:
        return Reason.CHAMPION_NOT_READY, unready_message(model, target)
    pods = observed.variant(target)
    return (Reason.PODS_FAILING, f"{target}: {pods.stalled}") if pods.stalled else None


def _working(observed: Observed, state: State) -> tuple[Reason, str] | None:
    """What is under way towards the spec; contests are not: they may take days."""
    target = wanted_champion(observed, state)
    if target is not None:
        model = observed.models.get(target)
        if model is None or not is_ready(model):
            return Reason.CHAMPION_NOT_READY, unready_message(model, target)
        return _trouble_of(observed, target) or (Reason.PROGRESSING, f"waiting for the pods of {target}")
    if state.champion:
        name = state.champion.name
        ready, needed = observed.variant(name).ready, needed_pods(observed, state, name)
        if ready < needed:
            waiting = (Reason.PROGRESSING, f"{ready} of {needed} pods of {name} are ready")
            return _trouble_of(observed, name) or waiting
        # Enough pods are ready, but those of a new template don't come up.
        return _trouble_of(observed, name)
    return None


def _trouble_of(observed: Observed, model: str) -> tuple[Reason, str] | None:
    pods = observed.variant(model)
    if pods.trouble is None:
        return None
    return pods.trouble.reason, f"{model}, {pods.ready} pods ready: {pods.trouble.message}"


def _waiting_challenger(observed: Observed) -> tuple[Reason, str] | None:
    for entry in observed.deployment.spec.challengers:
        model = observed.models.get(entry.model_ref.name)
        if model is None:
            return Reason.CHALLENGER_NOT_FOUND, unready_message(None, entry.model_ref.name)
        if not is_ready(model):
            return Reason.CHALLENGER_NOT_READY, unready_message(model, entry.model_ref.name)
        if found := _trouble_of(observed, entry.model_ref.name):
            return found
    return None
