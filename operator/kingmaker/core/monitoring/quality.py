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
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline, Cell, Feature
from kingmaker.core.counts.windows import WindowCounts, Windows, mark_broken, window_counts
from kingmaker.core.identity import Same
from kingmaker.core.statistics.cells import rare_p_value

_REMEMBERED: Final = 2048
"""Baselines of which is remembered which of their cells are rare."""

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

    Args:
        baseline: The reference.
        windows: Counts in the baseline's cells; not modified.
        policy: What is tolerated.
        now: The time of this look, aware.

    Returns:
        Windows in which `judge_drift` leaves out what is broken, until no window holds broken rows any more; and what
        the newest data says.
    """
    shortest = min(scale.length for scale in windows.scales)
    rare = _rare_cells(baseline, policy)
    looks = (
        window_counts(windows, shortest, now, running=True),
        window_counts(windows, shortest, now, running=True, span=1),
        window_counts(windows, shortest, now, span=1),
    )
    verdicts = [_judge(rare, counts, policy) for counts in looks]
    broken = {feature.name for verdict in verdicts for feature in verdict.features}
    verdict = next((v for v in verdicts if v.state is QualityState.BROKEN), verdicts[0])
    return mark_broken(windows, broken, now=now), verdict


def judge_quality(baseline: Baseline, counts: WindowCounts, policy: QualityPolicy) -> QualityVerdict:
    """Judge one window.

    Args:
        baseline: The reference.
        counts: The window, counted in the baseline's cells.
        policy: What is tolerated.
    """
    return _judge(_rare_cells(baseline, policy), counts, policy)


@dataclass(frozen=True, slots=True)
class _RareCells:
    """The rare cells of the features that are watched, aligned: where each is, and what it may hold."""

    cells: tuple[tuple[Feature, Cell], ...]
    places: NDArray[np.intp]
    columns: NDArray[np.intp]
    shares: NDArray[np.float64]
    """The most that is tolerated of a column's rows: the reference's share and what the policy allows on top."""


def _rare_cells(baseline: Baseline, policy: QualityPolicy) -> _RareCells:
    return _rare_cells_of(Same(baseline), policy)


@lru_cache(maxsize=_REMEMBERED)
def _rare_cells_of(same: Same[Baseline], policy: QualityPolicy) -> _RareCells:
    baseline = same.value
    cells: list[tuple[Feature, Cell]] = []
    places: list[int] = []
    columns: list[int] = []
    shares: list[float] = []
    start = 0
    for column, feature in enumerate(baseline.features):
        watched, rows = feature.name not in policy.ignore_features, feature.rows
        for place, cell in enumerate(feature.cells, start):
            if watched and cell.rare:
                percent = policy.outside_percent if cell.name in _OUTSIDE else policy.maximum_percent
                cells.append((feature, cell))
                places.append(place)
                columns.append(column)
                shares.append(cell.count / rows + percent / 100)
        start += len(feature.cells)
    return _RareCells(tuple(cells), np.array(places, np.intp), np.array(columns, np.intp), np.array(shares))


def _judge(rare: _RareCells, counts: WindowCounts, policy: QualityPolicy) -> QualityVerdict:
    if counts.rows < policy.min_rows:
        message = f"too little data to judge its quality ({counts.rows} rows, at least {policy.min_rows} needed)"
        return QualityVerdict(QualityState.UNKNOWN, (), message)
    found = _broken(rare, counts, policy.level / max(1, len(rare.cells)))
    if found:
        worst = tuple(sorted(found, key=lambda f: (f.reference_share - f.share, f.name, f.kind)))
        return QualityVerdict(QualityState.BROKEN, worst, _message(worst, counts.rows))
    if counts.coverage < policy.min_coverage:
        seen = f"{counts.coverage:.0%} of its time observed, at least {policy.min_coverage:.0%} needed"
        return QualityVerdict(QualityState.UNKNOWN, (), f"too little data to call it good ({seen})")
    message = f"{counts.rows} rows: values are where the baseline has them"
    return QualityVerdict(QualityState.GOOD, (), message)


def _broken(rare: _RareCells, counts: WindowCounts, level: float) -> list[BrokenFeature]:
    """Find the cells that hold more than is tolerated, and too much for chance."""
    held, rows = counts.counts.vector[rare.places], counts.counts.column_rows[rare.columns]
    found = []
    for at in np.flatnonzero(held > rare.shares * rows):
        feature, cell = rare.cells[at]
        count, total = int(held[at]), int(rows[at])
        p_value = rare_p_value(count, total, cell.count, feature.rows)
        if p_value <= level:
            found.append(BrokenFeature(feature.name, cell.name, count / total, cell.count / feature.rows, p_value))
    return found


_KINDS: Final = {"below": "below the reference's range", "above": "above the reference's range"}


def _message(broken: tuple[BrokenFeature, ...], rows: int) -> str:
    named = "; ".join(
        f"{b.name} {b.share:.0%} {_KINDS.get(b.kind, b.kind)} (baseline {b.reference_share:.0%})" for b in broken[:5]
    )
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    return f"{rows} rows: {named}{more}; check what sends the data, retraining waits"
