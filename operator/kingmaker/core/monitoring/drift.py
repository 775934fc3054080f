"""Judge whether live data drifted from the baseline. Too little data is Unknown, never healthy.

Three layers keep it quiet: a tolerance (differences that nobody cares about), a false-alarm budget per model instead
of per test, and persistence over evaluations. Predictions and scores are counted but not judged: on the training
rows, where their reference comes from, a model is surer than on any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from kingmaker.core.counts.baseline import Baseline, Feature, Kind
from kingmaker.core.counts.cells import CellVector
from kingmaker.core.counts.windows import SLOTS, WindowCounts, Windows, window_counts
from kingmaker.core.statistics.cells import FeatureTest, compare_cells, per_feature_level
from kingmaker.core.wording import duration

ATTRIBUTION: Final = 0.05
"""Rate of false discoveries among the features that are named once an alarm is raised."""


class Severity(StrEnum):
    """How far data moved. Unknown when there is too little to tell."""

    UNKNOWN = "Unknown"
    NONE = "None"
    WARNING = "Warning"
    DRIFT = "Drift"
    SEVERE = "Severe"

    @property
    def rank(self) -> int:
        """Order: the further data moved the higher; Unknown is lowest."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """When a difference counts.

    `warning`, `tolerance` and `severe` are in units of PSI and start the states of these names (0.01, 0.05 and 0.25 are
    shifts by about 0.1, 0.23 and 0.5 standard deviations). False alarms come once per `false_alarm_interval` over all
    features and windows together. A window with fewer than `min_rows` rows, or of which less than `min_coverage` (0..1)
    was observed, says nothing. `overdispersion` per feature is learnt from quiet windows, 1 where absent.
    """

    tolerance: float = 0.05
    warning: float = 0.01
    severe: float = 0.25
    false_alarm_interval: timedelta = timedelta(weeks=26)
    windows: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(hours=24), timedelta(hours=168))
    min_rows: int = 200
    min_coverage: float = 0.8
    ignore_features: frozenset[str] = frozenset()
    overdispersion: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.warning <= self.tolerance:
            message = f"warning {self.warning} and tolerance {self.tolerance}: expected 0 <= warning <= tolerance"
            raise ValueError(message)

    @property
    def steps(self) -> tuple[tuple[Severity, float], ...]:
        """Severities with the difference at which they begin, mildest first; a tolerance above `severe` lifts it."""
        return (
            (Severity.WARNING, self.warning),
            (Severity.DRIFT, self.tolerance),
            (Severity.SEVERE, max(self.severe, self.tolerance)),
        )


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How one feature moved in the window where it moved most.

    `direction` in words; `psi` with its expectation without drift taken off; `p_value` for "moved by no more than its
    severity allows", to be compared with `level`.
    """

    name: str
    window: timedelta
    severity: Severity
    direction: str
    psi: float
    p_value: float
    level: float
    test: FeatureTest


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """What the windows say together: the worst of them. `features` that moved, worst first.

    `window` is the length of the worst window and `until` its end, both None while all is Unknown; the same `until`
    twice is the same evidence, not more of it.
    """

    state: Severity
    features: tuple[FeatureDrift, ...]
    window: timedelta | None
    until: datetime | None
    message: str


def judge_drift(baseline: Baseline, windows: Windows, policy: DriftPolicy, *, now: datetime) -> DriftVerdict:
    """Judge the newest complete window of each length against the baseline.

    The alarm of one window is Bonferroni over its features, at a level that keeps to the budget; features are then
    named by Benjamini and Hochberg's rule. Windows of the policy that `windows` does not keep are Unknown. Features
    that were broken during a window are left out of it: their broken rows are no drift.

    Args:
        baseline: The reference.
        windows: Counts in the baseline's cells.
        policy: Tolerances, budget of false alarms, lengths.
        now: Decides which windows are complete; aware.
    """
    kept = {scale.length for scale in windows.scales}
    all_counts = [window_counts(windows, scale, now) for scale in policy.windows if scale in kept]
    judged: list[_Judged] = []
    lacking = [f"{duration(scale)}: not counted yet" for scale in policy.windows if scale not in kept]
    for counts in all_counts:
        missing = what_lacks(counts, min_rows=policy.min_rows, min_coverage=policy.min_coverage)
        if missing:
            lacking.append(f"{duration(counts.scale)}: {missing}")
        else:
            judged.append(_judge_window(baseline, counts, policy))
    judged = [window for window in judged if window.tests]
    if not judged:
        why = "; ".join(lacking) or "every feature is ignored, broken or short of rows"
        return DriftVerdict(Severity.UNKNOWN, (), None, None, f"too little data to judge drift ({why})")
    # The shortest window names the worst state first: it saw it with the newest rows.
    worst = max(judged, key=lambda window: window.severity.rank)
    features = _worst_per_feature(judged)
    message = _message(worst, features)
    if worst.counts.broken:
        message += f"; left out as broken: {', '.join(sorted(worst.counts.broken))}"
    if lacking:
        message += f"; not judged yet: {'; '.join(lacking)}"
    return DriftVerdict(worst.severity, features, worst.counts.scale, worst.counts.until, message)


def what_lacks(counts: WindowCounts, *, min_rows: int, min_coverage: float) -> str:
    """Say why a window can't be judged; empty when it can.

    Args:
        counts: The window.
        min_rows: Rows that it must hold.
        min_coverage: Part of its time, 0..1, that must have been observed.
    """
    if not counts.filled:
        return f"counting began after {counts.until - counts.scale:%Y-%m-%d %H:%M:%S}Z, where the window starts"
    if counts.coverage < min_coverage:
        return f"{counts.coverage:.0%} of its time observed, at least {min_coverage:.0%} needed"
    if counts.rows < min_rows:
        return f"{counts.rows} rows, at least {min_rows} needed"
    return ""


def persisted(history: Sequence[bool], *, of: int, needed: int) -> bool:
    """Tell whether at least `needed` of the last `of` evaluations (oldest first) were positive.

    Fewer than `of` evaluations suffice when enough of them were.

    Args:
        history: Evaluations, oldest first.
        of: How many of the newest count; with 0 or less nothing persists.
        needed: How many of them must be positive.
    """
    return sum(history[-of:]) >= needed if of > 0 else False


@dataclass(frozen=True, slots=True)
class _Judged:
    counts: WindowCounts
    tests: Mapping[str, FeatureTest]
    severity: Severity
    features: tuple[FeatureDrift, ...]


def _judge_window(baseline: Baseline, counts: WindowCounts, policy: DriftPolicy) -> _Judged:
    tests = {
        feature.name: _compare(feature, current)
        for feature, current in zip(baseline.features, counts.counts.columns, strict=False)
        if feature.name not in policy.ignore_features | counts.broken and int(current.sum()) >= policy.min_rows
    }
    level = per_feature_level(
        interval=policy.false_alarm_interval,
        window=counts.scale,
        scales=len(policy.windows),
        overlap=SLOTS,
        features=max(1, len(tests)),
    )
    severity, found = Severity.NONE, dict[str, FeatureDrift]()
    for step, tolerance in policy.steps:
        p_values = {
            name: test.p_value(tolerance, overdispersion=policy.overdispersion.get(name, 1.0))
            for name, test in tests.items()
        }
        # What is within one tolerance is within all greater ones.
        if min(p_values.values(), default=1.0) > level:
            break
        severity = step
        for name in _attributed(p_values):
            found[name] = _feature_drift(
                name, tests[name], counts.scale, step, tolerance, p_values[name], level, policy
            )
    return _Judged(counts, tests, severity, tuple(found.values()))


def _compare(feature: Feature, current: CellVector) -> FeatureTest:
    return compare_cells(
        feature.counts,
        current,
        rare=[cell.name if cell.rare else None for cell in feature.cells],
        ordered=feature.kind is Kind.NUMERIC,
    )


def _attributed(p_values: Mapping[str, float]) -> list[str]:
    """Name the features that moved, a part of at most `ATTRIBUTION` of them wrongly (Benjamini & Hochberg 1995)."""
    ordered = sorted(p_values.values())
    within = (p for rank, p in enumerate(ordered, 1) if p <= ATTRIBUTION * rank / len(ordered))
    highest = max(within, default=-1.0)
    return [name for name, p in p_values.items() if p <= highest]


def _feature_drift(
    name: str,
    test: FeatureTest,
    window: timedelta,
    severity: Severity,
    tolerance: float,
    p_value: float,
    level: float,
    policy: DriftPolicy,
) -> FeatureDrift:
    # Features that only the attribution found are described at its own, milder level.
    directions = test.directions(
        tolerance, max(level, ATTRIBUTION), overdispersion=policy.overdispersion.get(name, 1.0)
    )
    return FeatureDrift(
        name, window, severity, ", ".join(directions) or "other shape", test.debiased_psi, p_value, level, test
    )


def _worst_per_feature(judged: Iterable[_Judged]) -> tuple[FeatureDrift, ...]:
    worst: dict[str, FeatureDrift] = {}
    for drift in (d for window in judged for d in window.features):
        kept = worst.get(drift.name)
        if kept is None or drift.severity.rank > kept.severity.rank:
            worst[drift.name] = drift
    return tuple(sorted(worst.values(), key=lambda d: (-d.severity.rank, -d.psi, d.name)))


def _message(worst: _Judged, features: Sequence[FeatureDrift]) -> str:
    counts = worst.counts
    figures = f"{counts.rows} rows of {duration(counts.scale)} compared with the baseline"
    if worst.severity is Severity.NONE:
        return f"{figures}: no feature moved more than tolerated"
    named = "; ".join(f"{d.name} {d.direction} (PSI {d.psi:.2f}, {duration(d.window)})" for d in features[:5])
    more = f" and {len(features) - 5} more" if len(features) > 5 else ""
    return f"{figures}: {worst.severity}, {len(features)} of {len(worst.tests)} features moved: {named}{more}"
