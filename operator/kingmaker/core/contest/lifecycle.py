"""The contests of one deployment: who enters, how each goes on, who leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kingmaker.api import Action, Actor, OnNewChallenger, Reason
from kingmaker.core.contest.candidates import Candidate, find_candidates, is_own_retraining, is_still_enrolled, mismatch
from kingmaker.core.contest.capacity import is_available
from kingmaker.core.contest.champion import promote
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.judgement import Check, Judgement, judge
from kingmaker.core.contest.policy import contest_policy, fixed_shares, verdict_policy
from kingmaker.core.contest.record import FIXED_STAGE, Record, Side, enter_stage
from kingmaker.core.contest.steps import Abort, Enter, Pause, Promote, Resume, Stage, TimeOut, next_step
from kingmaker.core.observed import Observed
from kingmaker.core.state import Contest, State

_REASONS = {
    "moreWrongAnswers": Reason.WORSE_THAN_CHAMPION,
    "errors": Reason.ERRORS_ABOVE_CHAMPION,
    "latency": Reason.LATENCY_ABOVE_TOLERANCE,
    "disagreement": Reason.DISAGREEMENT_ABOVE_MAXIMUM,
}


def judge_contest(observed: Observed, state: State, contest: Contest, totals: Totals) -> Judgement:
    """Judge one contest of this deployment by everything counted so far."""
    champion = state.champion.digest if state.champion else ""
    return judge(contest, champion, totals, verdict_policy(observed.deployment))


def withdraw(observed: Observed, state: State) -> Record | None:
    """End a contest whose challenger people took out of the spec, or whose Model is gone."""
    declared = {str(e.model_ref.name): e for e in observed.deployment.spec.challengers}
    fixed = fixed_shares(observed.deployment)
    for contest in state.contests:
        gone = observed.digest_of(contest.model) != contest.digest
        entry = declared.get(contest.model)
        undeclared = (
            entry is None or entry.name != contest.entry
            if contest.entry
            else (not is_still_enrolled(observed, contest.model))
        )
        changed = contest.fixed != (contest.model in fixed)
        if gone or undeclared or changed:
            what = "its Model is gone" if gone else "it is no longer named, or selected, in the spec"
            message = f"{contest.model} leaves the contest: {what}"
            after = state.without_contest(contest.model)
            return _end(state, contest, after, Reason.CHALLENGER_WITHDRAWN, message, actor=Actor.HUMAN)
    return None


def resplit(observed: Observed, state: State) -> Record | None:
    """Follow a split that people changed in the spec while the contest runs under another one."""
    fixed, policy = fixed_shares(observed.deployment), contest_policy(observed.deployment)
    for contest in state.contests:
        share = fixed.get(contest.model)
        stage = policy.stage(contest.stage)
        wanted = (share.weight, share.shadow_percent) if share and contest.fixed else None
        if not contest.fixed and stage:
            wanted = (stage.weight, stage.shadow_percent)
        run = contest.runs[-1]
        if wanted and wanted != (run.weight, run.shadow_percent):
            message = f"the split of {contest.model} was changed in the spec"
            side = Side(contest.model, contest.digest)
            return Record(Action.START_STAGE, Reason.SPLIT_CHANGED, message, state, to_side=side, actor=Actor.HUMAN)
    return None


def advance_contests(observed: Observed, state: State, totals: Totals) -> Record | None:
    """Take the first step that any contest is ready for."""
    policy = contest_policy(observed.deployment)
    for contest in state.contests:
        judgement = judge_contest(observed, state, contest, totals)
        record = _carry_out(observed, state, contest, judgement, next_step(contest, judgement, policy, observed.now))
        if record:
            return record
    return None


def _carry_out(observed: Observed, state: State, contest: Contest, judgement: Judgement, step: object) -> Record | None:
    checks = judgement.checks
    match step:
        case Abort(check):
            message = f"{contest.model} harms in stage {contest.stage}: {describe(check)}"
            after = _lost(observed, state, contest, _REASONS[check.name])
            return _end(state, contest, after, _REASONS[check.name], message, checks, check.rule)
        case TimeOut():
            message = f"{contest.model} proved nothing before the deadline; the champion stays"
            after = _lost(observed, state, contest, Reason.DEADLINE_EXCEEDED)
            return _end(state, contest, after, Reason.DEADLINE_EXCEEDED, message, checks)
        case Enter(stage):
            return _enter(observed, state, contest, stage, checks)
        case Promote():
            return _promote(observed, state, contest, judgement)
        case Pause(reason, check):
            message = f"{contest.model} stays as it is until a person decides" + (
                f": {describe(check)}" if check else ""
            )
            after = state.with_contest(replace(contest, paused=True))
            return _about(Action.PAUSE, reason, message, after, contest, checks, check.rule if check else "")
        case Resume():
            after = state.with_contest(replace(contest, paused=False))
            return _about(Action.RESUME, Reason.CONTINUED, f"{contest.model} goes on", after, contest, checks)
        case _:
            return None


def _enter(
    observed: Observed, state: State, contest: Contest, stage: Stage, checks: tuple[Check, ...]
) -> Record | None:
    if not is_available(observed, state, contest.model):
        # Make before break: more weight only for pods that answer.
        return None
    known = any(s.name == contest.stage for s in contest_policy(observed.deployment).stages)
    reason = Reason.STAGE_PASSED if known else Reason.STAGE_REMOVED
    message = f"{contest.model} goes from stage {contest.stage} to {stage.name}"
    after = state.with_contest(enter_stage(contest, stage.name, observed.now))
    rule = f"stage {contest.stage}: minimum duration and requests reached, no guardrail failed"
    return _about(Action.START_STAGE, reason, message, after, contest, checks, rule)


def _promote(observed: Observed, state: State, contest: Contest, judgement: Judgement) -> Record | None:
    if not is_available(observed, state, contest.model):
        return None
    after = promote(observed, state, contest, judgement)
    if _is_run_of(observed, state, contest.model):
        after = after.close_run("Promoted")
    goal = judgement.checks[0]
    message = f"{contest.model} won: {describe(goal)}"
    old = state.champion
    return Record(
        Action.PROMOTE,
        Reason.CONTEST_WON,
        message,
        after,
        goal.rule,
        Side(old.name, old.digest) if old else None,
        Side(contest.model, contest.digest),
        judgement.checks,
    )


def _lost(observed: Observed, state: State, contest: Contest, reason: Reason) -> State:
    after = state.without_contest(contest.model).remember(contest.model, contest.digest, reason)
    return after.close_run("Lost") if _is_run_of(observed, state, contest.model) else after


def _is_run_of(observed: Observed, state: State, model: str) -> bool:
    found = observed.models.get(model)
    return bool(state.open_run and found and is_own_retraining(observed, found))


def _end(
    state: State,
    contest: Contest,
    after: State,
    reason: Reason,
    message: str,
    checks: tuple[Check, ...] = (),
    rule: str = "",
    actor: Actor = Actor.OPERATOR,
) -> Record:
    """End a contest: a rollback when the challenger answered requests, else a rejection."""
    had_weight = bool(contest.runs and contest.runs[-1].weight)
    champion = state.champion
    return Record(
        Action.ROLLBACK if had_weight else Action.REJECT,
        reason,
        message,
        after,
        rule,
        Side(contest.model, contest.digest),
        Side(champion.name, champion.digest) if champion else None,
        checks,
        actor,
    )


def _about(
    action: Action,
    reason: Reason,
    message: str,
    after: State,
    contest: Contest,
    checks: tuple[Check, ...] = (),
    rule: str = "",
) -> Record:
    return Record(action, reason, message, after, rule, None, Side(contest.model, contest.digest), checks)


def admit(observed: Observed, state: State) -> Record | None:
    """Let the next candidate in, turn away those that can't compete."""
    if state.champion is None:
        return None
    for candidate in find_candidates(observed, state):
        record = _turn_away(observed, state, candidate) or _begin(observed, state, candidate)
        if record:
            return record
    return None


def _turn_away(observed: Observed, state: State, candidate: Candidate) -> Record | None:
    why = mismatch(observed, state, candidate)
    stalled = observed.variant(candidate.model).stalled
    rule = observed.deployment.spec.enrol.on_new_challenger if observed.deployment.spec.enrol else None
    reason: Reason | None = None
    if why:
        reason = Reason.FAMILY_MISMATCH if why.startswith("family") else Reason.SIGNATURE_MISMATCH
    elif stalled:
        reason, why = Reason.CHALLENGER_UNAVAILABLE, stalled
    elif not candidate.entry and state.staged and rule is OnNewChallenger.REJECT:
        reason, why = Reason.CONTEST_RUNNING, f"{state.staged.model} is being judged, and onNewChallenger is Reject"
    if reason is None:
        return None
    after = state.remember(candidate.model, candidate.digest, reason)
    if _is_run_of(observed, state, candidate.model):
        after = after.close_run("Lost")
    side = Side(candidate.model, candidate.digest)
    return Record(Action.REJECT, reason, f"{candidate.model} can't compete: {why}", after, from_side=side)


def _begin(observed: Observed, state: State, candidate: Candidate) -> Record | None:
    running = None if candidate.fixed else state.staged
    if running and not _replaces(observed, running, candidate):
        return None
    if not is_available(observed, state, candidate.model):
        return None
    if running:
        message = f"{running.model} leaves: the newer {candidate.model} takes its place"
        after = _lost(observed, state, running, Reason.CHALLENGER_REPLACED)
        return _end(state, running, after, Reason.CHALLENGER_REPLACED, message)
    contest = Contest(candidate.entry, candidate.model, candidate.digest, observed.now, fixed=candidate.fixed)
    stage = FIXED_STAGE if candidate.fixed else contest_policy(observed.deployment).stages[0].name
    after = state.with_contest(enter_stage(contest, stage, observed.now))
    reason = Reason.CHALLENGER_DECLARED if candidate.entry else Reason.CHALLENGER_ENROLLED
    message = f"{candidate.model} challenges the champion, stage {stage}"
    return _about(Action.START_STAGE, reason, message, after, contest)


def _replaces(observed: Observed, running: Contest, candidate: Candidate) -> bool:
    enrol = observed.deployment.spec.enrol
    both_enrolled = not running.entry and not candidate.entry
    return bool(enrol and enrol.on_new_challenger is OnNewChallenger.REPLACE and both_enrolled)


def next_entrants(observed: Observed, state: State) -> Iterator[str]:
    """Name the models whose pods have to be warm for the contests that come next."""
    replaces = observed.deployment.spec.enrol and (
        observed.deployment.spec.enrol.on_new_challenger is OnNewChallenger.REPLACE
    )
    staged_seat_is_free = state.staged is None or bool(replaces)
    for candidate in find_candidates(observed, state):
        if mismatch(observed, state, candidate):
            continue
        if candidate.fixed:
            yield candidate.model
        elif staged_seat_is_free:
            staged_seat_is_free = False
            yield candidate.model


def describe(check: Check) -> str:
    """Put a check into a phrase for people, with its figures."""
    parts = [f"n={check.n}"]
    if check.estimate is not None:
        parts.append(f"{check.estimate:.1%}")
        if check.reference is not None:
            parts[-1] += f" vs {check.reference:.1%}"
    if check.log_e is not None and check.threshold is not None:
        parts.append(f"E={_e_value(check.log_e)} (threshold {_e_value(check.threshold)})")
    return f"{check.rule}: {', '.join(parts)}"


def _e_value(log_e: float) -> str:
    """E-values span hundreds of decades: past a million the exponent says all."""
    if log_e > 13.8:
        return f"1e{log_e / 2.302585:.0f}"
    return f"{2.718281828459045**log_e:.3g}"
