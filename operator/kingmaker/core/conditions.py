"""The conditions of a ModelDeployment: a table of them, and how each is told from an assessment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kingmaker.api import Condition, ConditionStatus, ConditionType, Reason
from kingmaker.core.assess import Assessment
from kingmaker.core.contest.candidates import is_ready, unready_message
from kingmaker.core.contest.steps import Hold
from kingmaker.core.manifests.names import decision_name
from kingmaker.core.observed import Observed
from kingmaker.core.serving.autoscaling import judge_autoscaling
from kingmaker.core.serving.ownership import taken_message

_YES: Final = ConditionStatus.TRUE
_NO: Final = ConditionStatus.FALSE

HOLDING: Final = {
    Reason.STAGE_RUNNING: "the stage's minimum duration is not over",
    Reason.THIN_EVIDENCE: "too few requests or labels for a verdict",
    Reason.NO_LABELS: "no labels arrive: post feedback, or name the challenger in spec.championRef",
    Reason.SPLIT_MISMATCH: "requests or labels do not arrive in the designed shares, so nothing is concluded",
    Reason.CLASS_UNPROVEN: "not shown yet of every class that no more of it is missed than the champion misses",
    Reason.MEASURE_UNAVAILABLE: "what is to be compared can't be measured of these models; kingmaker explain says why",
    Reason.SELECTIVE_LABELS: "what comes back with labels is no sample of the answers: label at random",
    Reason.AWAITING_PROMOTION: "won; promotion is Manual: approve its digest or name it in spec.championRef",
    Reason.AWAITING_APPROVAL: "won; add its digest to spec.contest.approval.approvedDigests to promote it",
    Reason.PROMOTION_NEVER: "won; promotion is Never, so it stays in its last stage",
    Reason.PAUSED: "paused: traffic stays as it is until a person decides",
}
"""Why a contest stays in its stage, in a sentence."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a condition says now."""

    status: ConditionStatus
    reason: Reason
    message: str


def conditions(assessed: Assessment) -> tuple[Condition, ...]:
    """Give every condition that holds something to say, in the order of the table.

    Args:
        assessed: What they speak of; a condition whose status did not change keeps the time of its transition.
    """
    known = {c.type: c for c in assessed.observed.mdep.status.conditions}
    told = ((kind, tell(assessed)) for kind, tell in CONDITIONS)
    return tuple(_condition(known.get(kind), kind, said, assessed.observed) for kind, said in told if said)


def _condition(before: Condition | None, kind: ConditionType, said: Statement, observed: Observed) -> Condition:
    message, generation = said.message[:4096], observed.mdep.metadata.generation
    told = (said.status, said.reason, message, generation)
    if before and (before.status, before.reason, before.message, before.observed_generation) == told:
        # Mostly nothing changed, and making one anew takes longer than looking.
        return before
    since: datetime = before.last_transition_time if before and before.status == said.status else observed.now
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


def holding(assessed: Assessment) -> Reason | None:
    """Why the contest that status speaks of stays where it is; None without one."""
    shown = assessed.contests.shown
    if shown is None:
        return None
    return shown.step.reason if isinstance(shown.step, Hold) else Reason.STAGE_RUNNING


def _ready(assessed: Assessment) -> Statement:
    obstacle = _blocked(assessed) or _working(assessed)
    if obstacle:
        return obstacle
    serving, routed = _champion_available(assessed), _router_configured(assessed)
    # While routers take over new weights they answer by the old ones: a contest's steps don't make anybody unready.
    pending = routed.reason is Reason.ROUTER_PENDING and _was_ready(assessed.observed)
    failing = next((s for s in (serving, routed) if s.status is not _YES and not (s is routed and pending)), None)
    if failing:
        return Statement(_NO, failing.reason, failing.message)
    champion = assessed.state.champion
    return Statement(_YES, Reason.SERVING, f"{champion.name if champion else ''} serves")


def _stalled(assessed: Assessment) -> Statement | None:
    blocked = _blocked(assessed)
    return Statement(_YES, blocked.reason, blocked.message) if blocked else None


def _reconciling(assessed: Assessment) -> Statement | None:
    if _blocked(assessed):
        return None
    ready = _ready(assessed)
    return None if ready.status is _YES else Statement(_YES, ready.reason, ready.message)


def _champion_available(assessed: Assessment) -> Statement:
    champion = assessed.state.champion
    if champion is None:
        return Statement(_NO, Reason.CHAMPION_UNAVAILABLE, "no model holds the seat yet")
    pods = assessed.observed.variant(champion.name)
    if pods.endpoints:
        return Statement(_YES, Reason.SERVING, f"{champion.name} has ready pods")
    message = f"{champion.name} has no ready pod" + (f": {pods.stalled}" if pods.stalled else "")
    return Statement(_NO, Reason.CHAMPION_UNAVAILABLE, message)


def _router_configured(assessed: Assessment) -> Statement:
    routers = assessed.observed.routers
    refused = next((r for r in routers if r.error), None)
    if refused:
        message = f"router {refused.pod} refused the configuration: {refused.error}"
        return Statement(_NO, Reason.ROUTER_REJECTED, message)
    if not any(r.ready for r in routers):
        return Statement(_NO, Reason.NO_ROUTER, "no router pod is ready yet")
    if not assessed.traffic.is_acknowledged and not _was_acknowledged(assessed):
        return Statement(_NO, Reason.ROUTER_PENDING, "a router pod has not acknowledged the weights yet")
    return Statement(_YES, Reason.ROUTER_ACKNOWLEDGED, "every router pod has the present weights")


def _was_acknowledged(assessed: Assessment) -> bool:
    """Whether every router had these weights before the operator began anew, and just has had no time to say so."""
    observed, state = assessed.observed, assessed.state
    status = observed.mdep.status
    newest = status.last_decision_ref
    told = newest is not None and newest.name == decision_name(observed.mdep.metadata.name, state.sequence)
    was = any(c.type == ConditionType.ROUTER_CONFIGURED and c.status == _YES for c in status.conditions)
    return told and was and any(r.settling for r in observed.routers)


def _autoscaling_active(assessed: Assessment) -> Statement | None:
    scaling = assessed.observed.mdep.spec.serving.autoscaling
    if scaling is None:
        return None
    return Statement(*judge_autoscaling(assessed.observed, scaling, assessed.traffic.kept))


def _contest_in_progress(assessed: Assessment) -> Statement:
    shown, why = assessed.contests.shown, holding(assessed)
    if shown and why:
        said = f"{shown.contest.model} in stage {shown.contest.stage}"
        broken = shown.judgement.shares.broken
        return Statement(_YES, why, f"{said}: {broken.complaint}" if broken else said)
    waiting = _waiting_challenger(assessed)
    return waiting or Statement(_NO, Reason.NO_CHALLENGER, "nobody contests the seat")


def _promotion_pending(assessed: Assessment) -> Statement:
    why = holding(assessed)
    if why is None:
        return Statement(_NO, Reason.NO_CHALLENGER, "nobody contests the seat")
    pending = why in (Reason.AWAITING_PROMOTION, Reason.AWAITING_APPROVAL)
    return Statement(_YES if pending else _NO, why, HOLDING.get(why, ""))


def _model_drift_detected(assessed: Assessment) -> Statement:
    watch = assessed.monitor
    return Statement(watch.drift_status, watch.drift_reason, watch.drift_message)


def _data_quality_broken(assessed: Assessment) -> Statement:
    watch = assessed.monitor
    return Statement(watch.quality_status, watch.quality_reason, watch.quality_message)


def _model_performance_degraded(assessed: Assessment) -> Statement:
    performance = assessed.performance
    return Statement(performance.status, performance.reason, performance.message)


def _retraining_active(assessed: Assessment) -> Statement:
    retraining = assessed.retraining
    if assessed.observed.mdep.spec.retraining is None:
        return Statement(_NO, Reason.NOT_CONFIGURED, "spec.retraining is not set")
    if retraining.open:
        run = retraining.open.run
        return Statement(_YES, Reason.JOB_RUNNING, f"run {run.number}, because of {run.reason}")
    if retraining.obstacle:
        reason = retraining.obstacle.reason
        return Statement(_NO, reason, f"due, but not started: {reason}")
    return Statement(_NO, Reason.NOT_DUE, "no trigger holds")


CONDITIONS: Final[tuple[tuple[ConditionType, Callable[[Assessment], Statement | None]], ...]] = (
    # What people and tools look at first: the sum of the others.
    (ConditionType.READY, _ready),
    # Abnormal-true, so absent unless true, and never both: nothing is under way where only a person helps.
    (ConditionType.STALLED, _stalled),
    (ConditionType.RECONCILING, _reconciling),
    # What Ready is made of.
    (ConditionType.CHAMPION_AVAILABLE, _champion_available),
    (ConditionType.ROUTER_CONFIGURED, _router_configured),
    # Absent without spec.serving.autoscaling.
    (ConditionType.AUTOSCALING_ACTIVE, _autoscaling_active),
    # The rest makes nobody unready: contests and retraining may take days, drift is about the data.
    (ConditionType.CONTEST_IN_PROGRESS, _contest_in_progress),
    (ConditionType.PROMOTION_PENDING, _promotion_pending),
    (ConditionType.MODEL_DRIFT_DETECTED, _model_drift_detected),
    (ConditionType.DATA_QUALITY_BROKEN, _data_quality_broken),
    (ConditionType.MODEL_PERFORMANCE_DEGRADED, _model_performance_degraded),
    (ConditionType.RETRAINING_ACTIVE, _retraining_active),
)
"""Every condition of a ModelDeployment with what tells it, in the order in which status lists them."""


def _was_ready(observed: Observed) -> bool:
    return any(c.type == ConditionType.READY and c.status == _YES for c in observed.mdep.status.conditions)


def _blocked(assessed: Assessment) -> Statement | None:
    """What only a person can mend."""
    observed, target = assessed.observed, assessed.contests.wanted
    if observed.taken:
        return Statement(_NO, Reason.NAME_TAKEN, taken_message(*observed.taken[0]))
    if target is None:
        return None
    model = observed.models.get(target)
    if model is None:
        reason = Reason.CHAMPION_NOT_READY if target in observed.unreadable else Reason.CHAMPION_NOT_FOUND
        return Statement(_NO, reason, unready_message(observed, target))
    if any(c.type == ConditionType.STALLED and c.status == _YES for c in model.status.conditions):
        return Statement(_NO, Reason.CHAMPION_NOT_READY, unready_message(observed, target))
    pods = observed.variant(target)
    return Statement(_NO, Reason.PODS_FAILING, f"{target}: {pods.stalled}") if pods.stalled else None


def _working(assessed: Assessment) -> Statement | None:
    """What is under way towards the spec; contests are not: they may take days."""
    observed, target, champion = assessed.observed, assessed.contests.wanted, assessed.state.champion
    if target is not None:
        model = observed.models.get(target)
        if model is None or not is_ready(model):
            return Statement(_NO, Reason.CHAMPION_NOT_READY, unready_message(observed, target))
        waiting = Statement(_NO, Reason.PROGRESSING, f"waiting for the pods of {target}")
        return _trouble_of(observed, target) or waiting
    if champion is None:
        return None
    trouble = _trouble_of(observed, champion.name)
    ready, needed = observed.variant(champion.name).ready, assessed.contests.needed_pods(champion.name)
    if ready < needed:
        waiting = Statement(_NO, Reason.PROGRESSING, f"{ready} of {needed} pods of {champion.name} are ready")
        return trouble or waiting
    # Enough pods are ready, but those of a new template don't come up.
    return trouble


def _trouble_of(observed: Observed, model: str) -> Statement | None:
    pods = observed.variant(model)
    if pods.trouble is None:
        return None
    return Statement(_NO, pods.trouble.reason, f"{model}, {pods.ready} pods ready: {pods.trouble.message}")


def _waiting_challenger(assessed: Assessment) -> Statement | None:
    """Say what keeps those from their contest who would get one next."""
    observed = assessed.observed
    for entry in observed.mdep.spec.challengers:
        name = entry.model_ref.name
        model = observed.models.get(name)
        if model is None:
            reason = Reason.CHALLENGER_NOT_READY if name in observed.unreadable else Reason.CHALLENGER_NOT_FOUND
            return Statement(_NO, reason, unready_message(observed, name))
        if not is_ready(model):
            return Statement(_NO, Reason.CHALLENGER_NOT_READY, unready_message(observed, name))
    for entrant in assessed.contests.entrants:
        stalled = observed.variant(entrant).stalled
        if stalled:
            return Statement(_NO, Reason.CHALLENGER_UNAVAILABLE, f"{entrant} waits, its pods do not come up: {stalled}")
        if found := _trouble_of(observed, entrant):
            return found
    return None
