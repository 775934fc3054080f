"""One column after the other, cell by cell, by scipy's distributions: what the arrays of the product must equal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_Counts = NDArray[np.float64]
MINIMUM_EXPECTED = 5.0


@dataclass(frozen=True)
class SlowTest:
    """The figures of one column; `location` and `dispersion` are None for columns without order."""

    effective: float
    location: float | None
    dispersion: float | None
    x2: float
    degrees: int
    rare: tuple[float, ...]
    psi: float
    bias: float

    def shape_p_value(self, tolerance: float, spread: float = 1.0) -> float:
        if self.degrees == 0 or self.x2 <= 0:
            return 1.0
        noncentrality = self.effective * tolerance / spread
        if noncentrality == 0:
            return float(stats.chi2.sf(self.x2 / spread, self.degrees))
        return float(stats.ncx2.sf(self.x2 / spread, self.degrees, noncentrality))

    def rank_p_value(self, z: float, tolerance: float, spread: float = 1.0) -> float:
        slack, size = math.sqrt(self.effective * tolerance / spread), abs(z) / math.sqrt(spread)
        return float(stats.norm.sf(size - slack) + stats.norm.cdf(-size - slack))


def compare_slowly(
    reference: Sequence[float], current: Sequence[float], *, rare: Sequence[bool], ordered: bool
) -> SlowTest:
    """Compare one column; `rare` tells for every cell whether it is one."""
    r, c = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    ordinary = ~np.array(rare)
    n, m = int(c.sum()), int(r.sum())
    psi, bias = _psi(r, c)
    merged_r, merged_c = _merge(r[ordinary], c[ordinary], ordered=ordered)
    effective, x2 = _pearson(merged_r, merged_c)
    location, dispersion = _rank_components(merged_r, merged_c) if ordered else (None, None)
    rare_p = tuple(_rare(c[i], n, r[i], m) for i in np.flatnonzero(~ordinary))
    return SlowTest(effective, location, dispersion, x2, max(0, len(merged_r) - 1), rare_p, psi, bias)


def _rare(count: float, rows: int, reference_count: float, reference_rows: int) -> float:
    pooled = count + reference_count
    return float(stats.binom.sf(count - 1, pooled, rows / (rows + reference_rows))) if count else 1.0


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
