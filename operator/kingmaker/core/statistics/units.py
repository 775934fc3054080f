"""Tests on units that were assigned to an arm as a whole: buckets of entities, whatever each of them did since.

A unit's requests are no independent draws, so what is random is the assignment alone, and it is ours: each unit is the
challenger's with the probability ρ of its share. H0: the unit would have scored `ratio` times as much under the
challenger as under the champion (at least as much, or at most, on the harmless side). Then each unit's residual R =
score - c·size is the same in either arm, once champions' scores are multiplied by the ratio, and

    z = R/(1-ρ) for the champion's units, -R/ρ for the challenger's,  E = exp(λ·Σz - Σ log E[exp(λ·z)])

has the mean 1 over the assignments, exactly, for few units as for many, equal or not, whatever their scores depend on:
a randomisation test with an e-value. λ is a fixed number of standard deviations of Σz under the assignments, so it does
not depend on the arms either. Where only the means of the arms are as H0 says and one arm's residuals vary more, the
sum that is taken away is larger by as much as Σz varies more (never smaller), which keeps the mean at 1 up to terms of
the third order.

One E belongs to one look. Units go on collecting after it, and later values of the same assignment are no martingale:
so each look has a budget of its own (`look_log_budget`), and between looks nothing is judged.

Sources: Fisher 1935 (randomisation), Ding & Dasgupta, Biometrika 2018 (weak and sharp null hypotheses, studentising);
Hájek 1960 (draws without replacement).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

PLANNED_LOOKS: Final = 24
"""Looks that share the budget evenly; later ones share what one more would have, each half of the one before."""

_BET: Final = 3.7
"""Of a standard deviation of Σz: the best bet for finding what is as large, which is what it takes to reach the usual
thresholds (E = 20 and 100) with the part of the budget that a look has."""


@dataclass(frozen=True, slots=True)
class Units:
    """Units of one split, one entry per unit in each vector.

    `is_challenger` says whose it was. `size` is what it did (requests), > 0; `score` what came of it (wrong answers),
    any finite numbers. `share` is the challenger's designed part of the units, strictly between 0 and 1; `places` how
    many units there could be.
    """

    is_challenger: NDArray[np.bool_]
    size: Vector
    score: Vector
    share: float
    places: int

    def __post_init__(self) -> None:
        """Check what no test can do without."""
        if not 0 < self.share < 1:
            message = f"share {self.share} is not strictly between 0 and 1; one arm that has all units compares nothing"
            raise ValueError(message)
        if not len(self.is_challenger) == len(self.size) == len(self.score) <= self.places:
            message = f"{len(self.size)} units of {self.places}: vectors differ in length, or there are too many units"
            raise ValueError(message)


def look_log_budget(number: int) -> float:
    """Give the natural logarithm of the part of an error budget that look `number` may spend, counted from 1.

    The parts of all looks, however many, sum up to 1: by Markov's inequality and the union of the looks, P(log E +
    log of its part >= -ln α at any look) <= α.

    >>> round(sum(math.exp(look_log_budget(n)) for n in range(1, 100)), 9)
    1.0
    """
    if number < 1:
        message = f"look {number}: looks are counted from 1"
        raise ValueError(message)
    return -math.log(PLANNED_LOOKS + 1) - math.log(2) * max(0, number - PLANNED_LOOKS)


def log_e_units_superior(units: Units, *, ratio: float = 1.0, surplus: float = 0.0) -> float:
    """Weigh the evidence that the challenger scores less than `ratio` times the champion's score, plus `surplus`.

    Args:
        units: What they did until one look.
        ratio: Largest ratio of the scores that still counts as worse or equal, > 0.
        surplus: The same as an addition to the score per size.

    Returns:
        ln E of this look; 0 without units, or when all of them score alike.
    """
    return _log_e(units, ratio, surplus, sign=1.0)


def log_e_units_harm(units: Units, *, ratio: float = 1.0, surplus: float = 0.0) -> float:
    """Weigh the evidence that the challenger scores more than `ratio` times the champion's score, plus `surplus`."""
    return _log_e(units, ratio, surplus, sign=-1.0)


def log_e_units_differ(units: Units) -> float:
    """Weigh the evidence that arms score differently, in either direction."""
    less, more = (_log_e(units, 1.0, 0.0, sign=sign) for sign in (1.0, -1.0))
    return float(np.logaddexp(less, more)) - math.log(2)


def log_e_units_below(units: Units, limit: float) -> float:
    """Weigh the evidence that the challenger's units score less than `limit` per size, whatever the champion's do.

    Nothing was drawn here that could be right or wrong, so this holds for many units, as their means are near normal:
    the challenger's are held against units that score the limit.
    """
    score = np.where(units.is_challenger, units.score, limit * units.size)
    return _log_e(replace(units, score=score), 1.0, 0.0, sign=1.0)


def _log_e(units: Units, ratio: float, surplus: float, *, sign: float) -> float:
    if not (math.isfinite(ratio) and ratio > 0 and math.isfinite(surplus)):
        message = f"ratio {ratio} and surplus {surplus}: expected a positive number and a number"
        raise ValueError(message)
    total, mine, share = float(units.size.sum()), units.is_challenger, units.share
    if not total:
        return 0.0
    adjusted = np.where(mine, units.score, ratio * units.score + surplus * units.size)
    residual = sign * (adjusted - adjusted.sum() / total * units.size)
    # Places are given to arms without replacement, which makes sums vary a little more than independent draws would.
    spread = float((residual**2).sum()) / (share * (1 - share)) * units.places / max(1, units.places - 1)
    if not spread > 0:
        return 0.0
    bet = _BET / math.sqrt(spread)
    as_champion, as_challenger = bet * residual / (1 - share), -bet * residual / share
    gained = float(np.where(mine, as_challenger, as_champion).sum())
    drawn = np.logaddexp(math.log1p(-share) + as_champion, math.log(share) + as_challenger)
    apart = _spread(residual[~mine], units.size[~mine], 1 - share) + _spread(residual[mine], units.size[mine], share)
    return gained - max(1.0, apart / spread) * float(drawn.sum())


def _spread(residual: Vector, size: Vector, share: float) -> float:
    """How much the part of Σz varies that one arm's units make, about what they do on average; 0 for a single unit."""
    n = len(residual)
    if n < 2:
        return 0.0
    own = residual - residual.sum() / size.sum() * size
    return float((own**2).sum()) * n / (n - 1) / share**2


def equal_units(sizes: Vector) -> float:
    """Say how many equal units carry the information of these: (Σ size)² / Σ size². Source: Kish 1965.

    >>> equal_units(np.array([1.0, 1.0, 1.0])), round(equal_units(np.array([8.0, 1.0, 1.0])), 2)
    (3.0, 1.52)
    """
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0
