"""Anytime-valid tests on counts of events: two arms of a split, shares and rates.

Each `log_e_…` is the natural logarithm of an e-process: a process E with E(nothing seen) = 1 that is a non-negative
supermartingale under its null hypothesis. By Ville's inequality P(E ever reaches 1/α) <= α, so it may be looked at
after every scrape, stopped at any moment and continued later, and needs nothing but the counts so far. Mixtures
(means) of e-processes are e-processes again, and so are products over rows that no two of them share.

Sources: Lindon & Malek, NeurIPS 2022 (arXiv:2011.03567) for conditioning on the event; Robbins 1970 for beta mixtures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit, log_expit, logit

_POINTS: Final = 40
LOWER: Final = np.geomspace(0.2, 0.98, _POINTS)
"""Ratios that a better arm may have: from a fifth to almost equal."""
HIGHER: Final = np.geomspace(1.02, 10.0, _POINTS)
"""Ratios that a worse arm may have: from almost equal to tenfold."""
_SHARE_PRIOR: Final = 100.0
"""Weight, in requests, of the designed share in the mixture over shares; finds 52/48 after about 10,000 requests."""
_ROOT_ERROR: Final = 1e-10
_FARTHEST_LOGIT: Final = 2000.0
"""Beyond any root: e^-2000 is 0 in floating point."""


@dataclass(frozen=True, slots=True)
class Split:
    """Bad events of the two arms in one stage; `share` is the challenger's designed part of the traffic, 0..1."""

    champion: int
    challenger: int
    share: float

    def __post_init__(self) -> None:
        _check_counts(champion=self.champion, challenger=self.challenger)
        _check_share(self.share)


def log_e_harm(splits: Sequence[Split], *, ratio: float = 1.0, together: float = 1.0) -> float:
    """Weigh the evidence that the challenger's event rate is above `ratio` times the champion's.

    H0: challenger's rate / champion's rate <= `ratio` in every stage. With rates p_A, p_B = φ·p_A and share ρ an event
    is the challenger's with probability q(φ) = ρφ/(1-ρ+ρφ), whatever p_A is and however it moves. For an alternative
    φ' > ratio one event multiplies E by q(φ')/q(ratio) > 1 if it is the challenger's, else by
    (1-q(φ'))/(1-q(ratio)) < 1. The mean of that is 1 at φ = ratio and rises in q(φ), so it is <= 1 for every smaller
    φ: a supermartingale under all of H0. Alternatives are 1.02 to 10 times `ratio`; stages multiply inside the mixture,
    so ramps and moving base rates do no harm.

    Args:
        splits: One per stage; empty means no evidence.
        ratio: Highest ratio that is no harm, > 0.
        together: How many events are one observation, >= 1: the root of that degree is taken of each product.
    """
    return _log_e_split(splits, ratio, HIGHER, together)


def log_e_share(challenger: int, total: int, share: float) -> float:
    """Weigh the evidence that the challenger's part of `total` requests was not drawn with probability `share`.

    Two-sided: a Beta mixture around the designed share, which is a martingale under H0. A value of ln 1000 or more
    means that routing, not chance, made the difference (sample ratio mismatch).

    Args:
        challenger: Its requests, 0..`total`.
        total: Requests of both arms.
        share: The designed probability, strictly between 0 and 1.

    Raises:
        ValueError: The counts are negative or out of order, or the share is not between 0 and 1.
    """
    _check_part(challenger, total)
    _check_share(share)
    log_marginal = _log_marginal(challenger, total, _SHARE_PRIOR * share, _SHARE_PRIOR * (1 - share))
    return log_marginal - challenger * math.log(share) - (total - challenger) * math.log1p(-share)


def log_e_rate_above(events: int, trials: int, rate: float, *, together: float = 1.0) -> float:
    """Weigh the evidence that a Bernoulli rate is above `rate`.

    H0: the probability of an event is <= `rate` in each trial given those before it. Mixture over alternatives whose
    odds are 1.02 to 10 times those of `rate`; the mean of each likelihood ratio rises in the probability and is 1 at
    `rate`.

    Args:
        events: How often it happened, 0..`trials`.
        trials: How often it could have.
        rate: The highest rate of H0, strictly between 0 and 1. One that was measured as 0 is no yardstick: pass its
            `rate_upper_bound`.
        together: How many events are one observation, as in `log_e_harm`.

    Raises:
        ValueError: The counts are negative or out of order, or the rate is not strictly between 0 and 1.
    """
    return _log_e_rate(events, trials, rate, HIGHER, together)


def log_e_rate_below(events: int, trials: int, rate: float) -> float:
    """Weigh the evidence that a Bernoulli rate is below `rate`: the mirror image of `log_e_rate_above`."""
    return _log_e_rate(events, trials, rate, LOWER)


def rate_lower_bound(events: int, trials: int, alpha: float) -> float:
    """Bound a Bernoulli rate from below, valid at all times at once.

    P(the true rate is ever outside of [lower bound, upper bound]) <= `alpha`, for both bounds together: the rates
    that the Beta(1/2, 1/2) mixture e-process does not reject.

    Args:
        events: How often it happened, 0..`trials`.
        trials: How often it could have.
        alpha: Error budget of both bounds together, strictly between 0 and 1.

    Returns:
        A rate in 0..1; 0 without data.
    """
    return _rate_bound(events, trials, alpha, side=-1.0)


def rate_upper_bound(events: int, trials: int, alpha: float) -> float:
    """Bound a Bernoulli rate from above, valid at all times at once; see `rate_lower_bound`. 1 without data."""
    return _rate_bound(events, trials, alpha, side=1.0)


def _log_e_rate(events: int, trials: int, rate: float, odds: NDArray[np.float64], together: float = 1.0) -> float:
    _check_part(events, trials)
    _check_together(together)
    if not 0 < rate < 1:
        message = f"rate {rate} is not strictly between 0 and 1; for a measured 0 pass the rate's upper bound"
        raise ValueError(message)
    other = expit(logit(rate) + np.log(odds))
    # log(1-p'/1-rate) written with log1p: rates of 1e-9 must not drown in rounding.
    per_event, per_other = np.log(other / rate), np.log1p(-(other - rate) / (1 - rate))
    return _mean_log((events * per_event + (trials - events) * per_other) / together)


def log_mean_exp(log_values: Sequence[float]) -> float:
    """Average e-values that are given by their logarithms: a mixture, which is an e-value whatever they share.

    >>> round(math.exp(log_mean_exp([math.log(3), math.log(1)])), 3)
    2.0
    """
    return _mean_log(np.array(log_values))


def _log_e_split(splits: Sequence[Split], ratio: float, factors: NDArray[np.float64], together: float = 1.0) -> float:
    _check_together(together)
    if not (math.isfinite(ratio) and ratio > 0):
        message = f"ratio {ratio} is not a positive number; 1 compares the rates as they are"
        raise ValueError(message)
    share = np.array([s.share for s in splits])
    challenger = np.array([s.challenger for s in splits], dtype=float)
    events = challenger + np.array([s.champion for s in splits], dtype=float)
    alternative = ratio * factors[:, None]
    # q(φ') / q(φ0) = (φ'/φ0)·c and (1-q(φ')) / (1-q(φ0)) = c with c = (1-ρ+ρφ0) / (1-ρ+ρφ').
    log_c = np.log1p(share * (ratio - 1)) - np.log1p(share * (alternative - 1))
    return _mean_log((challenger * np.log(factors)[:, None] + events * log_c).sum(axis=1) / together)


def _mean_log(log_values: NDArray[np.float64]) -> float:
    """ln of the mean of exp(`log_values`), without overflow."""
    peak = log_values.max()
    return float(peak + np.log(np.exp(log_values - peak).mean()))


def _log_marginal(events: int, trials: int, a: float, b: float) -> float:
    """ln of the probability of one sequence with `events` of `trials`, its rate drawn from Beta(a, b)."""
    return float(betaln(a + events, b + trials - events)) - float(betaln(a, b))


def _rate_bound(events: int, trials: int, alpha: float, *, side: float) -> float:
    _check_part(events, trials)
    if not 0 < alpha < 1:
        message = f"alpha {alpha} is not strictly between 0 and 1; use the error budget, such as 0.05"
        raise ValueError(message)
    extreme = trials if side > 0 else 0
    if events == extreme:  # also without data: nothing bounds the rate on this side
        return 1.0 if side > 0 else 0.0
    threshold = _log_marginal(events, trials, 0.5, 0.5) + math.log(alpha)

    def excess(place: float) -> float:
        likelihood = events * log_expit(place) + (trials - events) * log_expit(-place)
        return threshold - float(likelihood)

    return float(expit(_root(excess, *_bracket(events, trials, side))))


def _bracket(events: int, trials: int, side: float) -> tuple[float, float]:
    """Logits around the bound: the estimate, where the rate is never rejected, and one where it always is."""
    farthest = side * _FARTHEST_LOGIT
    estimate = float(logit(events / trials)) if 0 < events < trials else -farthest
    return estimate, farthest


def _root(function: Callable[[float], float], start: float, end: float) -> float:
    """Where a function whose sign differs at the ends changes it, to 1e-10, by bisection."""
    is_above = function(start) > 0
    while abs(end - start) > _ROOT_ERROR:
        middle = (start + end) / 2
        if (function(middle) > 0) is is_above:
            start = middle
        else:
            end = middle
    return (start + end) / 2


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        message = f"share {share} is not strictly between 0 and 1; one arm that gets everything compares nothing"
        raise ValueError(message)


def _check_together(together: float) -> None:
    if not (math.isfinite(together) and together >= 1):
        message = f"{together} events are one observation: expected 1 or more"
        raise ValueError(message)


def _check_part(part: int, whole: int) -> None:
    _check_counts(events=part, trials=whole)
    if part > whole:
        message = f"{part} events in {whole} trials: there can't be more events than trials"
        raise ValueError(message)


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            message = f"{name} is {count}; counts are never negative, take differences that respect restarts"
            raise ValueError(message)
