"""Compare the cell counts of many columns with their references at once.

Everything is computed from counts, which add over pods and time: a location and a dispersion component from midranks
(Wilcoxon with ties, and its quadratic partner), Pearson's X² for the shape, an exact test for each rare cell. A
*tolerance* is an effect that nobody cares about: with it the null hypothesis is "differs by no more than that", so a
difference is significant only when there is enough data *and* it matters.

Columns have different numbers of cells; they stand side by side in arrays that are filled up with empty cells, which
change nothing. The leading axes of all arrays are the same: windows, columns.

Source: non-central chi-square critical values for PSI, Potgieter et al., arXiv:2307.11878.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.statistics.tails import Floats, binomial_tail, chi_square_tail, two_sided_tail

MINIMUM_EXPECTED: Final = 5.0
"""Neighbouring cells are merged until the smaller sample expects this many rows in each; X² is not X² below."""

SHAPE, LOCATION, DISPERSION, RARE = range(4)
"""Places of the parts of a test in its last axis."""

_TESTABLE: Final = float(np.log(0.01))
"""A rare cell of which no count could have been less likely than that can't tell anything, and is left out."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts of columns: `ordinary` ones (..., columns, cells) and `rare` ones (..., columns, rare cells)."""

    ordinary: Floats
    rare: Floats

    @cached_property
    def rows(self) -> Floats:
        """Rows per column."""
        rows: Floats = self.ordinary.sum(axis=-1) + self.rare.sum(axis=-1)
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """What is known of columns beside their counts; `dispersion` and `expected` are (..., columns, 3).

    `dispersion`: variance relative to independent rows, >= 1, of shape, location and dispersion; NaN where a part can't
    be told from chance and is left out. `expected`: these parts where nothing is the matter: X² beyond its degrees of
    freedom (>= 0, an effect that is tolerated), and the two components. `rare`: variance of the rare cells likewise.
    `degrees` (..., columns): the part of the shape's degrees of freedom, above 0 to 1, that X² has where some
    differences vary more than others (Rao & Scott 1981); None: all.
    """

    dispersion: Floats
    expected: Floats
    rare: Floats
    degrees: Floats | None = None

    @classmethod
    def together(cls, windows: Sequence[Noise]) -> Noise:
        """Put several windows side by side."""
        degrees = [np.ones(len(n.dispersion)) if n.degrees is None else n.degrees for n in windows]
        parts = ([n.dispersion for n in windows], [n.expected for n in windows], [n.rare for n in windows], degrees)
        return cls(*(np.stack(part) for part in parts))

    def window(self, at: int) -> Noise:
        """Take one window out of several."""
        degrees = None if self.degrees is None else self.degrees[at]
        return Noise(self.dispersion[at], self.expected[at], self.rare[at], degrees)

    @classmethod
    def none(cls, columns: int, rare: int) -> Noise:
        """Independent rows, and no difference is expected."""
        return cls(np.ones((columns, 3)), np.zeros((columns, 3)), np.ones((columns, rare)))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How columns differ from their references; all arrays are (..., columns).

    `effective` is N = nm/(n+m) of the rows in ordinary cells. `location` and `dispersion` are standard normal without a
    difference and mean nothing for columns that are not `ordered`, `x2` is chi-square with `degrees`.
    """

    reference: Cells
    current: Cells
    ordered: NDArray[np.bool_]
    effective: Floats
    location: Floats
    dispersion: Floats
    x2: Floats
    degrees: Floats

    def window(self, at: int) -> Comparison:
        """Take one window out of several."""
        reference = self.reference
        if reference.ordinary.ndim > 2:
            reference = Cells(reference.ordinary[at], reference.rare[at])
        current = Cells(self.current.ordinary[at], self.current.rare[at])
        figures = (self.ordered, self.effective, self.location, self.dispersion, self.x2, self.degrees)
        return Comparison(reference, current, *(figure[at] for figure in figures))

    @property
    def parts(self) -> Floats:
        """X², location and dispersion, (..., columns, 3)."""
        return np.stack([self.x2, self.location, self.dispersion], axis=-1)

    def p_values(self, tolerance: float, noise: Noise) -> tuple[Floats, Floats]:
        """P-values for "differs by no more than `tolerance`", by part, and the weights of the parts.

        Args:
            tolerance: In units of PSI, >= 0; 0.05 is a shift by about 0.23 standard deviations.
            noise: What is known of the columns.

        Returns:
            Two arrays (..., columns, 4); a part that can't tell anything has weight 0.
        """
        spread = np.nan_to_num(noise.dispersion, nan=1.0)
        slack = np.sqrt(self.effective * tolerance)
        # Two effects add up to their sum at most: distances obey the triangle inequality.
        beyond = (slack + np.sqrt(noise.expected[..., SHAPE])) ** 2
        degrees = self.degrees if noise.degrees is None else self.degrees * noise.degrees
        shape = chi_square_tail(self.x2 / spread[..., SHAPE], degrees, beyond / spread[..., SHAPE])
        parts = [shape]
        for place, observed in ((LOCATION, self.location), (DISPERSION, self.dispersion)):
            root = np.sqrt(spread[..., place])
            parts.append(two_sided_tail(np.abs(observed - noise.expected[..., place]) / root, slack / root))
        rare, testable = self._rare_p_values(tolerance, noise.rare)
        weights = np.ones((*shape.shape, 4))
        weights[..., :RARE] = ~np.isnan(noise.dispersion)
        weights[..., SHAPE] *= self.degrees > 0
        # Two cells have one degree of freedom: location says it all. Without an order there is neither.
        weights[..., LOCATION] *= self.ordered & (self.degrees > 0)
        weights[..., DISPERSION] *= self.ordered & (self.degrees > 1)
        weights[..., RARE] = testable.any(axis=-1)
        cells = np.maximum(1, testable.sum(axis=-1))
        parts.append(np.minimum(1, cells * np.where(testable, rare, 1.0).min(axis=-1, initial=1.0)))
        return np.stack(parts, axis=-1), weights

    def rare_p_values(self, tolerance: float, noise: Noise) -> Floats:
        """P-values of the rare cells, each for "not more than in the reference and what `tolerance` allows on top"."""
        return self._rare_p_values(tolerance, noise.rare)[0]

    def _rare_p_values(self, tolerance: float, spread: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        count, rows, reference_rows = self.current.rare, self.current.rows, self.reference.rows
        chance = np.log(np.maximum(rows, 1) / (np.maximum(rows, 1) + reference_rows))[..., None]
        testable = (count + self.reference.rare) / spread * chance <= _TESTABLE
        p_values = np.ones(count.shape)
        at = np.nonzero((count > 0) & testable)
        if not at[0].size:
            return p_values, testable
        held, before, spread = count[at], *(np.broadcast_to(x, count.shape)[at] for x in (self.reference.rare, spread))
        n, m = rows[at[:-1]], np.broadcast_to(reference_rows, rows.shape)[at[:-1]]
        p_values[at] = rare_tail(held, n, before, m, spread)
        if tolerance > 0:
            tolerated = np.minimum(1.0, before / m + allowance(before / m, tolerance))
            large = binomial_tail(held / spread, n / spread, tolerated)
            # Both must reject: one knows how unsure the reference is, the other how large the excess must be.
            p_values[at] = np.maximum(p_values[at], large)
        return p_values, testable


def rare_tail(count: Floats, rows: Floats, reference: Floats, reference_rows: Floats, spread: Floats) -> Floats:
    """Exact one-sided p-values for "the cell's share is not above the reference's", given the pooled count.

    Valid as well for cells outside of the reference's own range, whose reference count is 0 by construction: k of n new
    rows all lie beyond the m old ones with probability below (n/(n+m))^k, which is this p-value.

    Args:
        count: Rows in the cell, 0..`rows`.
        rows: Rows of the column.
        reference: Reference rows in the cell.
        reference_rows: Reference rows of the column, >= 1.
        spread: Variance relative to independent rows, >= 1: so many rows count as one.
    """
    return binomial_tail(count / spread, (count + reference) / spread, rows / (rows + reference_rows))


def allowance(share: Floats, tolerance: float) -> Floats:
    """How much more than a share p a rare cell may hold: q - p where (q-p)²/((q+p)/2) = tolerance, the units of PSI.

    From an empty reference cell, half of the tolerance.
    """
    slack = tolerance / 4
    more: Floats = slack + np.sqrt(slack**2 + tolerance * share)
    return more


def compare_columns(reference: Cells, current: Cells, *, ordered: NDArray[np.bool_]) -> Comparison:
    """Compare current counts with reference counts of the same cells.

    Args:
        reference: Reference rows, >= 0; need not be whole numbers (a mix of several references is none).
        current: Current rows, aligned with `reference`; its leading axes count.
        ordered: Per column whether its ordinary cells come in their natural order, as numeric ones do.

    Returns:
        The figures; p-values are 1 where there is nothing to compare.
    """
    shape = current.ordinary.shape
    r, c = (np.broadcast_to(x, shape).reshape(-1, shape[-1]) for x in (reference.ordinary, current.ordinary))
    in_order = np.broadcast_to(ordered, shape[:-1]).ravel()
    r, c, groups = _merged(r, c, in_order)
    n, m = c.sum(axis=1), r.sum(axis=1)
    both = (n > 0) & (m > 0)
    n, m = np.where(both, n, 1.0)[:, None], np.where(both, m, 1.0)[:, None]
    effective = np.where(both, (n * m / (n + m))[:, 0], 0.0)
    w, difference = (c + r) / (n + m), c / n - r / m
    used = w > 0
    x2 = effective * (difference**2 / np.where(used, w, 1.0)).sum(axis=1)
    location, dispersion = _rank_components(w, difference, np.sqrt(effective))
    return Comparison(
        reference,
        current,
        np.broadcast_to(ordered, shape[:-1]),
        *(
            figure.reshape(shape[:-1])
            for figure in (effective, location, dispersion, x2, np.where(both, np.maximum(groups - 1, 0), 0.0))
        ),
    )


def psi(reference: Cells, current: Cells) -> tuple[Floats, Floats]:
    """PSI per column over all cells in use, half a row added to each, and its expectation without a difference."""
    r, c = (np.concatenate([x.ordinary, x.rare], axis=-1) for x in (reference, current))
    r, c = np.broadcast_arrays(r, c)
    used = (r + c) > 0
    n, m = c.sum(axis=-1, keepdims=True), r.sum(axis=-1, keepdims=True)
    some = ((n > 0) & (m > 0))[..., 0]
    cells = used.sum(axis=-1, keepdims=True)
    p, q = ((x + 0.5) / np.maximum(x.sum(axis=-1, keepdims=True) + 0.5 * cells, 1) for x in (r, c))
    raw = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=-1)
    bias = (cells - 1)[..., 0] * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))[..., 0]
    return np.where(some, raw, 0.0), np.where(some, bias, 0.0)


def _merged(r: Floats, c: Floats, ordered: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Merge neighbours until the smaller sample expects enough rows in each; what is left over joins the last.

    Only pooled counts decide, which say nothing about a difference. Categories are neighbours by size.

    Returns:
        Both counts, with empty cells where others were merged into their neighbours, and the number of cells in use.
    """
    pooled = r + c
    total = pooled.sum(axis=1)
    smaller = np.minimum(r.sum(axis=1), c.sum(axis=1)) / np.where(total > 0, total, 1)
    expected = pooled * smaller[:, None]
    groups = (pooled > 0).sum(axis=1).astype(float)
    at = np.flatnonzero(((expected < MINIMUM_EXPECTED) & (pooled > 0)).any(axis=1))
    if not at.size:
        return r, c, groups
    r, c = r.copy(), c.copy()
    by_size = np.argsort(-pooled[at], axis=1, kind="stable")
    order = np.where(ordered[at][:, None], np.arange(r.shape[1]), by_size)
    numbers = _group_numbers(np.take_along_axis(expected[at], order, axis=1))
    places = numbers + np.arange(len(at))[:, None] * r.shape[1]
    for counts in (r, c):
        sums = np.bincount(places.ravel(), np.take_along_axis(counts[at], order, axis=1).ravel(), counts[at].size)
        counts[at] = sums.reshape(len(at), -1)
    groups[at] = numbers[:, -1] + 1
    return r, c, groups


def _group_numbers(expected: Floats) -> NDArray[np.intp]:
    """Number the groups of every row of cells, left to right; the last one has enough rows unless it is the only."""
    rows, cells = expected.shape
    numbers = np.zeros((rows, cells), dtype=np.intp)
    group, room = np.zeros(rows, dtype=np.intp), np.zeros(rows)
    for cell in range(cells):
        if cell:
            full = room >= MINIMUM_EXPECTED
            group = group + full
            room[full] = 0
        numbers[:, cell] = group
        room += expected[:, cell]
    short = (room < MINIMUM_EXPECTED) & (group > 0)
    last = np.where(short, group - 1, group)
    return np.minimum(numbers, last[:, None])


def _rank_components(w: Floats, difference: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Location and dispersion: √N·Σ(q-p)·h for orthonormal polynomials h of the pooled midranks."""
    midrank = np.cumsum(w, axis=1) - w / 2
    h1 = _standardised(midrank - (w * midrank).sum(axis=1, keepdims=True), w)
    h2 = h1**2 - 1 - (w * h1**3).sum(axis=1, keepdims=True) * h1
    h2 = _standardised(h2, w)
    return scale * (difference * h1).sum(axis=1), scale * (difference * h2).sum(axis=1)


def _standardised(values: Floats, w: Floats) -> Floats:
    deviation = np.sqrt((w * values**2).sum(axis=1, keepdims=True))
    # One cell has no rank, two have no dispersion: what is left there is rounding.
    enough = deviation > 1e-9
    return np.where(enough, values / np.where(enough, deviation, 1.0), 0.0)
