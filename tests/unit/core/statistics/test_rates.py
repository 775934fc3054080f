"""Rates of two samples, held against scipy: likelihoods maximised by search, intervals, exact error rates."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from kingmaker.core.statistics.rates import (
    Interval,
    Sample,
    combine_difference,
    difference_interval,
    fall_p_value,
    rate_interval,
    rise_p_value,
)

RANDOM = np.random.default_rng(11)


def log_likelihood(sample: Sample, rate: float) -> float:
    return float(stats.binom.logpmf(sample.bad, sample.n, rate))


def uncorrected(reference: Sample, current: Sample) -> tuple[Sample, Sample]:
    """Take back half an event on each side, by which counts are moved towards each other."""
    return Sample(reference.n, reference.bad - 0.5), Sample(current.n, current.bad + 0.5)


def searched_p_value(reference: Sample, current: Sample, ratio: float) -> float:
    """The same by searching for the greatest likelihood with p1 = ratio * p0."""

    def loss(base: float) -> float:
        return -log_likelihood(reference, base) - log_likelihood(current, ratio * base)

    best = optimize.minimize_scalar(loss, bounds=(1e-9, 1 / ratio - 1e-9), method="bounded", options={"xatol": 1e-12})
    free = log_likelihood(reference, reference.rate) + log_likelihood(current, current.rate)
    return float(stats.norm.sf(math.sqrt(2 * (free + best.fun))))


@pytest.mark.parametrize("ratio", [1.0, 1.1, 1.5, 2.0])
def test_a_rise_is_weighed_as_a_search_for_the_greatest_likelihood_does(ratio: float) -> None:
    for _ in range(50):
        reference = Sample(2000, int(RANDOM.integers(20, 400)))
        current = Sample(500, int(RANDOM.integers(math.ceil(reference.rate * ratio * 500) + 2, 480)))
        found = rise_p_value(*uncorrected(reference, current), ratio=ratio)
        assert found == pytest.approx(searched_p_value(reference, current, ratio), rel=1e-3)


def test_without_tolerance_it_is_the_likelihood_ratio_test_of_a_table() -> None:
    table = [[60, 440], [100, 1900]]
    g = stats.chi2_contingency(table, lambda_="log-likelihood", correction=False).statistic
    found = rise_p_value(*uncorrected(Sample(2000, 100), Sample(500, 60)))
    assert found == pytest.approx(stats.norm.sf(math.sqrt(g)), rel=1e-9)


@pytest.mark.parametrize(("m", "n", "p"), list(product([200, 2000], [60, 400], [0.002, 0.02, 0.2, 0.6])))
def test_a_rate_at_the_edge_of_the_tolerance_is_called_risen_as_seldom_as_the_level_says(m, n, p) -> None:
    reference, current = RANDOM.binomial(m, p, 20_000), RANDOM.binomial(n, min(0.9, 1.1 * p), 20_000)
    pairs, counts = np.unique(np.stack([reference, current], axis=1), axis=0, return_counts=True)
    level = 0.01
    called = sum(
        count
        for (bad, now), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        if rise_p_value(Sample(m, bad), Sample(n, now), ratio=1.1) <= level
    )
    assert called / 20_000 <= level + 3 * math.sqrt(level / 20_000)


def test_a_fall_is_a_rise_of_what_was_right() -> None:
    assert fall_p_value(Sample(1000, 300), Sample(500, 60)) < 1e-9
    assert fall_p_value(Sample(1000, 300), Sample(500, 160)) == 1.0


def test_dispersion_makes_the_same_rise_weigh_less() -> None:
    plain, spread = (rise_p_value(Sample(1000, 100), Sample(1000, 150), dispersion=d) for d in (1.0, 4.0))
    assert stats.norm.isf(spread) == pytest.approx(stats.norm.isf(plain) / 2, rel=1e-9)


@pytest.mark.parametrize(("n", "bad"), [(10, 0), (50, 3), (1000, 400), (7, 7)])
def test_bounds_of_a_rate_are_wilsons(n: int, bad: int) -> None:
    known = stats.binomtest(bad, n).proportion_ci(method="wilson")
    assert rate_interval(Sample(n, bad), 0.05) == pytest.approx((known.low, known.high), abs=1e-12)


def test_bounds_of_a_difference_are_newcombes() -> None:
    # Newcombe 1998, table II, example (a), method 10: 56/70 - 48/80.
    found = difference_interval(Sample(80, 48), Sample(70, 56), 0.05)
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize("empty", [Sample(), Sample(0, 0)])
def test_nothing_seen_says_nothing(empty: Sample) -> None:
    full = Sample(100, 50)
    assert rise_p_value(empty, full) == rise_p_value(full, empty) == fall_p_value(empty, full) == 1.0
    assert rate_interval(empty, 0.05) == (0.0, 1.0)
    assert difference_interval(empty, full, 0.05) == difference_interval(full, empty, 0.05) == (-1.0, 1.0)


samples = st.integers(1, 10**7).flatmap(lambda n: st.integers(0, n).map(lambda bad: Sample(n, bad)))


@given(samples, samples, st.floats(1.0, 10.0), st.floats(1.0, 10.0))
def test_whatever_is_counted_p_values_and_bounds_are_numbers(reference, current, ratio, dispersion) -> None:
    assert 0 <= rise_p_value(reference, current, ratio=ratio, dispersion=dispersion) <= 1
    low, high = rate_interval(current, 0.05, dispersion=dispersion)
    assert 0 <= low <= current.rate + 1e-12
    assert current.rate - 1e-12 <= high <= 1
    low, high = difference_interval(reference, current, 0.05)
    assert low <= current.rate - reference.rate <= high


@given(samples, st.integers(2, 50))
def test_more_data_in_the_same_proportion_never_widens_bounds(sample: Sample, times: int) -> None:
    few, many = rate_interval(sample, 0.05), rate_interval(Sample(sample.n * times, sample.bad * times), 0.05)
    assert many.high - many.low <= few.high - few.low + 1e-12


@given(samples, samples)
def test_samples_add_up_and_are_taken_apart_again(one: Sample, other: Sample) -> None:
    assert one.plus(other) == other.plus(one)
    assert one.plus(other).minus(other) == one


def test_a_difference_of_two_estimates_is_bounded_by_the_bounds_of_both() -> None:
    found = combine_difference(0.1, Interval(0.07, 0.13), 0.2, Interval(0.16, 0.24))
    assert found == pytest.approx((0.05, 0.15))
