"""What is expected of a champion: its errors on rows that it was not fitted on, as its baseline has them."""

from __future__ import annotations

from typing import Final

from kingmaker.api import PerformanceMeasure, PerformanceMonitoring
from kingmaker.core.counts.baseline import Baseline, Feature
from kingmaker.core.monitoring.scores import CLIP, AbsoluteError, ErrorRate, Scoring
from kingmaker.core.statistics.rates import Sample

_LEAST_SPREAD: Final = 0.01
"""Errors that are all alike: what labels say is not trusted to be a hundred times as even as that."""


def scoring_of(baseline: Baseline | None, spec: PerformanceMonitoring, *, is_regression: bool) -> Scoring | None:
    """Choose how labelled requests are scored; None where the baseline lacks what the spec's measure needs.

    Args:
        baseline: The champion's, None without one.
        spec: Names the measure, or leaves it to what is known.
        is_regression: Whether the champion's answers are numbers; else they are right or wrong.
    """
    chosen = spec.measure or (None if is_regression and spec.highest_error is None else PerformanceMeasure.ERROR_RATE)
    if chosen is PerformanceMeasure.ERROR_RATE:
        return ErrorRate()
    column = _held_out(baseline)
    usual = _mean_error(column) if column else None
    if column is None or usual is None:
        return None if chosen else ErrorRate()
    return AbsoluteError(CLIP * usual, _spread(column, CLIP * usual))


def expected_error(baseline: Baseline | None, scoring: Scoring) -> Sample | None:
    """Give the scores of the baseline's held-out rows; None where it has none.

    Args:
        baseline: The champion's, None while it is not known.
        scoring: How requests are scored.
    """
    column = _held_out(baseline)
    if column is None:
        return None
    if isinstance(scoring, AbsoluteError):
        mean = _mean_error(column)
        # Clipped errors are a little smaller: what is expected errs on the side of no alarm.
        return None if mean is None else Sample(column.rows, column.rows * min(1.0, mean / scoring.unit))
    wrong = [cell.wrong for cell in column.cells if cell.count]
    known = [count for count in wrong if count is not None]
    return Sample(column.rows, sum(known)) if known and len(known) == len(wrong) else None


def _held_out(baseline: Baseline | None) -> Feature | None:
    column = baseline.prediction if baseline else None
    return column if column is not None and column.held_out and column.rows else None


def _mean_error(column: Feature) -> float | None:
    """Mean absolute error over the rows of a prediction; None where a cell with rows does not say."""
    errors = [(cell.count, cell.absolute_error) for cell in column.cells if cell.count]
    if not errors or any(error is None for _, error in errors):
        return None
    mean = sum(count * (error or 0.0) for count, error in errors) / column.rows
    return mean or None


def _spread(column: Feature, unit: float) -> float:
    """Variance of the errors, clipped at none, over that of errors that are 0 or `unit`; 1 where it is not known."""
    mean = _mean_error(column)
    squares = [(cell.count, cell.squared_error) for cell in column.cells if cell.count]
    if mean is None or any(square is None for _, square in squares):
        return 1.0
    variance = sum(count * (square or 0.0) for count, square in squares) / column.rows - mean**2
    return min(1.0, max(_LEAST_SPREAD, variance / (mean * (unit - mean))))
