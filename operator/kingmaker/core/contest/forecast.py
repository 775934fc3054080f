"""How long a contest takes yet, at the present traffic and label rate.

The requests that a proof takes follow from what was counted: the evidence of a great many requests like those that were
labelled so far, divided by their number, is what one of them is expected to add. For «no worse» the challenger is taken
to be as good as the champion; for «better» both go on as they did.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from kingmaker.api import Goal
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.classes import classes_check
from kingmaker.core.contest.evidence import NO_ARM
from kingmaker.core.contest.goal import goal_check, in_force, reference_check
from kingmaker.core.contest.judgement import Judgement
from kingmaker.core.contest.steps import ContestPolicy
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.counts.labelled import ClassCell, LossCell
from kingmaker.core.counts.process import Arm, Shadow
from kingmaker.core.state import Contest, StageRun

_LEAST: Final = 50
"""Labelled requests from which on a forecast is made."""
_MANY: Final = 10_000_000
_START_COST: Final = math.log(24)
"""What a mixture of as many bets pays for not knowing the best one."""
_STEPS: Final = 64
"""Shares of cells are rounded to as many steps per decade: a forecast is rough, and is worked out anew but seldom."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_Rows = tuple[tuple[object, float], ...]
_WORDS: Final = tuple(
    (timedelta(hours=hours), words)
    for hours, words in (
        *((1, "an hour"), (3, "three hours"), (8, "eight hours"), (24, "a day"), (72, "three days")),
        *((168, "a week"), (504, "three weeks"), (1440, "two months"), (4320, "six months")),
    )
)
_OVERLAP: Final = 1.6
"""So far beyond a word's length it may still be said, where it was said before."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long the proof takes yet, None where it never comes; and how long until the deadline."""

    remaining: timedelta | None
    deadline: timedelta

    @property
    def is_in_time(self) -> bool:
        """Whether the proof is expected before the deadline."""
        return self.remaining is not None and self.remaining <= self.deadline

    def words(self, before: str) -> str:
        """Say it roughly: words that are still about right stay.

        Args:
            before: What was said last.
        """
        if self.remaining is None:
            return "at the present traffic and label rate it is never shown"
        remaining = self.remaining
        fitting = [(length, words) for length, words in _WORDS if remaining <= length * _OVERLAP]
        said = next((words for length, words in fitting if f"about {words} " in before and remaining > length / 4), "")
        exact = next((words for length, words in _WORDS if remaining <= length), "more than six months")
        late = "" if self.is_in_time else ", which is after the deadline"
        return f"about {said or exact} at the present traffic and label rate{late}"


def forecast(
    contest: Contest, judgement: Judgement, rules: VerdictPolicy, policy: ContestPolicy, now: datetime
) -> Forecast | None:
    """Forecast how long a contest takes; None where nothing can be said: no labels yet, or no live stage to come.

    With affinity nothing is said: how much an entity tells is not known beforehand.

    Args:
        contest: The contest.
        judgement: What the counts say of it.
        rules: By which it is judged.
        policy: Its stages and its deadline.
        now: The time, aware.
    """
    last = contest.runs[-1] if contest.fixed else policy.stages[-1]
    current = in_force(judgement.stretches)
    labelled = sum(s.champion.labelled_requests + s.challenger.labelled_requests for s in current)
    elapsed = now - current[0].run.since if current else timedelta(0)
    if rules.by_entity or not last.weight or labelled < _LEAST or elapsed <= timedelta(0):
        return None
    profiles = _profiles(judgement.stretches, rules.goal)
    if profiles is None:
        return None
    needed = _needed(*profiles, last.weight, rules)
    deadline = max(contest.started + policy.deadline - now, timedelta(0))
    if not math.isfinite(needed):
        return Forecast(None, deadline)
    is_last = contest.fixed or contest.stage == policy.stages[-1].name
    missing = max(needed - (labelled if is_last else 0), 0.0)
    seconds = missing * elapsed.total_seconds() / labelled + _before_last(contest, policy, now)
    return Forecast(timedelta(seconds=min(seconds, 3e9)), deadline)


def _before_last(contest: Contest, policy: ContestPolicy, now: datetime) -> float:
    """Seconds that stages take at least before the last one begins."""
    names = [stage.name for stage in policy.stages]
    if contest.fixed or contest.stage not in names:
        return 0.0
    ahead = policy.stages[names.index(contest.stage) : -1]
    held = (now - contest.runs[-1].since).total_seconds() if ahead else 0.0
    return max(sum(stage.min_duration.total_seconds() for stage in ahead) - held, 0.0)


@dataclass(frozen=True, slots=True)
class _Profile:
    """What labelled requests of an arm are like: shares of the cells, rounded."""

    judged: tuple[float, ...]
    classes: _Rows
    losses: _Rows


def _profiles(stretches: Sequence[Stretch], goal: Goal) -> tuple[_Profile, _Profile] | None:
    champion = sum((s.champion for s in stretches), NO_ARM)
    challenger = sum((s.challenger for s in stretches), NO_ARM)
    if goal is Goal.NON_INFERIOR:
        champion = challenger = champion + challenger
    if min(sum(champion.judged), sum(challenger.judged)) < _LEAST:
        return None
    return _profile(champion), _profile(challenger)


def _profile(arm: Arm) -> _Profile:
    n = sum(arm.judged)
    judged = tuple(_rounded(count / n) for count in arm.judged)
    return _Profile(judged, _rows(arm.classes.items(), n), _rows(arm.losses.items(), n))


def _rows(cells: Iterable[tuple[object, int]], n: int) -> _Rows:
    return tuple((cell, _rounded(count / n)) for cell, count in cells)


def _rounded(share: float) -> float:
    return 10.0 ** (round(math.log10(share) * _STEPS) / _STEPS) if share > 0 else 0.0


@lru_cache(maxsize=512)
def _needed(champion: _Profile, challenger: _Profile, weight: int, rules: VerdictPolicy) -> float:
    """Labelled requests of both arms in the last stage until everything that promotes is shown; inf for never."""
    run = StageRun("forecast", 0, _EPOCH, weight, 100 - weight)
    arms = (_arm(champion, _MANY * (1 - run.share)), _arm(challenger, _MANY * run.share))
    stretch = (Stretch(run, *arms, Shadow()),)
    return max((_until_shown(check) for check in _promoting(stretch, rules)), default=math.inf)


def _promoting(stretches: Sequence[Stretch], rules: VerdictPolicy) -> Iterator[Check]:
    yield goal_check(stretches, rules)
    found = (classes_check("classes", stretches, rules), reference_check(stretches, rules))
    yield from (check for check in found if check)


def _until_shown(check: Check) -> float:
    if check.log_e is None or check.threshold is None or check.log_e <= 0:
        return math.inf
    return _MANY * (check.threshold + _START_COST) / (check.log_e + _START_COST)


def _arm(profile: _Profile, requests: float) -> Arm:
    judged = tuple(round(share * requests) for share in profile.judged)
    classes = {cell: round(share * requests) for cell, share in profile.classes if isinstance(cell, ClassCell)}
    losses = {cell: round(share * requests) for cell, share in profile.losses if isinstance(cell, LossCell)}
    n = sum(judged)
    return Arm(answered=n, rows=n, judged=judged, classes=classes, losses=losses)
