"""Rates of two samples: whether one rose, by how much at least, and between which bounds it lies.

A sample is a sum of scores in [0, 1], one per request, and how many there are. For scores between 0 and 1 the binomial
likelihood errs on the safe side: no bounded variable of a given mean spreads more (Hoeffding 1963).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from scipy import special

_CORRECTION: Final = 0.5
"""Both counts are moved so far towards each other: they are whole, the normal distribution is not (Yates 1934)."""


class Sample(NamedTuple):
    """`n` requests whose scores add up to `bad`, 0 <= bad <= n."""

    n: float = 0.0
    bad: float = 0.0

    @property
    def rate(self) -> float:
        """Mean score, 0..1; NaN without requests."""
        return self.bad / self.n if self.n else math.nan

    def plus(self, other: Sample) -> Sample:
        """Both together."""
        return Sample(self.n + other.n, self.bad + other.bad)

    def minus(self, other: Sample) -> Sample:
        """What is left without `other`, a part of it; never less than nothing."""
        n = max(0.0, self.n - other.n)
        return Sample(n, min(n, max(0.0, self.bad - other.bad)))


class Interval(NamedTuple):
    """Bounds of a rate or of a difference."""

    low: float
    high: float


def rise_p_value(reference: Sample, current: Sample, *, ratio: float = 1.0, dispersion: float = 1.0) -> float:
    """Weigh "the rate is at most `ratio` times the reference's" against "it is higher".

    The signed root of the likelihood ratio of two binomial samples; under the hypothesis the rates are those of
    greatest likelihood with p1 = ratio * p0 (Miettinen & Nurminen 1985, equation 11). The reference is a sample, too:
    one of few requests convicts nobody.

    Args:
        reference: What is compared with.
        current: What may have risen.
        ratio: How many times as high a rate is tolerated, >= 1.
        dispersion: Variance of the scores over that of independent answers, right or wrong.

    Returns:
        The one-sided p-value; 1 where either is empty or the rate is not above what is tolerated.
    """
    if reference.n <= 0 or current.n <= 0:
        return 1.0
    observed = Sample(current.n, max(0.0, current.bad - _CORRECTION))
    reference = Sample(reference.n, min(reference.n, reference.bad + _CORRECTION))
    if observed.rate <= ratio * reference.rate:
        return 1.0
    statistic = 2 * (_log_likelihood(reference, reference.rate) + _log_likelihood(observed, observed.rate))
    base = _restricted(reference, observed, ratio)
    statistic -= 2 * (_log_likelihood(reference, base) + _log_likelihood(observed, min(1.0, ratio * base)))
    # Tens of thousands of slots are judged in a simulation: a scalar of the math module takes a tenth of the time.
    return math.erfc(math.sqrt(max(0.0, statistic) / dispersion / 2)) / 2


def fall_p_value(reference: Sample, current: Sample, *, dispersion: float = 1.0) -> float:
    """Weigh "the rate is at least the reference's" against "it is lower"; see `rise_p_value`."""
    return rise_p_value(_inverse(reference), _inverse(current), dispersion=dispersion)


def rate_interval(sample: Sample, level: float, *, dispersion: float = 1.0) -> Interval:
    """Bound a rate from both sides (Wilson 1927).

    Args:
        sample: What was seen; without requests the rate is anything.
        level: Probability that it lies outside, 0..1.
        dispersion: Variance of the scores over that of independent ones, >= 1.
    """
    if sample.n <= 0:
        return Interval(0.0, 1.0)
    n, rate = sample.n / dispersion, sample.rate
    z = float(-special.ndtri(level / 2))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def difference_interval(reference: Sample, current: Sample, level: float, *, dispersion: float = 1.0) -> Interval:
    """Bound by how much a rate is above the reference's, from both sides (Newcombe 1998, method 10).

    Args:
        reference: What is compared with.
        current: What may have risen.
        level: Probability that the difference lies outside, 0..1.
        dispersion: Variance of the current scores over that of independent ones, >= 1.
    """
    if reference.n <= 0 or current.n <= 0:
        return Interval(-1.0, 1.0)
    one, other = rate_interval(reference, level), rate_interval(current, level, dispersion=dispersion)
    return combine_difference(reference.rate, one, current.rate, other)


def combine_difference(one: float, one_within: Interval, other: float, other_within: Interval) -> Interval:
    """Bound `other` - `one` from bounds of each of two independent estimates (Newcombe 1998, MOVER)."""
    difference = other - one
    low = math.hypot(other - other_within.low, one_within.high - one)
    high = math.hypot(other_within.high - other, one - one_within.low)
    return Interval(difference - low, difference + high)


def _restricted(reference: Sample, current: Sample, ratio: float) -> float:
    """The reference's rate p of greatest likelihood when the current one is `ratio` * p: a root of a quadratic."""
    a = ratio * (reference.n + current.n)
    b = current.bad + ratio * reference.bad + ratio * current.n + reference.n
    c = reference.bad + current.bad
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    # The smaller root, written so that nothing cancels.
    return min(1.0 / ratio, 2 * c / (b + root))


def _log_likelihood(sample: Sample, rate: float) -> float:
    good = sample.n - sample.bad
    # What never happened adds nothing, whatever its rate.
    return (sample.bad * math.log(rate) if sample.bad > 0 else 0.0) + (good * math.log1p(-rate) if good > 0 else 0.0)


def _inverse(sample: Sample) -> Sample:
    return Sample(sample.n, sample.n - sample.bad)
