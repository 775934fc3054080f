"""How a contest goes on: the next step of one challenger, given what the counts say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from kingmaker.api import OnDeadline, Promotion, Reason, Verdict
from kingmaker.core.contest.checks import Check
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.judgement import GuardrailCheck, Judgement
from kingmaker.core.state import Contest


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the contest: `weight` or `shadow_percent`, 0..100."""

    name: str
    weight: int = 0
    shadow_percent: int = 0
    min_duration: timedelta = timedelta(0)
    min_requests: int = 0


@dataclass(frozen=True, slots=True)
class ContestPolicy:
    """How contests are run; `approved` holds the digests that a person approved.

    `affinity` is the header by whose value requests belong together; empty where each is on its own.
    """

    stages: tuple[Stage, ...]
    promotion: Promotion = Promotion.AUTOMATIC
    approval_required: bool = False
    approved: frozenset[str] = frozenset()
    deadline: timedelta = timedelta(days=14)
    on_deadline: OnDeadline = OnDeadline.KEEP_CHAMPION
    affinity: str = ""

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, if it is still in the spec."""
        return next((s for s in self.stages if s.name == name), None)

    def after(self, name: str) -> Stage | None:
        """The stage that follows `name`; None after the last, or when `name` is gone."""
        names = [s.name for s in self.stages]
        if name not in names or names.index(name) + 1 == len(names):
            return None
        return self.stages[names.index(name) + 1]


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay; look again `until` then, or when counts arrive."""

    reason: Reason
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Enter:
    """Go on to a stage."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Promote:
    """The challenger won; make it champion."""


@dataclass(frozen=True, slots=True)
class Abort:
    """The challenger harms; take it out."""

    failed: GuardrailCheck


@dataclass(frozen=True, slots=True)
class TimeOut:
    """Nothing was proven in time; the champion stays."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave traffic as it is until a person decides."""

    reason: Reason
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """What made the contest pause is gone."""


Step = Hold | Enter | Promote | Abort | TimeOut | Pause | Resume


def next_step(contest: Contest, judgement: Judgement, policy: ContestPolicy, now: datetime) -> Step:
    """Decide how one contest goes on.

    Harm is looked at first, then what needs a person, then the goal and the stages; the deadline last, so that proof on
    the last day still counts.

    Args:
        contest: The challenger's stages so far; it has at least one run.
        judgement: What the counts say of it.
        policy: The stages, and who promotes.
        now: The time, aware.
    """
    # A fixed shadow endangers nobody: it goes on being compared, and its verdict can be read.
    only_watched = contest.fixed and not contest.runs[-1].weight
    harm = judgement.failed(OnFail.ABORT)
    if harm and not only_watched:
        return Abort(harm)
    pause = _pause(contest, judgement, policy, now)
    if contest.paused:
        return Hold(Reason.PAUSED) if pause else Resume()
    if pause and pause.check and not only_watched:
        return pause
    step = _fixed_step(contest, judgement, policy) if contest.fixed else _staged_step(contest, judgement, policy, now)
    if not isinstance(step, Hold) or contest.fixed or step.reason in _WON:
        return step
    deadline = contest.started + policy.deadline
    if now >= deadline:
        return pause or TimeOut()
    return Hold(step.reason, min(step.until, deadline) if step.until else deadline)


_WON: Final = frozenset({Reason.AWAITING_PROMOTION, Reason.AWAITING_APPROVAL, Reason.PROMOTION_NEVER})
"""Holds of a challenger that proved itself: the deadline is for those that did not."""


def _pause(contest: Contest, judgement: Judgement, policy: ContestPolicy, now: datetime) -> Pause | None:
    doubt = judgement.failed(OnFail.PAUSE)
    if doubt:
        return Pause(doubt.guardrail.reason, doubt.check)
    late = not contest.fixed and now >= contest.started + policy.deadline
    if late and policy.on_deadline is OnDeadline.PAUSE:
        return Pause(Reason.DEADLINE_EXCEEDED)
    return None


def _fixed_step(contest: Contest, judgement: Judgement, policy: ContestPolicy) -> Step:
    if not contest.runs or not contest.runs[-1].weight:
        return Hold(Reason.STAGE_RUNNING)
    if judgement.share_is_broken:
        return Hold(Reason.SPLIT_MISMATCH)
    return _on_goal(contest, judgement, policy)


def _staged_step(contest: Contest, judgement: Judgement, policy: ContestPolicy, now: datetime) -> Step:
    stage = policy.stage(contest.stage)
    if stage is None:
        # The stage was taken out of the spec: begin again with the first one, never skip ahead.
        return Enter(policy.stages[0])
    if judgement.share_is_broken:
        return Hold(Reason.SPLIT_MISMATCH)
    ends = _entered(contest) + stage.min_duration
    if now < ends:
        return Hold(Reason.STAGE_RUNNING, ends)
    if judgement.observations < stage.min_requests:
        return Hold(Reason.THIN_EVIDENCE)
    following = policy.after(stage.name)
    if following:
        return Enter(following)
    return _on_goal(contest, judgement, policy)


def _on_goal(contest: Contest, judgement: Judgement, policy: ContestPolicy) -> Step:
    if judgement.verdict is not Verdict.PASS:
        return Hold(judgement.obstacle)
    approved = contest.digest in policy.approved
    match policy.promotion:
        case Promotion.NEVER:
            return Hold(Reason.PROMOTION_NEVER)
        case Promotion.MANUAL:
            return Promote() if approved else Hold(Reason.AWAITING_PROMOTION)
        case Promotion.AUTOMATIC:
            return Promote() if approved or not policy.approval_required else Hold(Reason.AWAITING_APPROVAL)
        case _:
            assert_never(policy.promotion)


def _entered(contest: Contest) -> datetime:
    """When the stage in force began: the first of the last runs under its name."""
    since = contest.runs[-1].since
    for run in reversed(contest.runs):
        if run.stage != contest.stage:
            break
        since = run.since
    return since
