"""Judge from labels whether the champion's error rose. Too few labels are Unknown, never healthy.

Windows of several lengths are compared with the model's error on rows that it was not fitted on, as its baseline has
it, else with what was seen while all was quiet. Short windows find a great rise soon, long ones a small rise at all;
the levels follow from how seldom a false alarm may come, over all lengths together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kingmaker.api import Reason
from kingmaker.core.counts.label_windows import LABEL_SLOTS, LabelWindow, LabelWindows, forget, label_windows, learn
from kingmaker.core.statistics.rates import Sample, fall_p_value, rise_p_value

HELD_OUT: Final = "held-out rows"
LEARNT: Final = "earlier labels"

_CERTAIN: Final = 1e15
"""Requests of a reference that is no sample."""


@dataclass(frozen=True, slots=True)
class PerformancePolicy:
    """When a rise of the error counts.

    `tolerance` is relative to the reference, 0.1 is a tenth more; `maximum` is the highest error that is good enough,
    None for any. False alarms come once per `false_alarm_interval` over all windows together. Windows with fewer than
    `min_labels` labelled requests say nothing. `remembered` quiet windows of each length are compared with, the newest:
    a day of hours, four weeks of days. `spread` is the variance of one score over that of one of the same mean
    that is either 0 or 1: 1 for answers that are right or wrong. A fall below what was learnt, at `fall_level`, has it
    learnt anew.
    """

    tolerance: float = 0.1
    maximum: float | None = None
    false_alarm_interval: timedelta = timedelta(weeks=26)
    windows: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(hours=24), timedelta(hours=168))
    min_labels: int = 100
    remembered: int = 28
    spread: float = 1.0
    fall_level: float = 1e-6

    def level(self, window: timedelta, *, looks: int) -> float:
        """Give the level of one test in one window, so that false alarms come as seldom as is wanted.

        Args:
            window: The window's length.
            looks: How often each request is tested in windows of that length.

        Returns:
            At most 0.05, however short the interval.
        """
        tests = 1 if self.maximum is None else 2
        return min(0.05, window / self.false_alarm_interval / (len(self.windows) * looks)) / tests

    def for_scores(self, unit: float, spread: float) -> PerformancePolicy:
        """Give the policy about scores of which 1 stands for `unit`, and that vary by `spread`."""
        maximum = self.maximum / unit if self.maximum is not None else None
        return replace(self, spread=spread, maximum=maximum if maximum is not None and maximum < 1 else None)


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """What one window says: whether its error is too high, and why."""

    window: LabelWindow
    reference: Sample
    reason: Reason | None
    p_value: float
    source: str = ""
    """Where the reference is from, in words."""
    dispersion: float = 1.0
    """Variance of the window's scores over that of independent answers, right or wrong."""

    @property
    def is_learnt(self) -> bool:
        """Whether the reference is what was seen before."""
        return self.source == LEARNT

    @property
    def sample(self) -> Sample:
        """The labelled requests of the window."""
        return self.window.tally.sample


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """What the windows say. `windows` are as they are to be kept, with what was learnt from quiet ones.

    `judged` holds the windows with enough labels, the shortest first; `shown` is the shortest that rose, else the
    longest; None without any. `fell`: the error is below what was learnt, which is learnt anew.
    """

    windows: LabelWindows
    judged: tuple[JudgedWindow, ...]
    fell: bool

    @property
    def shown(self) -> JudgedWindow | None:
        """The window to tell of."""
        risen = next((one for one in self.judged if one.reason), None)
        return risen or (self.judged[-1] if self.judged else None)


def judge_labels(windows: LabelWindows, policy: PerformancePolicy, *, reference: Sample | None) -> LabelVerdict:
    """Judge the newest complete window of every length, and learn from those in which nothing rose.

    Args:
        windows: Labels of one model.
        policy: Tolerances, budget of false alarms, lengths.
        reference: The model's error on rows that it was not fitted on; None: what was seen while all was quiet is.
    """
    judged = tuple(filter(None, (_judge(window, policy, reference) for window in label_windows(windows))))
    fallen = [one.window.length for one in judged if one.is_learnt and _fell(one, policy)]
    for length in fallen:
        windows = forget(windows, length)
    if not any(one.reason for one in judged):
        windows = learn(windows, most=policy.remembered)
    return LabelVerdict(windows, judged, bool(fallen))


def _judge(window: LabelWindow, policy: PerformancePolicy, reference: Sample | None) -> JudgedWindow | None:
    """Judge one window; None where it, or what it is compared with, holds too few labels."""
    sample = window.tally.sample
    if sample.n < policy.min_labels:
        return None
    learnt = window.quiet.dispersion(policy.spread)
    dispersion = policy.spread if learnt is None else learnt
    level = policy.level(window.length, looks=LABEL_SLOTS)
    found = None
    if policy.maximum is not None:
        bound = Sample(_CERTAIN, _CERTAIN * policy.maximum)
        p_value = rise_p_value(bound, sample, dispersion=dispersion)
        reason = Reason.ERROR_ABOVE_MAXIMUM if p_value <= level else None
        found = JudgedWindow(window, bound, reason, p_value, "the maximum", dispersion)
    known = reference or window.before
    is_known = reference is not None or learnt is not None
    if not is_known or known.n < policy.min_labels or (found and found.reason):
        return found
    p_value = rise_p_value(known, sample, ratio=1 + policy.tolerance, dispersion=dispersion)
    reason = Reason.ERROR_ABOVE_REFERENCE if p_value <= level else None
    return JudgedWindow(window, known, reason, p_value, HELD_OUT if reference else LEARNT, dispersion)


def _fell(judged: JudgedWindow, policy: PerformancePolicy) -> bool:
    return fall_p_value(judged.reference, judged.sample, dispersion=judged.dispersion) <= policy.fall_level
