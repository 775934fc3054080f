"""Tail probabilities of whole arrays, and how those of many tests become one.

Special functions only: `scipy.stats` takes the operator 47 MiB and a quarter of a second at its start.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_TINY: Final = 1e-300
_CAUTION: Final = 2.0
"""Keeps a level of 5 % where chi-squares of small samples have longer tails; of lower levels hardly a trace."""
_TINY_NONCENTRALITY: Final = 1e-12
_NEAR_THE_MEAN: Final = 1e-2


def chi_square_tail(value: Floats, degrees: Floats, noncentrality: Floats) -> Floats:
    """P(X >= value) of chi-square variables, non-central ones too; 1 where there are no degrees of freedom.

    A value below the mean of a non-central one is no evidence, and gets 1.

    One degree is a squared normal. Other non-central ones by the saddlepoint of Lugannani and Rice (1980) with Daniels'
    second-order term (1987): within a hundredth of the exact value with two degrees, a thousandth with five, however
    far out.

    Args:
        value: What was observed, >= 0.
        degrees: Degrees of freedom, >= 0.
        noncentrality: >= 0, aligned with the others.
    """
    value, degrees, noncentrality = np.broadcast_arrays(value, degrees, noncentrality)
    tail = np.ones(value.shape)
    usable = (degrees > 0) & (value > 0)
    central = usable & (noncentrality < _TINY_NONCENTRALITY)
    tail[central] = special.chdtrc(degrees[central], value[central])
    one = usable & ~central & (degrees == 1)
    tail[one] = two_sided_tail(np.sqrt(value[one]), np.sqrt(noncentrality[one]))
    # Below its mean nothing is significant, and nearly all values are there.
    other = usable & ~central & ~one & (value > degrees + noncentrality)
    if other.any():
        tail[other] = _saddlepoint_tail(value[other], degrees[other], noncentrality[other])
    return tail


def _saddlepoint_tail(value: Floats, degrees: Floats, noncentrality: Floats) -> Floats:
    # The cumulant generating function is -d/2 ln(1-2s) + n s/(1-2s); with u = 1/(1-2s) the saddlepoint solves
    # n u² + d u = value.
    u = (np.sqrt(degrees**2 + 4 * noncentrality * value) - degrees) / (2 * noncentrality)
    s = (1 - 1 / u) / 2
    cumulant = degrees / 2 * np.log(u) + noncentrality * s * u
    second = 2 * degrees * u**2 + 4 * noncentrality * u**3
    third = (8 * degrees * u**3 + 24 * noncentrality * u**4) / second**1.5
    fourth = (48 * degrees * u**4 + 192 * noncentrality * u**5) / second**2
    w = np.sign(s) * np.sqrt(np.maximum(0, 2 * (s * value - cumulant)))
    v = s * np.sqrt(second)
    near = np.abs(w) < _NEAR_THE_MEAN
    w, v = np.where(near, 1.0, w), np.where(near, 1.0, v)
    density = np.exp(-(w**2) / 2) / np.sqrt(2 * np.pi)
    correction = (fourth / 8 - 5 * third**2 / 24) / v - third / (2 * v**2) - 1 / v**3 + 1 / w**3
    tail = special.ndtr(-w) + density * (1 / v - 1 / w + correction)
    found: Floats = np.clip(np.where(near, 0.5 - third / (6 * np.sqrt(2 * np.pi)), tail), 0, 1)
    return found


def two_sided_tail(size: Floats, slack: Floats) -> Floats:
    """P(|Z + slack| >= size) of a standard normal Z: the largest for means within -slack..slack; `size` >= 0."""
    tail: Floats = np.minimum(1, special.ndtr(slack - size) + special.ndtr(-slack - size))
    return tail


def binomial_tail(count: Floats, trials: Floats, probability: Floats) -> Floats:
    """P(K >= count), K binomial; counts need not be whole, as those of clustered rows, which weigh less, are not."""
    count, trials, probability = np.broadcast_arrays(count, trials, probability)
    tail = np.ones(count.shape)
    some = (count > 0) & (probability < 1)
    tail[some] = special.betainc(count[some], np.maximum(trials - count, 0)[some] + 1, probability[some])
    return tail


def combined(p_values: Floats, weights: Floats) -> Floats:
    """Combine p-values over the last axis by their harmonic mean: one p-value for "nothing is the matter anywhere".

    It keeps its level however the tests depend on each other, and beyond Bonferroni's it gains where several tests see
    something: several features, or several properties of one (Wilson, PNAS 2019). The mean of 1/p of L tests exceeds t
    with a probability of about 1/(t - ln t - ln L), exactly for independent tests, and up to a fourth more
    of those that half depend on each other.

    Args:
        p_values: 0..1.
        weights: >= 0, aligned; 0 leaves a test out. Only their ratios count.

    Returns:
        P-values without the last axis; 1 where every test is left out.
    """
    total = weights.sum(axis=-1)
    tests = np.maximum(1, (weights > 0).sum(axis=-1))
    mean = (weights / np.maximum(p_values, _TINY)).sum(axis=-1) / np.where(total > 0, total, 1)
    mean = np.maximum(mean, 1)
    # With one test the mean is its own.
    inverse = np.where(tests > 1, mean - np.log(mean) - np.log(tests) - _CAUTION, mean)
    together: Floats = np.where(total > 0, 1 / np.maximum(inverse, 1), 1.0)
    return together
