"""What the champion's data lets expect of its errors, window by window: the estimate without labels, judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kingmaker.api import Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.windows import SLOTS, WindowCounts, Windows, window_counts
from kingmaker.core.monitoring.drift import what_lacks
from kingmaker.core.monitoring.estimate import Estimate, Source, estimate_error, source_of
from kingmaker.core.monitoring.performance import PerformancePolicy

LEAST_COVERAGE = 0.8
"""Part of a window's time, 0..1, that must have been observed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The estimate in one window, and whether it is too high."""

    window: WindowCounts
    estimate: Estimate
    reason: Reason | None


def judge_expected(
    baseline: Baseline,
    windows: Windows,
    policy: PerformancePolicy,
    *,
    min_rows: int,
    of_sizes: bool,
    requests_per_row: float,
    now: datetime,
) -> tuple[Expected, ...]:
    """Estimate the error in the newest complete window of each length, the shortest first.

    Args:
        baseline: The champion's, with errors on held-out rows; without them nothing can be estimated.
        windows: Counts in its cells.
        policy: Tolerance, maximum and budget of false alarms, as for labels; in the measure's unit.
        min_rows: Rows that a window must hold.
        of_sizes: Whether the measure is the size of errors, instead of their rate.
        requests_per_row: Rows of one request are alike: so many requests there are to a row, 0..1.
        now: Decides which windows are complete; aware.
    """
    source = source_of(baseline, of_sizes=of_sizes)
    if source is None:
        return ()
    lengths = sorted(scale.length for scale in windows.scales)
    found = (window_counts(windows, length, now) for length in lengths)
    judged = (_judge(source, counts, policy, requests_per_row) for counts in found if _is_full(counts, min_rows))
    return tuple(one for one in judged if one)


def shown_of(expected: tuple[Expected, ...]) -> Expected | None:
    """Give the estimate to tell of: of the shortest window in which it is too high, else of the longest."""
    risen = next((one for one in expected if one.reason), None)
    return risen or (expected[-1] if expected else None)


def _is_full(counts: WindowCounts, min_rows: int) -> bool:
    return not what_lacks(counts, min_rows=min_rows, min_coverage=LEAST_COVERAGE)


def _judge(source: Source, counts: WindowCounts, policy: PerformancePolicy, requests_per_row: float) -> Expected | None:
    estimate = estimate_error(source, counts.counts.columns[source.column], requests_per_row=requests_per_row)
    if estimate is None:
        return None
    level = policy.level(counts.scale, looks=SLOTS)
    reason = None
    if policy.maximum is not None and estimate.above_p_value(policy.maximum) <= level:
        reason = Reason.ESTIMATE_ABOVE_MAXIMUM
    elif estimate.above_p_value(estimate.reference * (1 + policy.tolerance)) <= level:
        reason = Reason.ESTIMATE_ABOVE_REFERENCE
    return Expected(counts, estimate, reason)
