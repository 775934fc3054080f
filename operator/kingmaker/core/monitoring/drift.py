"""Judge whether live data drifted from the baseline. Too little data is Unknown, never healthy.

Four layers keep it quiet: a tolerance (differences that nobody cares about), the dispersion and the season that quiet
windows had, a false-alarm budget per model instead of per test, and persistence over windows that share few rows.
A window shorter than the season is no fair sample of the baseline's rows: it is compared with the same time of earlier
seasons, and until these are known by its rare cells only, which have no season to speak of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.findings import FeatureDrift, Severity, WindowFinding
from kingmaker.core.counts.learnt import Learnt
from kingmaker.core.counts.windows import SLOTS, WindowCounts, Windows, window_counts
from kingmaker.core.monitoring.learning import knows_season, usual_in
from kingmaker.core.monitoring.panel import Fairness, Panel, by_weight
from kingmaker.core.monitoring.reference import Reference, reference_of
from kingmaker.core.statistics.columns import Cells, Comparison, compare_columns
from kingmaker.core.wording import duration


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """When a difference counts.

    `warning`, `tolerance` and `severe` are in units of PSI and start the states of these names (0.01, 0.05 and 0.25 are
    shifts by about 0.1, 0.23 and 0.5 standard deviations). False alarms come once per `false_alarm_interval` over all
    features and windows together. A window with fewer than `min_rows` rows, or of which less than `min_coverage` (0..1)
    was observed, says nothing. `season`: the period in which the data repeats itself, None: it doesn't.
    """

    tolerance: float = 0.05
    warning: float = 0.01
    severe: float = 0.25
    false_alarm_interval: timedelta = timedelta(weeks=26)
    windows: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(hours=24), timedelta(hours=168))
    min_rows: int = 200
    min_coverage: float = 0.8
    ignore_features: frozenset[str] = frozenset()
    season: timedelta | None = timedelta(hours=24)

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

    def level(self, window: timedelta) -> float:
        """Level of all tests of one window together, so that false alarms come once per interval over all windows.

        Each row is in as many windows of one length as there are slots. At most 0.05 however short the interval.
        """
        return min(0.05, window / self.false_alarm_interval / (len(self.windows) * SLOTS))


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """What the windows say together: the worst of them. `features` that moved, what matters most first.

    `window` is the length of the worst window and `until` its end, both None while all is Unknown.
    """

    state: Severity
    features: tuple[FeatureDrift, ...]
    window: timedelta | None
    until: datetime | None
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One window judged: what it says, and how it compares with the whole baseline, where it could be compared."""

    finding: WindowFinding
    comparison: Comparison | None = None


def judge_drift(
    baseline: Baseline,
    windows: Windows,
    policy: DriftPolicy,
    *,
    now: datetime,
    learnt: Sequence[Learnt] = (),
    rows_per_request: float = 1.0,
) -> DriftVerdict:
    """Judge the newest complete window of each length.

    Args:
        baseline: The reference.
        windows: Counts in the baseline's cells.
        policy: Tolerances, budget of false alarms, lengths; those that `windows` does not keep are Unknown.
        now: Decides which windows are complete; aware.
        learnt: What is known of windows of some lengths.
        rows_per_request: On average; rows of one request are alike.
    """
    looks = look(baseline, windows, policy.windows, policy, now=now, learnt=learnt, rows_per_request=rows_per_request)
    return sum_up(each.finding for each in looks)


def look(
    baseline: Baseline,
    windows: Windows,
    lengths: Sequence[timedelta],
    policy: DriftPolicy,
    *,
    now: datetime,
    learnt: Sequence[Learnt] = (),
    rows_per_request: float = 1.0,
) -> tuple[Look, ...]:
    """Judge the newest complete windows of some lengths, all features of all windows at once.

    The alarm of a window is that of all its tests together, at a level that keeps to the budget; features are then
    named by Benjamini and Hochberg's rule. Features that were broken during a window are left out of it: their broken
    rows are no drift. Takes what `judge_drift` takes, and gives a look per length.
    """
    reference, kept = reference_of(baseline), {scale.length for scale in windows.scales}
    counted = {length: window_counts(windows, length, now) for length in lengths if length in kept}
    findings = {length: _unjudged(counted.get(length), length, policy, now) for length in lengths}
    fit = [counts for length, counts in counted.items() if not findings[length].lacking]
    if not fit:
        return tuple(Look(findings[length]) for length in lengths)
    compared = _compared(reference, fit)
    judged = _judged(reference, compared, fit, policy)
    known = [
        usual_in(
            reference,
            compared.window(at),
            learnt,
            counts.scale,
            until=windows.clock(counts.until),
            rows_per_request=rows_per_request,
        )
        for at, counts in enumerate(fit)
    ]
    fair = [_fairness(reference, counts, policy, learnt) for counts in fit]
    panel = Panel.of(reference, compared, known, fair, judged, policy)
    said = panel.judge([findings[counts.scale] for counts in fit])
    looks = {finding.length: Look(finding, compared.window(at)) for at, finding in enumerate(said)}
    return tuple(looks.get(length) or Look(findings[length]) for length in lengths)


def _unjudged(counts: WindowCounts | None, length: timedelta, policy: DriftPolicy, now: datetime) -> WindowFinding:
    if counts is None:
        return WindowFinding(length, now, lacking="not counted yet")
    lacking = what_lacks(counts, min_rows=policy.min_rows, min_coverage=policy.min_coverage)
    broken = tuple(sorted(counts.broken))
    return WindowFinding(length, counts.until, lacking=lacking, rows=counts.rows, broken=broken)


def _compared(reference: Reference, windows: Sequence[WindowCounts]) -> Comparison:
    taken = [reference.take(counts.counts) for counts in windows]
    current = Cells(np.stack([cells.ordinary for cells in taken]), np.stack([cells.rare for cells in taken]))
    return compare_columns(reference.cells, current, ordered=reference.ordered)


def _judged(
    reference: Reference, compared: Comparison, windows: Sequence[WindowCounts], policy: DriftPolicy
) -> NDArray[np.bool_]:
    """Which columns of which windows are judged."""
    judged = reference.is_judged & (compared.current.rows >= policy.min_rows)
    for at, counts in enumerate(windows):
        for name in policy.ignore_features | counts.broken:
            judged[at, reference.places_of(name)] = False
    return judged


def _fairness(reference: Reference, counts: WindowCounts, policy: DriftPolicy, learnt: Sequence[Learnt]) -> Fairness:
    season = policy.season
    if season is None or counts.scale >= season or any(k.length == counts.scale and knows_season(k) for k in learnt):
        return Fairness()
    why = f"shorter than a season of {duration(season)}, of which two must be seen to compare with the same time"
    if reference.season is None or reference.season.period != season:
        return Fairness(unknown=why)
    cells, has = reference.at_times([(begin, end, slot.rows) for begin, end, slot in counts.slots])
    return Fairness(cells, has) if has.any() else Fairness(unknown=why)


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


def sum_up(findings: Iterable[WindowFinding]) -> DriftVerdict:
    """Take the windows together: the worst of them names the state, each feature is named by where it moved most."""
    findings = tuple(findings)
    judged = [finding for finding in findings if finding.severity is not Severity.UNKNOWN]
    lacking = "; ".join(f"{duration(f.length)}: {f.lacking}" for f in findings if f.severity is Severity.UNKNOWN)
    if not judged:
        return DriftVerdict(Severity.UNKNOWN, (), None, None, f"too little data to judge drift ({lacking})")
    # The shortest window names the worst state first: it saw it with the newest rows.
    worst = max(judged, key=lambda finding: finding.severity.rank)
    features = _worst_per_feature(judged)
    message = _message(worst, features)
    if worst.broken:
        message += f"; left out as broken: {', '.join(worst.broken)}"
    if lacking:
        message += f"; not judged yet: {lacking}"
    return DriftVerdict(worst.severity, features, worst.length, worst.until, message)


def _worst_per_feature(judged: Iterable[WindowFinding]) -> tuple[FeatureDrift, ...]:
    worst: dict[tuple[str, bool], FeatureDrift] = {}
    for drift in (d for finding in judged for d in finding.features):
        kept = worst.get((drift.name, drift.is_output))
        if kept is None or drift.severity.rank > kept.severity.rank:
            worst[drift.name, drift.is_output] = drift
    return tuple(sorted(worst.values(), key=by_weight))


def _message(worst: WindowFinding, features: Sequence[FeatureDrift]) -> str:
    figures = f"{worst.rows} rows of {duration(worst.length)} compared with the baseline"
    if worst.severity is Severity.NONE:
        return f"{figures}: no feature moved more than tolerated"
    named = "; ".join(f"{d.name} {d.direction}{_by(d)} (PSI {d.psi:.2f}, {duration(d.window)})" for d in features[:5])
    more = f" and {len(features) - 5} more" if len(features) > 5 else ""
    return f"{figures}: {worst.severity}, {len(features)} of {worst.columns} features moved: {named}{more}"


def _by(drift: FeatureDrift) -> str:
    return f" by {abs(drift.shift):.1f} sd" if drift.shift is not None and "shifted" in drift.direction else ""
