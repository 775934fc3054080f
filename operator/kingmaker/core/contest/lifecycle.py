"""The contests of one deployment: who enters, how each goes on, who leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from kingmaker.api import Action, Actor, OnNewChallenger, Reason
from kingmaker.core.contest.assessment import ContestAssessment, JudgedContest
from kingmaker.core.contest.candidates import Candidate, is_own_retraining, is_still_enrolled
from kingmaker.core.contest.champion import promote
from kingmaker.core.contest.checks import Check, describe
from kingmaker.core.contest.record import FIXED_STAGE, Record, Side, enter_stage
from kingmaker.core.contest.steps import Abort, Enter, Hold, Pause, Promote, Resume, Stage, TimeOut
from kingmaker.core.observed import Observed
from kingmaker.core.state import Contest, State


def withdraw(assessed: ContestAssessment) -> Record | None:
    """End a contest whose challenger people took out of the spec, or whose Model is gone."""
    observed, state = assessed.observed, assessed.state
    declared = {str(e.model_ref.name): e for e in observed.mdep.spec.challengers}
    for contest in state.contests:
        gone = observed.digest_of(contest.model) != contest.digest
        entry = declared.get(contest.model)
        undeclared = (
            entry is None or entry.name != contest.entry
            if contest.entry
            else (not is_still_enrolled(observed, contest.model))
        )
        changed = contest.fixed != (contest.model in assessed.fixed)
        if gone or undeclared or changed:
            what = "its Model is gone" if gone else "it is no longer named, or selected, in the spec"
            message = f"{contest.model} leaves the contest: {what}"
            after = state.without_contest(contest.model)
            return _end(state, contest, after, Reason.CHALLENGER_WITHDRAWN, message, actor=Actor.HUMAN)
    return None


def resplit(assessed: ContestAssessment) -> Record | None:
    """Follow a split that people changed in the spec while the contest runs under another one."""
    state = assessed.state
    for contest in state.contests:
        if state.affinity != assessed.policy.affinity:
            return _split_changed(state, contest, "which requests belong together was changed in the spec")
        share = assessed.fixed.get(contest.model)
        stage = assessed.policy.stage(contest.stage)
        wanted = (share.weight, share.shadow_percent) if share and contest.fixed else None
        if not contest.fixed and stage:
            wanted = (stage.weight, stage.shadow_percent)
        run = contest.runs[-1]
        if wanted and wanted != (run.weight, run.shadow_percent):
            return _split_changed(state, contest, f"the split of {contest.model} was changed in the spec")
    return None


def _split_changed(state: State, contest: Contest, message: str) -> Record:
    side = Side(contest.model, contest.digest)
    return Record(Action.START_STAGE, Reason.SPLIT_CHANGED, message, state, to_side=side, actor=Actor.HUMAN)


def advance_contests(assessed: ContestAssessment) -> Record | None:
    """Take the first step that any contest is ready for."""
    records = (_take_out_crashed(assessed, j.contest) or _carry_out(assessed, j) for j in assessed.judged)
    return next((record for record in records if record), None)


def _take_out_crashed(assessed: ContestAssessment, contest: Contest) -> Record | None:
    """End the contest of a challenger whose servers crash: that is harm which no count has to show.

    Pods that have no node, or no image, are nobody's harm: their requests go to the champion, and nothing was seen.
    """
    observed, champion = assessed.observed, assessed.state.champion
    pods = observed.variant(contest.model)
    both = champion is not None and observed.variant(champion.name).keeps_crashing
    if both or not pods.keeps_crashing or pods.trouble is None:
        return None
    message = f"{contest.model} is out of stage {contest.stage}, no pod of it answers: {pods.trouble.message}"
    after = _lost(assessed, contest, Reason.CHALLENGER_UNAVAILABLE)
    return _end(assessed.state, contest, after, Reason.CHALLENGER_UNAVAILABLE, message)


def _carry_out(assessed: ContestAssessment, judged: JudgedContest) -> Record | None:
    state, contest, checks = assessed.state, judged.contest, judged.judgement.checks
    match judged.step:
        case Abort(failed):
            reason, check = failed.guardrail.reason, failed.check
            message = f"{contest.model} harms in stage {contest.stage}: {describe(check)}"
            after = _lost(assessed, contest, reason)
            return _end(state, contest, after, reason, message, checks, check.rule)
        case TimeOut():
            message = f"{contest.model} proved nothing before the deadline; the champion stays"
            after = _lost(assessed, contest, Reason.DEADLINE_EXCEEDED)
            return _end(state, contest, after, Reason.DEADLINE_EXCEEDED, message, checks)
        case Enter(stage):
            return _enter(assessed, contest, stage, checks)
        case Promote():
            return _promote(assessed, judged)
        case Pause(reason, doubt):
            message = f"{contest.model} stays as it is until a person decides"
            message += f": {describe(doubt)}" if doubt else ""
            after = state.with_contest(replace(contest, paused=True))
            return _about(Action.PAUSE, reason, message, after, contest, checks, doubt.rule if doubt else "")
        case Resume():
            after = state.with_contest(replace(contest, paused=False))
            return _about(Action.RESUME, Reason.CONTINUED, f"{contest.model} goes on", after, contest, checks)
        case Hold():
            return None
        case _:
            assert_never(judged.step)


def _enter(assessed: ContestAssessment, contest: Contest, stage: Stage, checks: tuple[Check, ...]) -> Record | None:
    if contest.model not in assessed.available:
        # Make before break: more weight only for pods that answer.
        return None
    reason = Reason.STAGE_PASSED if assessed.policy.stage(contest.stage) else Reason.STAGE_REMOVED
    message = f"{contest.model} goes from stage {contest.stage} to {stage.name}"
    after = assessed.state.with_contest(enter_stage(contest, stage.name, assessed.observed.now))
    rule = f"stage {contest.stage}: minimum duration and requests reached, no guardrail failed"
    return _about(Action.START_STAGE, reason, message, after, contest, checks, rule)


def _promote(assessed: ContestAssessment, judged: JudgedContest) -> Record | None:
    contest, judgement = judged.contest, judged.judgement
    if contest.model not in assessed.available:
        return None
    after = promote(assessed, judged)
    if _is_run_of(assessed.observed, assessed.state, contest.model):
        after = after.close_run("Promoted")
    old = assessed.state.champion
    return Record(
        Action.PROMOTE,
        Reason.CONTEST_WON,
        f"{contest.model} won: {describe(judgement.goal)}",
        after,
        judgement.goal.rule,
        Side(old.name, old.digest) if old else None,
        Side(contest.model, contest.digest),
        judgement.checks,
    )


def _lost(assessed: ContestAssessment, contest: Contest, reason: Reason) -> State:
    after = assessed.state.without_contest(contest.model).remember(contest.model, contest.digest, reason)
    is_run = _is_run_of(assessed.observed, assessed.state, contest.model)
    return after.close_run("Lost") if is_run else after


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


def admit(assessed: ContestAssessment) -> Record | None:
    """Let the next candidate in, turn away those that can't compete."""
    if assessed.state.champion is None:
        return None
    records = (_turn_away(assessed, candidate) or _begin(assessed, candidate) for candidate in assessed.candidates)
    return next((record for record in records if record), None)


def _turn_away(assessed: ContestAssessment, candidate: Candidate) -> Record | None:
    observed, state = assessed.observed, assessed.state
    obstacle = _obstacle(assessed, candidate)
    if obstacle is None:
        return None
    reason, why = obstacle
    after = state.remember(candidate.model, candidate.digest, reason)
    if _is_run_of(observed, state, candidate.model):
        after = after.close_run("Lost")
    side = Side(candidate.model, candidate.digest)
    return Record(Action.REJECT, reason, f"{candidate.model} can't compete: {why}", after, from_side=side)


def _obstacle(assessed: ContestAssessment, candidate: Candidate) -> tuple[Reason, str] | None:
    """Say why a candidate won't get a contest; None when it may have to wait for one, or can begin."""
    if candidate.mismatch:
        return candidate.mismatch.reason, candidate.mismatch.message
    pods = assessed.observed.variant(candidate.model)
    if pods.stalled and pods.keeps_crashing:
        # Without a node, or an image, nothing was seen of it: it waits.
        return Reason.CHALLENGER_UNAVAILABLE, pods.stalled
    enrol, staged = assessed.observed.mdep.spec.enrol, assessed.state.staged
    if not candidate.entry and staged and enrol and enrol.on_new_challenger is OnNewChallenger.REJECT:
        return Reason.CONTEST_RUNNING, f"{staged.model} is being judged, and onNewChallenger is Reject"
    return None


def _begin(assessed: ContestAssessment, candidate: Candidate) -> Record | None:
    state, now = assessed.state, assessed.observed.now
    running = None if candidate.fixed else state.staged
    if running and not _replaces(assessed.observed, running, candidate):
        return None
    if candidate.model not in assessed.available:
        return None
    if running:
        message = f"{running.model} leaves: the newer {candidate.model} takes its place"
        after = _lost(assessed, running, Reason.CHALLENGER_REPLACED)
        return _end(state, running, after, Reason.CHALLENGER_REPLACED, message)
    contest = Contest(candidate.entry, candidate.model, candidate.digest, now, fixed=candidate.fixed)
    stage = FIXED_STAGE if candidate.fixed else assessed.policy.stages[0].name
    after = state.with_contest(enter_stage(contest, stage, now))
    reason = Reason.CHALLENGER_DECLARED if candidate.entry else Reason.CHALLENGER_ENROLLED
    message = f"{candidate.model} challenges the champion, stage {stage}"
    return _about(Action.START_STAGE, reason, message, after, contest)


def _replaces(observed: Observed, running: Contest, candidate: Candidate) -> bool:
    enrol = observed.mdep.spec.enrol
    both_enrolled = not running.entry and not candidate.entry
    return bool(enrol and enrol.on_new_challenger is OnNewChallenger.REPLACE and both_enrolled)
