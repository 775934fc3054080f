"""Compare the cell counts of one column with its reference, and say how it moved.

Everything is computed from counts, which add over pods and time: a location and a dispersion component from midranks
(Wilcoxon with ties, and its quadratic partner), Pearson's X² for the shape, an exact test for each rare cell, and PSI
for people. A *tolerance* is an effect that nobody cares about: with it the null hypothesis is "differs by no more
than that", so a difference is significant only when there is enough data *and* it matters.

Source: non-central chi-square critical values for PSI, Potgieter et al., arXiv:2307.11878.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

MINIMUM_EXPECTED: Final = 5.0
"""Neighbouring cells are merged until the smaller sample expects this many rows in each; X² is not X² below."""
QUIET_WINDOWS: Final = 14
"""Windows without an alarm that are needed to learn the overdispersion: two weeks of days."""
MAXIMUM_OVERDISPERSION: Final = 10.0

_Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RareTest:
    """One rare cell. `p_value` is exact, for "not more than in the reference", conditional on the pooled count."""

    name: str
    count: int
    rows: int
    reference_share: float
    p_value: float

    @property
    def share(self) -> float:
        """Part of the current rows in this cell, 0..1."""
        return self.count / self.rows if self.rows else 0.0

    def p_beyond(self, tolerance: float) -> float:
        """P-value for "not more than the reference's share and what `tolerance` allows on top".

        The tolerated share q solves (q-p)²/((q+p)/2) = tolerance, the units of PSI: from an empty reference cell,
        half of the tolerance. Both tests must reject: the exact one knows how unsure the reference is, the other how
        large the excess must be.
        """
        slack = tolerance / 4
        tolerated = self.reference_share + slack + math.sqrt(slack**2 + tolerance * self.reference_share)
        return max(self.p_value, _binomial_sf(self.count, self.rows, min(1.0, tolerated)))


@dataclass(frozen=True, slots=True)
class FeatureTest:
    """How one column's current cells differ from its reference; every figure can be printed.

    `rows` and `reference_rows` count all rows, `effective` is N = nm/(n+m) of those in ordinary cells, `location` and
    `dispersion` are standard normal without a difference (None for columns without order), `x2` is chi-square with
    `degrees`. `psi` is raw, over all cells; `debiased_psi` has its expectation without a difference taken off.
    """

    rows: int
    reference_rows: int
    effective: float
    location: float | None
    dispersion: float | None
    x2: float
    degrees: int
    rare: tuple[RareTest, ...]
    psi: float
    debiased_psi: float

    def p_value(self, tolerance: float, *, overdispersion: float = 1.0) -> float:
        """P-value for "differs by no more than `tolerance`", over all components (Bonferroni).

        Args:
            tolerance: In units of PSI, >= 0; 0.05 is a shift by about 0.23 standard deviations.
            overdispersion: Variance of the counts relative to independent rows, >= 1.
        """
        shape, *ranks = self._p_values(tolerance, overdispersion)
        rare = [test.p_beyond(tolerance) for test in self.rare]
        parts = [shape, *ranks, *([min(1.0, len(rare) * min(rare))] if rare else [])]
        return min(1.0, len(parts) * min(parts))

    def directions(self, tolerance: float, level: float, *, overdispersion: float = 1.0) -> tuple[str, ...]:
        """Say how the column moved, in words, strongest first; empty when nothing is significant.

        Args:
            tolerance: Effects up to it are nobody's concern, >= 0.
            level: P-values up to it are significant, 0..1.
            overdispersion: How much more counts vary than those of independent rows, >= 1.
        """
        shape, *ranks = self._p_values(tolerance, overdispersion)
        words = self._rank_words(min(ranks, default=1.0) <= level)
        if not words and shape <= level:
            words = ["other shape"]
        words += [_RARE_WORDS.get(t.name, f"more {t.name}") for t in self.rare if t.p_beyond(tolerance) <= level]
        return tuple(words)

    def _p_values(self, tolerance: float, overdispersion: float) -> list[float]:
        """P-values of shape, location and dispersion; the last two only for columns with an order."""
        noncentrality = self.effective * tolerance / overdispersion
        shape = _chi2_sf(self.x2 / overdispersion, self.degrees, noncentrality)
        ranks = [abs(z) / math.sqrt(overdispersion) for z in (self.location, self.dispersion) if z is not None]
        return [shape, *(_two_sided_sf(z, math.sqrt(noncentrality)) for z in ranks)]

    def _rank_words(self, significant: bool) -> list[str]:
        if not significant or self.location is None or self.dispersion is None:
            return []
        moved = (abs(self.location), "shifted up" if self.location > 0 else "shifted down")
        spread = (abs(self.dispersion), "wider" if self.dispersion > 0 else "narrower")
        strongest = max(moved[0], spread[0])
        # The lesser one is named only when it is no mere shadow of the other: a large shift bends the ranks a little.
        return [word for size, word in sorted((moved, spread), reverse=True) if size > strongest / 2]


_RARE_WORDS: Final = {"below": "more below the range", "above": "more above the range"}


def compare_cells(
    reference: Sequence[int] | NDArray[np.int64],
    current: Sequence[int] | NDArray[np.int64],
    *,
    rare: Sequence[str | None],
    ordered: bool,
) -> FeatureTest:
    """Compare current counts with reference counts of the same cells.

    Args:
        reference: Reference rows per cell, >= 0; at least one row in total.
        current: Current rows per cell, aligned with `reference`.
        rare: Per cell its name when it is a rare one, else None.
        ordered: Whether the ordinary cells come in their natural order, as numeric ones do.

    Returns:
        The figures; p-values are 1 where there is nothing to compare.
    """
    r, c = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    ordinary = np.array([name is None for name in rare])
    n, m = int(c.sum()), int(r.sum())
    psi, bias = _psi(r, c)
    merged_r, merged_c = _merge(r[ordinary], c[ordinary], ordered=ordered)
    effective, x2 = _pearson(merged_r, merged_c)
    location, dispersion = _rank_components(merged_r, merged_c) if ordered else (None, None)
    return FeatureTest(
        rows=n,
        reference_rows=m,
        effective=effective,
        location=location,
        dispersion=dispersion,
        x2=x2,
        degrees=max(0, len(merged_r) - 1),
        rare=tuple(
            RareTest(name, int(c[i]), n, float(r[i] / m), rare_p_value(int(c[i]), n, int(r[i]), m))
            for i, name in enumerate(rare)
            if name is not None
        ),
        psi=psi,
        debiased_psi=psi - bias,
    )


def rare_p_value(count: int, rows: int, reference_count: int, reference_rows: int) -> float:
    """Exact one-sided p-value for "the cell's share is not above the reference's", given the pooled count.

    Valid as well for cells outside of the reference's own range, whose reference count is 0 by construction: k of n new
    rows all lie beyond the m old ones with probability below (n/(n+m))^k, which is this p-value.

    Args:
        count: Rows in the cell, 0..`rows`.
        rows: Rows of the column.
        reference_count: Reference rows in the cell, 0..`reference_rows`.
        reference_rows: Reference rows of the column, >= 1.
    """
    pooled = count + reference_count
    return _binomial_sf(count, pooled, rows / (rows + reference_rows)) if count else 1.0


def per_feature_level(
    *, interval: timedelta, window: timedelta, scales: int, overlap: int = 3, features: int = 1
) -> float:
    """Give the level of one feature's test in one window, so that false alarms come once per `interval` in all.

    Args:
        interval: Wanted mean time between false alarms of one model, over all its windows and features.
        window: Length of the window that is tested.
        scales: How many window lengths are watched.
        overlap: How often each row is tested in windows of one length.
        features: How many features are tested.

    Returns:
        A level in 0..1, at most 0.05 / features however short the interval.
    """
    return min(0.05, window / interval / (scales * overlap)) / features


def overdispersion(history: Sequence[tuple[float, int]]) -> float:
    """Learn how much more counts vary than those of independent rows: requests come in batches, clients and hours.

    Args:
        history: (X², degrees of freedom) of quiet, disjoint windows of one length. Never of alarmed ones.

    Returns:
        Median of X² over its median without overdispersion, within 1..10; 1 for fewer than 14 windows.
    """
    factors = [x2 / float(special.chdtri(degrees, 0.5)) for x2, degrees in history if degrees > 0]
    if len(factors) < QUIET_WINDOWS:
        return 1.0
    return min(MAXIMUM_OVERDISPERSION, max(1.0, median(factors)))


def _psi(r: _Counts, c: _Counts) -> tuple[float, float]:
    """PSI over the cells in use, half a row added to each, and its expectation without a difference."""
    used = (r + c) > 0
    n, m, cells = c.sum(), r.sum(), int(used.sum())
    if n == 0 or m == 0:
        return 0.0, 0.0
    p, q = ((x[used] + 0.5) / (x.sum() + 0.5 * cells) for x in (r, c))
    return float(((q - p) * np.log(q / p)).sum()), float((cells - 1) * (1 / n + 1 / m))


def _merge(r: _Counts, c: _Counts, *, ordered: bool) -> tuple[_Counts, _Counts]:
    """Merge neighbours until the smaller sample expects enough rows in each cell; what is left over joins the last.

    Only pooled counts decide, which say nothing about a difference. Categories are neighbours by size.
    """
    pooled = r + c
    total = pooled.sum()
    if total == 0:
        return np.zeros(0), np.zeros(0)
    expected = (pooled * min(r.sum(), c.sum()) / total).tolist()
    groups: list[list[int]] = []
    room = 0.0
    for index in range(len(r)) if ordered else np.argsort(-pooled, kind="stable").tolist():
        if not groups or room >= MINIMUM_EXPECTED:
            groups.append([])
            room = 0.0
        groups[-1].append(index)
        room += expected[index]
    if room < MINIMUM_EXPECTED and len(groups) > 1:
        last = groups.pop()
        groups[-1] += last
    return _grouped(r, groups), _grouped(c, groups)


def _grouped(counts: _Counts, groups: Sequence[Sequence[int]]) -> _Counts:
    # A dozen numbers: a list is faster than an array per group.
    values = counts.tolist()
    return np.array([sum(values[i] for i in group) for group in groups])


def _pearson(r: _Counts, c: _Counts) -> tuple[float, float]:
    """Effective sample size N = nm/(n+m), and X² = N·Σ(q-p)²/w with pooled shares w."""
    n, m = c.sum(), r.sum()
    if n == 0 or m == 0:
        return 0.0, 0.0
    effective = n * m / (n + m)
    return float(effective), float(effective * ((c / n - r / m) ** 2 / ((c + r) / (n + m))).sum())


def _rank_components(r: _Counts, c: _Counts) -> tuple[float, float]:
    """Location and dispersion: √N·Σ(q-p)·h for orthonormal polynomials h of the pooled midranks."""
    n, m = c.sum(), r.sum()
    if n == 0 or m == 0:
        return 0.0, 0.0
    w, difference = (c + r) / (n + m), c / n - r / m
    midrank = np.cumsum(w) - w / 2
    h1 = _standardise(midrank - (w * midrank).sum(), w)
    h2 = h1**2 - 1 - (w * h1**3).sum() * h1
    scale = math.sqrt(n * m / (n + m))
    return float(scale * (difference * h1).sum()), float(scale * (difference * _standardise(h2, w)).sum())


def _standardise(values: _Counts, w: _Counts) -> _Counts:
    deviation = math.sqrt((w * values**2).sum())
    # One cell has no rank, two have no dispersion: what is left there is rounding.
    return values / deviation if deviation > 1e-9 else np.zeros_like(values)


def _chi2_sf(value: float, degrees: int, noncentrality: float) -> float:
    if degrees == 0 or value <= 0:
        return 1.0
    if noncentrality == 0:
        return float(special.chdtrc(degrees, value))
    return _noncentral_sf(value, degrees, noncentrality)


def _noncentral_sf(value: float, degrees: int, noncentrality: float) -> float:
    """P(X >= value), X non-central chi-square: a Poisson mixture of central ones (Johnson, Kotz & Balakrishnan, 29.5).

    `scipy.stats` has it, but takes the operator 47 MiB and a quarter of a second at its start. They agree to 1e-9 of
    the value down to 1e-40.
    """
    mean = noncentrality / 2
    reach = 12 * math.sqrt(mean) + 50
    terms = np.arange(max(0, math.floor(mean - reach)), math.ceil(mean + reach) + 1)
    weights = np.exp(special.xlogy(terms, mean) - mean - special.gammaln(terms + 1))
    return float(min(1.0, (weights * special.chdtrc(degrees + 2 * terms, value)).sum()))


def _two_sided_sf(z: float, slack: float) -> float:
    """P(|Z + slack| >= z) of a standard normal Z: the largest for means within -slack..slack. `z` >= 0."""
    return float(special.ndtr(slack - z) + special.ndtr(-slack - z))


def _binomial_sf(count: int, trials: int, probability: float) -> float:
    """P(K >= count), K binomial. Special functions: `stats.binom` takes a hundred times as long."""
    return float(special.betainc(count, trials - count + 1, probability)) if count else 1.0
