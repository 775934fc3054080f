"""Estimate the champion's error without labels, from where its scores lie now.

Each cell of the score has an error, known from rows that the model was not fitted on; how many rows fall into each cell
now says what error to expect. Called confidence-based performance estimation by NannyML (Bialek et al. 2024,
arXiv:2407.08649), here on cells. It is right while what is known of a cell stays true: it sees that requests became
harder, and is blind to a change of what is right. Of regressions cells of the prediction stand in for those of a score;
that says less, since a number alone seldom tells how sure a model is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kingmaker.core.counts.baseline import Baseline, Feature
from kingmaker.core.counts.cells import CellVector
from kingmaker.core.identity import by_identity
from kingmaker.core.statistics.error_curve import ErrorCurve, fit_error_curve, mean_errors, pooled_errors
from kingmaker.core.statistics.rates import Interval

MOST_UNKNOWN: Final = 0.05
"""Part of the rows that may lie in cells of which no error is known."""
_Z: Final = float(special.ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Estimate:
    """An error that is expected of `rows` rows, and the one that was expected of the reference; each 0..1, or a size.

    `of_error` is the standard error of what these rows' labels would show, `of_rise` that of the rise in general.
    """

    rows: int
    error: float
    of_error: float
    reference: float
    of_rise: float

    @property
    def within(self) -> Interval:
        """Bounds of the error that hold with 95 %."""
        return Interval(max(0.0, self.error - _Z * self.of_error), self.error + _Z * self.of_error)

    @property
    def rise(self) -> Interval:
        """Bounds of its rise, likewise."""
        rise, reach = self.error - self.reference, _Z * self.of_rise
        return Interval(rise - reach, rise + reach)

    def above_p_value(self, bound: float) -> float:
        """Weigh "in general the error is at most `bound`" against "it is higher"."""
        if self.of_rise <= 0:
            return 1.0
        return float(special.ndtr((bound - self.error) / self.of_rise))


@dataclass(frozen=True, slots=True)
class Source:
    """Cells with a known error: which column of the baseline they are, and the error of each."""

    column: int
    curve: ErrorCurve
    is_weak: bool = False
    """Whether they say little of how sure the model was."""


def source_of(baseline: Baseline, *, of_sizes: bool) -> Source | None:
    """Find what errors can be estimated from; None where the baseline has no errors on held-out rows.

    Args:
        baseline: The champion's.
        of_sizes: Whether the size of errors is estimated, instead of their rate.
    """
    return _source_of_sizes(baseline) if of_sizes else _source_of_rates(baseline)


@by_identity
def _source_of_rates(baseline: Baseline) -> Source | None:
    return _source(baseline, of_sizes=False)


@by_identity
def _source_of_sizes(baseline: Baseline) -> Source | None:
    return _source(baseline, of_sizes=True)


def _source(baseline: Baseline, *, of_sizes: bool) -> Source | None:
    for column, is_weak in ((baseline.score, False), (baseline.prediction, True)):
        if column is None or not column.held_out:
            continue
        curve = _curve_of_sizes(column) if of_sizes else _curve_of_rates(column, is_score=column is baseline.score)
        if curve is not None:
            return Source(baseline.columns.index(column), curve, is_weak)
    return None


def estimate_error(source: Source, counted: CellVector, *, requests_per_row: float = 1.0) -> Estimate | None:
    """Estimate the error of rows from the cells that they fell into.

    Args:
        source: The cells' errors.
        counted: Rows per cell of that column.
        requests_per_row: 1 and less: rows of one request are alike, so that requests count as what was seen.

    Returns:
        None without rows, or where too many of them lie in cells of which nothing is known.
    """
    curve, rows = source.curve, int(counted.sum())
    known = curve.known
    inside = float(counted[known].sum())
    if not inside or inside < (1 - MOST_UNKNOWN) * rows:
        return None
    q, p = counted[known] / inside, curve.shares[known]
    errors, covariance = curve.errors[known], curve.covariance[np.ix_(known, known)]
    error, reference, seen = float(q @ errors), float(p @ errors), max(1.0, inside * requests_per_row)
    # These rows fell where they fell; what is not known is how each ended there, and the errors of the cells.
    of_error = math.sqrt(float(q @ curve.spread[known]) / seen + float(q @ covariance @ q))
    # Whether more of them fall into bad cells for good is another question: their places are a sample, too.
    moved = q - p
    places = _variance(q, errors) / seen + _variance(p, errors) / curve.rows
    of_rise = math.sqrt(max(0.0, places + float(moved @ covariance @ moved)))
    return Estimate(rows, error, of_error, reference, of_rise)


def _variance(shares: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """Variance of the error of the cell into which one row falls."""
    return max(0.0, float(shares @ errors**2) - float(shares @ errors) ** 2)


def _curve_of_rates(column: Feature, *, is_score: bool) -> ErrorCurve | None:
    wrong = [cell.wrong for cell in column.cells]
    if any(count is None for count, cell in zip(wrong, column.cells, strict=True) if cell.count):
        return None
    counts, bad = column.counts, [count or 0 for count in wrong]
    return _fit_scores(column, counts, bad) if is_score else pooled_errors(counts, bad)


def _curve_of_sizes(column: Feature) -> ErrorCurve | None:
    if any(cell.absolute_error is None for cell in column.cells if cell.count):
        return None
    means = [cell.absolute_error or 0.0 for cell in column.cells]
    squares = [cell.squared_error or mean**2 for cell, mean in zip(column.cells, means, strict=True)]
    return mean_errors(column.counts, means, squares)


def _fit_scores(column: Feature, counts: Sequence[int], wrong: Sequence[int]) -> ErrorCurve:
    """Fit the cells that have an order; scores below the lowest or above the highest are taken for their neighbours."""
    ordered = [i for i, cell in enumerate(column.cells) if cell.upper is not None]
    above = next((i for i, cell in enumerate(column.cells) if cell.name == "above"), None)
    places = [*ordered, *([above] if above is not None else [])]
    uppers = [column.cells[i].upper for i in ordered]
    fitted = fit_error_curve(
        [counts[i] for i in places],
        [wrong[i] for i in places],
        _claimed([u for u in uppers if u is not None], len(places)),
    )
    size = len(counts)
    errors, spread, covariance, known = (
        np.zeros(size),
        np.zeros(size),
        np.zeros((size, size)),
        np.zeros(size, dtype=bool),
    )
    at = np.array(places)
    errors[at], known[at] = fitted.errors, True
    covariance[np.ix_(at, at)] = fitted.covariance
    m = np.asarray(counts, dtype=float)
    spread[at] = fitted.spread
    return ErrorCurve(fitted.rows, m / max(1.0, m[at].sum()), errors, covariance, spread, known)


def _claimed(uppers: Sequence[float], cells: int) -> list[float]:
    """Give the error that a score claims in the middle of each cell, where it is the probability of a class."""
    edges = [0.0, *(min(1.0, max(0.0, u)) for u in uppers), *([1.0] if cells > len(uppers) else [])]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    return [min(middle, 1 - middle) for middle in middles]
