"""Tails are as scipy's distributions have them, and combining keeps the level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kingmaker.core.statistics.tails import binomial_tail, chi_square_tail, combined, two_sided_tail


@given(st.integers(1, 60), st.floats(0.01, 1e5), st.floats(-1, 12))
def test_the_tail_of_the_noncentral_chi_square_is_as_scipy_has_it(degrees: int, noncentrality: float, k: float) -> None:
    value = degrees + noncentrality + k * np.sqrt(2 * (degrees + 2 * noncentrality))
    found = float(chi_square_tail(np.array([value]), np.array([degrees]), np.array([noncentrality]))[0])
    exact = float(stats.ncx2.sf(value, degrees, noncentrality)) if value > 0 else 1.0
    if value > degrees + noncentrality:
        assert found == pytest.approx(exact, rel=0.01, abs=1e-40)
    else:
        assert found == pytest.approx(exact, rel=0.01) if degrees == 1 else found == 1
        assert exact > 0.3


@given(st.integers(1, 60), st.floats(0.01, 500))
def test_the_tail_of_the_central_one_is_exact(degrees: int, value: float) -> None:
    found = float(chi_square_tail(np.array([value]), np.array([degrees]), np.array([0.0]))[0])
    assert found == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-10)


def test_no_degrees_of_freedom_are_no_evidence() -> None:
    assert chi_square_tail(np.array([5.0, 0.0]), np.array([0, 3]), np.array([1.0, 2.0])).tolist() == [1, 1]


@given(st.floats(0, 30), st.floats(0, 20))
def test_two_sides_with_slack_are_a_shifted_normal(size: float, slack: float) -> None:
    exact = stats.norm.sf(size, loc=slack) + stats.norm.cdf(-size, loc=slack)
    assert float(two_sided_tail(np.array([size]), np.array([slack]))[0]) == pytest.approx(exact, rel=1e-6, abs=1e-300)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_the_binomial_tail_is_exact_for_whole_numbers(count: int, more: int, probability: float) -> None:
    found = float(binomial_tail(np.array([float(count)]), np.array([float(count + more)]), np.array([probability]))[0])
    assert found == pytest.approx(stats.binom.sf(count - 1, count + more, probability), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("tests", [4, 80])
def test_combining_keeps_the_level_however_the_tests_depend_on_each_other(tests: int, correlation: float) -> None:
    random, runs = np.random.default_rng(10_001), 20_000
    common = random.normal(size=(runs, 1)) * np.sqrt(correlation)
    p_values = stats.norm.sf(common + random.normal(size=(runs, tests)) * np.sqrt(1 - correlation))
    for level in (0.05, 0.01):
        rejected = np.mean(combined(p_values, np.ones_like(p_values)) <= level)
        assert rejected <= (1.25 if correlation else 1) * level + 2 * np.sqrt(level / runs)


@given(st.lists(st.floats(1e-300, 1), min_size=1, max_size=50))
def test_it_is_at_most_twice_bonferroni_and_never_below_the_least(p_values: list[float]) -> None:
    found = float(combined(np.array(p_values), np.ones(len(p_values))))
    assert min(p_values) * (1 - 1e-9) <= found <= 1
    if min(p_values) * len(p_values) < 1e-3:
        assert found < 2 * min(p_values) * len(p_values)


def test_more_evidence_never_makes_it_weaker() -> None:
    p_values = np.array([0.001, 0.2, 0.9])
    assert combined(p_values, np.ones(3)) < combined(np.array([0.002, 0.2, 0.9]), np.ones(3))
    assert combined(p_values, np.array([1.0, 0, 0])) == pytest.approx(0.001)
    assert combined(p_values, np.zeros(3)) == 1
