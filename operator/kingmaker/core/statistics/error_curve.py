"""The error of each cell of a score, from few rows per cell: neighbours lend each other strength.

The logit of a cell's error is what the score itself claims, plus a curve that bends as little as the counts allow: a
second-difference penalty on the logits of binomial counts (Eilers & Marx 1996). How little is not known either: curves
of many weights are averaged, each as far as the counts speak for it, by Laplace's approximation of its marginal
likelihood. Where cells hold many rows this is their own rate; where they hold few, it is what the score claims, set
right as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BENDS: Final = np.geomspace(1e-2, 1e4, 13)
"""Weights of "no bend" that are tried."""
_RIDGE: Final = 1e-3
"""Weight of "as the score claims" in each cell: without a wrong row nothing else bounds a slope."""
_STEPS: Final = 50
_SURE: Final = 1e-4
"""No score is taken to claim less error than this."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCurve:
    """Errors of cells, and what the reference had in them.

    `rows` were the reference's, `shares` [cells] their parts per cell; `errors` [cells] with their `covariance` [cells,
    cells] are right where `known` [cells] is true. `spread` [cells] is the variance of one row's error in each cell.
    """

    rows: int
    shares: Floats
    errors: Floats
    covariance: Floats
    spread: Floats
    known: Bools


def fit_error_curve(counts: Sequence[int], wrong: Sequence[int], claimed: Sequence[float]) -> ErrorCurve:
    """Fit the errors of neighbouring cells.

    Args:
        counts: Reference rows per cell, in the order of the score.
        wrong: How many of them were wrong.
        claimed: The error that the score claims in each cell, 0..1.

    Returns:
        A curve that is known in every cell, as long as there is any row.
    """
    m, w = np.asarray(counts, dtype=float), np.asarray(wrong, dtype=float)
    offset = special.logit(np.clip(np.asarray(claimed, dtype=float), _SURE, 1 - _SURE))
    bend = np.diff(np.eye(len(m)), n=2, axis=0) if len(m) > 2 else np.zeros((0, len(m)))
    fits = [_fit(m, w, offset, weight * bend.T @ bend + _RIDGE * np.eye(len(m))) for weight in _BENDS]
    trust = special.softmax([fit.evidence for fit in fits])
    errors = np.sum([part * fit.errors for part, fit in zip(trust, fits, strict=True)], axis=0)
    covariance = np.sum([part * fit.spread_around(errors) for part, fit in zip(trust, fits, strict=True)], axis=0)
    total = m.sum()
    return ErrorCurve(
        rows=int(total),
        shares=m / total if total else m,
        errors=errors,
        covariance=covariance,
        spread=errors * (1 - errors),
        known=np.full(len(m), total > 0),
    )


def pooled_errors(counts: Sequence[int], wrong: Sequence[int]) -> ErrorCurve:
    """Give the errors of cells without an order, each drawn to the mean of all by one row's weight.

    Args:
        counts: Reference rows per cell.
        wrong: How many of them were wrong.
    """
    m, w = np.asarray(counts, dtype=float), np.asarray(wrong, dtype=float)
    total = m.sum()
    mean = w.sum() / total if total else 0.0
    errors = (w + mean) / (m + 1)
    spread = errors * (1 - errors)
    return ErrorCurve(int(total), m / total if total else m, errors, np.diag(spread / (m + 1)), spread, m > 0)


def mean_errors(counts: Sequence[int], means: Sequence[float], squares: Sequence[float]) -> ErrorCurve:
    """Give the mean sizes of errors per cell.

    Args:
        counts: Reference rows per cell.
        means: Mean absolute error of each, anything where there are no rows.
        squares: Mean squared error, likewise.
    """
    m, errors = np.asarray(counts, dtype=float), np.asarray(means, dtype=float)
    spread = np.maximum(0.0, np.asarray(squares, dtype=float) - errors**2)
    total = m.sum()
    shares = m / total if total else m
    return ErrorCurve(int(total), shares, errors, np.diag(spread / np.maximum(1.0, m)), spread, m > 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    errors: Floats
    covariance: Floats
    """Of the logits."""
    evidence: float
    """Logarithm of the marginal likelihood."""

    def spread_around(self, errors: Floats) -> Floats:
        """Give the covariance of the errors around others than its own."""
        slope, apart = self.errors * (1 - self.errors), self.errors - errors
        spread: Floats = slope[:, None] * self.covariance * slope[None, :] + np.outer(apart, apart)
        return spread


def _fit(m: Floats, w: Floats, offset: Floats, penalty: Floats) -> _Fit:
    """Newton's method on the penalised likelihood of binomial counts."""
    deviation = np.zeros_like(m)
    for _ in range(_STEPS):
        errors = special.expit(offset + deviation)
        hessian = np.diag(m * errors * (1 - errors)) + penalty
        step = np.linalg.solve(hessian, w - m * errors - penalty @ deviation)
        # Where the likelihood is flat a whole step may lead too far.
        deviation = deviation + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    errors = special.expit(offset + deviation)
    hessian = np.diag(m * errors * (1 - errors)) + penalty
    likelihood = special.xlogy(w, errors).sum() + special.xlogy(m - w, 1 - errors).sum()
    prior, posterior = (np.linalg.slogdet(matrix)[1] for matrix in (penalty, hessian))
    evidence = likelihood - deviation @ penalty @ deviation / 2 + (prior - posterior) / 2
    covariance = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
    return _Fit(errors, covariance, float(evidence))
