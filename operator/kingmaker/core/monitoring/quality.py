"""Judge whether live data is broken, as opposed to drifted. Broken data must stop retraining.

Missing, infinite and unseen values are broken when their share exceeds the baseline's by more than `maximum_percent`.
Values out of the reference's range are not, up to `outside_percent` on one side: the world may move there, and
retraining is the answer to that. With 455 reference rows of a Gaussian feature a real shift puts 2 % of the values
above the reference's maximum when it is 1 standard deviation, 15 % at 2 and 48 % at 3; 25 % need 2.4 (1.8 for the one
feature in twenty whose maximum happened to be low), with 20,000 reference rows 3.4. A unit that breaks (grams for
kilograms, Fahrenheit for Celsius) puts nearly all values on one side. So 25 % separates the two, with room for a unit
that half of the clients broke; shifts as large as that are for a person to look at too. A spread that grows on both
sides is drift. What a broken unit leaves inside the range (a feature that holds zeros, scaled down) can't be told
from drift by counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from kingmaker.core.counts.baseline import Baseline, Cell, Feature
from kingmaker.core.counts.windows import WindowCounts, Windows, mark_broken, window_counts
from kingmaker.core.statistics.cells import rare_p_value

_OUTSIDE: Final = frozenset({"below", "above"})


class QualityState(StrEnum):
    """Whether data may be trusted. Unknown when there is too little to tell."""

    UNKNOWN = "Unknown"
    GOOD = "Good"
    BROKEN = "Broken"


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """When data is broken.

    `maximum_percent`: of a feature's values missing, infinite or unseen beyond the baseline's share. `outside_percent`:
    likewise beyond one end of the reference's range. `level`: of all exact tests of one window together. `min_rows`:
    with fewer rows a window says nothing. `min_coverage`, 0..1: data is called good only when so much of the window's
    time was observed; broken data is believed at once.
    """

    maximum_percent: float = 1.0
    outside_percent: float = 25.0
    level: float = 1e-6
    min_rows: int = 50
    min_coverage: float = 0.8
    ignore_features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BrokenFeature:
    """One way in which a feature is broken: `kind` is its cell's name; shares 0..1."""

    name: str
    kind: str
    share: float
    reference_share: float
    p_value: float


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """What a window says. `features` that are broken, worst first; empty unless the state is Broken."""

    state: QualityState
    features: tuple[BrokenFeature, ...]
    message: str


def watch_quality(
    baseline: Baseline, windows: Windows, policy: QualityPolicy, *, now: datetime
) -> tuple[Windows, QualityVerdict]:
    """Judge the newest data there is, and remember in the windows which features were broken.

    Judges the shortest running window, and its two newest slots each alone: values that broke a moment ago would
    drown in a whole window, which would then look drifted before it looks broken.

    Returns:
        Windows in which `judge_drift` leaves out what is broken, until no window holds broken rows any more; and what
        the newest data says.
    """
    shortest = min(scale.length for scale in windows.scales)
    looks = (
        window_counts(windows, shortest, now, running=True),
        window_counts(windows, shortest, now, running=True, span=1),
        window_counts(windows, shortest, now, span=1),
    )
    verdicts = [judge_quality(baseline, counts, policy) for counts in looks]
    broken = {feature.name for verdict in verdicts for feature in verdict.features}
    verdict = next((v for v in verdicts if v.state is QualityState.BROKEN), verdicts[0])
    return mark_broken(windows, broken, now=now), verdict


def judge_quality(baseline: Baseline, counts: WindowCounts, policy: QualityPolicy) -> QualityVerdict:
    """Judge one window."""
    if counts.rows < policy.min_rows:
        message = f"too little data to judge its quality ({counts.rows} rows, at least {policy.min_rows} needed)"
        return QualityVerdict(QualityState.UNKNOWN, (), message)
    watched = [
        (feature, current.tolist())
        for feature, current in zip(baseline.features, counts.counts.columns, strict=False)
        if feature.name not in policy.ignore_features
    ]
    tests = sum(cell.rare for feature, _ in watched for cell in feature.cells)
    level = policy.level / max(1, tests)
    found = [
        broken
        for feature, current in watched
        for cell, count in zip(feature.cells, current, strict=True)
        if cell.rare and (broken := _judge_cell(feature, cell, count, sum(current), policy, level))
    ]
    if found:
        worst = tuple(sorted(found, key=lambda f: (f.reference_share - f.share, f.name, f.kind)))
        return QualityVerdict(QualityState.BROKEN, worst, _message(worst, counts.rows))
    if counts.coverage < policy.min_coverage:
        seen = f"{counts.coverage:.0%} of its time observed, at least {policy.min_coverage:.0%} needed"
        return QualityVerdict(QualityState.UNKNOWN, (), f"too little data to call it good ({seen})")
    message = f"{counts.rows} rows: values are where the baseline has them"
    return QualityVerdict(QualityState.GOOD, (), message)


def _judge_cell(
    feature: Feature, cell: Cell, count: int, rows: int, policy: QualityPolicy, level: float
) -> BrokenFeature | None:
    if not count:
        return None
    share, reference_share = count / rows, cell.count / feature.rows
    limit = policy.outside_percent if cell.name in _OUTSIDE else policy.maximum_percent
    p_value = rare_p_value(count, rows, cell.count, feature.rows)
    if share - reference_share <= limit / 100 or p_value > level:
        return None
    return BrokenFeature(feature.name, cell.name, share, reference_share, p_value)


_KINDS: Final = {"below": "below the reference's range", "above": "above the reference's range"}


def _message(broken: tuple[BrokenFeature, ...], rows: int) -> str:
    named = "; ".join(
        f"{b.name} {b.share:.0%} {_KINDS.get(b.kind, b.kind)} (baseline {b.reference_share:.0%})" for b in broken[:5]
    )
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    return f"{rows} rows: {named}{more}; check what sends the data, retraining waits"
