"""Judge whether live data is broken or has something new in it, as opposed to drifted. Broken data stops retraining.

- *Broken* are missing and infinite values whose share exceeds the baseline's by more than `maximum_percent`, more than
  `outside_percent` of the values of a continuous feature beyond one end of its range, and texts of which hardly one was
  ever seen. With 455 reference rows of a Gaussian feature a real shift puts 2 % of the values above the reference's
  maximum when it is 1 standard deviation, 15 % at 2 and 48 % at 3; 25 % need 2.4 (1.8 for the one feature in twenty
  whose maximum happened to be low), with 20,000 reference rows 3.4. A unit that breaks (grams for kilograms, Fahrenheit
  for Celsius) puts nearly all values on one side. So 25 % separates the two, with room for a unit that half of the
  clients broke; shifts as large as that are for a person to look at too.
- *New* are categories and values that the reference did not have: a month, a price, a country. Retraining is the answer
  to them, so they don't stop it. How many are to be expected follows from how many values the reference had only once
  (Good 1953). Where a feature takes few values, each further one is new, however many rows have it.

A spread that grows on both sides is drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np

from kingmaker.core.counts.baseline import Baseline, Cell, Feature
from kingmaker.core.counts.windows import WindowCounts, Windows, mark_broken, window_counts
from kingmaker.core.identity import Same
from kingmaker.core.monitoring.reference import UNSEEN, Reference, reference_of
from kingmaker.core.statistics.columns import rare_tail
from kingmaker.core.statistics.tails import Floats

_REMEMBERED: Final = 2048
"""Baselines of which is remembered what their rare cells may hold."""

_OUTSIDE: Final = frozenset({"below", "above"})
_HARDLY_ONE_SEEN: Final = 0.95
"""Share of unseen texts from which on they are no new ones among others, but others altogether."""


class QualityState(StrEnum):
    """Whether data may be trusted. Unknown when there is too little to tell."""

    UNKNOWN = "Unknown"
    GOOD = "Good"
    BROKEN = "Broken"


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """When data is broken.

    `maximum_percent`: of a feature's values missing or infinite beyond the baseline's share, or new beyond what is to
    be expected. `outside_percent`: beyond one end of the reference's range. `level`: of all exact tests of one window
    together. `min_rows`: with fewer rows a window says nothing. `min_coverage`, 0..1: data is called good only when so
    much of the window's time was observed; broken data is believed at once.
    """

    maximum_percent: float = 1.0
    outside_percent: float = 25.0
    level: float = 1e-6
    min_rows: int = 50
    min_coverage: float = 0.8
    ignore_features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OddFeature:
    """One way in which a feature is broken, or new: `kind` is its cell's name; shares 0..1.

    `reference_share` is what the reference had, or lets expect.
    """

    name: str
    kind: str
    share: float
    reference_share: float
    p_value: float

    @property
    def words(self) -> str:
        """What its values are."""
        return _KINDS.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """What a window says. `broken` features, worst first, empty unless the state is Broken; `novel` ones likewise."""

    state: QualityState
    broken: tuple[OddFeature, ...]
    novel: tuple[OddFeature, ...]
    message: str


def watch_quality(
    baseline: Baseline, windows: Windows, policy: QualityPolicy, *, now: datetime, dispersion: Floats | None = None
) -> tuple[Windows, QualityVerdict]:
    """Judge the newest data there is, and remember in the windows which features were broken.

    Judges the shortest running window, and its two newest slots each alone: values that broke a moment ago would
    drown in a whole window, which would then look drifted before it looks broken.

    Args:
        baseline: The reference.
        windows: Counts in the baseline's cells; not modified.
        policy: What is tolerated.
        now: The time of this look, aware.
        dispersion: Variance of the rare cells relative to independent rows, (columns, rare cells); None: 1.

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
    verdicts = [judge_quality(baseline, counts, policy, dispersion=dispersion) for counts in looks]
    broken = {feature.name for verdict in verdicts for feature in verdict.broken}
    verdict = next((v for v in verdicts if v.state is QualityState.BROKEN), verdicts[0])
    return mark_broken(windows, broken, now=now), verdict


def judge_quality(
    baseline: Baseline, counts: WindowCounts, policy: QualityPolicy, *, dispersion: Floats | None = None
) -> QualityVerdict:
    """Judge one window.

    Args:
        baseline: The reference.
        counts: The window, counted in the baseline's cells.
        policy: What is tolerated.
        dispersion: Variance of the rare cells relative to independent rows, (columns, rare cells); None: 1.
    """
    if counts.rows < policy.min_rows:
        message = f"too little data to judge its quality ({counts.rows} rows, at least {policy.min_rows} needed)"
        return QualityVerdict(QualityState.UNKNOWN, (), (), message)
    reference = reference_of(baseline)
    broken, novel = _odd(reference, _limits(Same(reference), policy), counts, policy.level, dispersion)
    if broken:
        return QualityVerdict(QualityState.BROKEN, broken, novel, f"{counts.rows} rows: {_named(broken)}")
    if counts.coverage < policy.min_coverage:
        seen = f"{counts.coverage:.0%} of its time observed, at least {policy.min_coverage:.0%} needed"
        return QualityVerdict(QualityState.UNKNOWN, (), novel, f"too little data to call it good ({seen})")
    message = f"{counts.rows} rows: {_named(novel) if novel else 'values are where the baseline has them'}"
    return QualityVerdict(QualityState.GOOD, (), novel, message)


@dataclass(frozen=True, slots=True, eq=False)
class _Limits:
    """What the rare cells (columns, cells) may hold: shares from which on they are new, or broken; above 1 never."""

    new: Floats
    broken: Floats
    expected: Floats
    watched: int


@lru_cache(maxsize=_REMEMBERED)
def _limits(same: Same[Reference], policy: QualityPolicy) -> _Limits:
    reference = same.value
    expected = reference.cells.rare / reference.cells.rows[:, None]
    new, broken = np.full_like(expected, np.inf), np.full_like(expected, np.inf)
    for column, (feature, cells) in enumerate(zip(reference.columns, reference.rare_cells, strict=True)):
        if reference.is_output[column] or feature.name in policy.ignore_features:
            continue
        for place, cell in enumerate(cells):
            share = expected[column, place]
            new[column, place], broken[column, place] = _limit(feature, cell, share, policy)
    return _Limits(new, broken, expected, max(1, int(np.isfinite(np.minimum(new, broken)).sum())))


def _limit(feature: Feature, cell: Cell, expected: float, policy: QualityPolicy) -> tuple[float, float]:
    """Shares from which on a cell's values are new, and broken."""
    more = expected + policy.maximum_percent / 100
    if cell.name in _OUTSIDE:
        return more, np.inf if feature.takes_few_numbers else expected + policy.outside_percent / 100
    if cell.name == UNSEEN:
        # Where most was to be expected unseen, nothing can be told from it.
        return more, np.inf if feature.takes_few_numbers or expected > 1 - _HARDLY_ONE_SEEN else _HARDLY_ONE_SEEN
    return np.inf, more


def _odd(
    reference: Reference, limits: _Limits, counts: WindowCounts, level: float, dispersion: Floats | None
) -> tuple[tuple[OddFeature, ...], tuple[OddFeature, ...]]:
    """Find the cells that hold more than is tolerated, and too much for chance: broken ones, and new ones."""
    current = reference.take(counts.counts)
    # No limit at all times no rows is no number; nothing was counted there in either case.
    rows = np.maximum(current.rows, 1)[:, None]
    over_new, over_broken = current.rare > limits.new * rows, current.rare > limits.broken * rows
    column, place = np.nonzero(over_new | over_broken)
    if not column.size:
        return (), ()
    spread = np.ones(len(column)) if dispersion is None else dispersion[column, place]
    held, n = current.rare[column, place], current.rows[column]
    before, m = reference.cells.rare[column, place], reference.cells.rows[column]
    p_values = rare_tail(held, n, before, m, spread)
    broken, novel = list[OddFeature](), list[OddFeature]()
    for at in np.flatnonzero(p_values <= level / limits.watched):
        c, p = int(column[at]), int(place[at])
        odd = OddFeature(
            reference.names[c],
            reference.rare_cells[c][p].name,
            float(held[at] / n[at]),
            float(limits.expected[c, p]),
            float(p_values[at]),
        )
        (broken if over_broken[c, p] else novel).append(odd)
    return _worst_first(broken), _worst_first(novel)


def _worst_first(features: list[OddFeature]) -> tuple[OddFeature, ...]:
    return tuple(sorted(features, key=lambda f: (f.reference_share - f.share, f.name, f.kind)))


_KINDS: Final = {
    "below": "below the reference's range",
    "above": "above the reference's range",
    "unseen": "never seen in the reference",
}


def _named(features: tuple[OddFeature, ...]) -> str:
    named = "; ".join(f"{b.name} {b.share:.0%} {b.words} (baseline {b.reference_share:.0%})" for b in features[:5])
    return named + (f" and {len(features) - 5} more" if len(features) > 5 else "")
