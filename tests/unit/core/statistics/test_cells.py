"""Comparison of cell counts: calibration, words, rare cells, levels, overdispersion."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kingmaker.core.statistics.cells import (
    FeatureTest,
    _noncentral_sf,
    compare_cells,
    overdispersion,
    per_feature_level,
    rare_p_value,
)
from support.references import a_numeric_feature, count_column

TEN = [100] * 10


def compare(current: list[int], reference: list[int] | None = None, *, ordered: bool = True) -> FeatureTest:
    return compare_cells(reference or TEN, current, rare=[None] * len(current), ordered=ordered)


def test_equal_shares_give_no_evidence() -> None:
    test = compare([50] * 10)
    assert (test.x2, test.location, test.dispersion) == pytest.approx((0, 0, 0), abs=1e-9)
    assert test.p_value(0) == 1
    assert test.debiased_psi < test.psi == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("current", "words"),
    [
        ([10, 20, 40, 60, 80, 100, 140, 160, 190, 200], ("shifted up",)),
        ([200, 190, 160, 140, 100, 80, 60, 40, 20, 10], ("shifted down",)),
        ([200, 150, 90, 40, 20, 20, 40, 90, 150, 200], ("wider",)),
        ([20, 40, 90, 150, 200, 200, 150, 90, 40, 20], ("narrower",)),
        ([80, 160, 33, 140, 87, 87, 140, 33, 160, 80], ("other shape",)),
        ([100] * 10, ()),
    ],
)
def test_a_change_is_said_in_words(current: list[int], words: tuple[str, ...]) -> None:
    assert compare(current).directions(0, 1e-3) == words


def test_categories_have_no_up_and_down() -> None:
    test = compare([10, 20, 40, 60, 80, 100, 140, 160, 190, 200], ordered=False)
    assert test.location is None
    assert test.directions(0, 1e-3) == ("other shape",)


def test_rare_cells_are_tested_exactly_and_stay_out_of_the_shape() -> None:
    rare = [None, None, "missing", "above", "noise"]
    test = compare_cells([500, 500, 0, 0, 0], [480, 480, 40, 60, 30], rare=rare, ordered=True)
    assert test.x2 == pytest.approx(0)
    assert [r.share for r in test.rare] == pytest.approx([40 / 1090, 60 / 1090, 30 / 1090])
    assert test.directions(0, 1e-3) == ("more missing", "more above the range", "more noise")
    assert test.p_value(0.01) < 1e-6


@pytest.mark.parametrize(("tolerance", "tolerated"), [(0.05, 0.025), (0.25, 0.125)])
def test_a_tolerance_lets_half_of_it_fall_into_an_empty_rare_cell(tolerance: float, tolerated: float) -> None:
    def p_value(share: float) -> float:
        count = round(20_000 * share)
        counts = [20_000 - count, count]
        return compare_cells([20_000, 0], counts, rare=[None, "missing"], ordered=True).p_value(tolerance)

    assert p_value(tolerated * 0.9) > 0.05
    assert p_value(tolerated * 1.3) < 1e-3


def test_without_rows_there_is_nothing_to_say() -> None:
    test = compare_cells([90, 10], [0, 0], rare=[None, "missing"], ordered=True)
    assert (test.p_value(0), test.psi, test.degrees, test.rare[0].share) == (1, 0, 0, 0)
    assert test.directions(0, 0.05) == ()


def test_only_rare_rows_leave_the_shape_alone() -> None:
    test = compare_cells([90, 10, 0], [0, 0, 200], rare=[None, None, "above"], ordered=True)
    assert (test.x2, test.location) == (0, 0)
    assert test.p_value(0.25) < 1e-6
    assert compare_cells([0, 9], [0, 5], rare=[None, "missing"], ordered=True).degrees == 0


def test_a_rare_cell_that_was_full_has_room_for_all() -> None:
    test = compare_cells([1, 99], [0, 100], rare=[None, "missing"], ordered=False)
    assert test.p_value(2.0) == 1


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12), st.lists(st.integers(0, 30), min_size=2, max_size=12))
def test_figures_are_always_numbers(reference: list[int], current: list[int]) -> None:
    size = min(len(reference), len(current))
    reference, current = [reference[0] + 1, *reference[1:size]], current[:size]
    for ordered in (True, False):
        test = compare(current, reference, ordered=ordered)
        assert 0 <= test.p_value(0.05) <= 1
        assert 0 <= test.p_value(0) <= 1
        assert np.isfinite([test.psi, test.debiased_psi, test.x2, test.effective]).all()


def test_huge_counts_stay_numbers() -> None:
    test = compare([10**7, 2 * 10**7, 10**7], [10**7, 10**7, 10**7])
    assert test.p_value(0.01) == pytest.approx(0)
    assert test.p_value(1.0) == 1


@pytest.mark.parametrize(("rows", "reference_rows"), [(50, 1000), (300, 455), (5000, 455)])
def test_tests_keep_their_level_without_a_difference(rows: int, reference_rows: int) -> None:
    random, runs, level = np.random.default_rng(7), 400, 0.05
    rejected = 0
    for _ in range(runs):
        feature = a_numeric_feature("x", random.lognormal(size=reference_rows))
        current = count_column(feature, random.lognormal(size=rows))
        rare = [cell.name if cell.rare else None for cell in feature.cells]
        rejected += compare_cells(feature.counts, current, rare=rare, ordered=True).p_value(0) <= level
    assert rejected / runs <= level + 2 * np.sqrt(level * (1 - level) / runs)


def test_debiased_psi_is_zero_on_average_without_a_difference() -> None:
    random = np.random.default_rng(8)
    share = np.full(10, 0.1)
    tests = [
        compare(random.multinomial(500, share).tolist(), random.multinomial(2000, share).tolist()) for _ in range(400)
    ]
    assert np.mean([t.psi for t in tests]) == pytest.approx(9 * (1 / 500 + 1 / 2000), rel=0.1)
    assert abs(np.mean([t.debiased_psi for t in tests])) < 0.002


def test_a_small_shift_is_within_the_tolerance_and_a_large_one_is_not() -> None:
    random = np.random.default_rng(9)
    feature = a_numeric_feature("x", random.normal(size=20_000))
    rare = [cell.name if cell.rare else None for cell in feature.cells]

    def p_value(shift: float) -> float:
        current = count_column(feature, random.normal(loc=shift, size=20_000))
        return compare_cells(feature.counts, current, rare=rare, ordered=True).p_value(0.05)

    assert p_value(0.15) > 0.05
    assert p_value(0.35) < 1e-6


def test_small_cells_are_merged_until_they_can_be_compared() -> None:
    assert compare([2] * 6, [200] * 6).degrees == 1
    assert compare([1, 1, 1], [1, 1, 1]).degrees == 0
    # Categories of every size: the small ones go together, not each with its neighbour in the list.
    assert compare([40, 1, 40, 1, 1], [400, 10, 400, 10, 10], ordered=False).degrees == 1


def test_overdispersed_counts_need_more_evidence() -> None:
    test = compare([120, 90, 110, 85, 95, 130, 70, 100, 90, 110])
    assert test.p_value(0, overdispersion=4) > test.p_value(0)


def test_overdispersion_is_learnt_from_enough_quiet_windows() -> None:
    random = np.random.default_rng(10)
    quiet = [(3 * float(x), 9) for x in random.chisquare(9, size=200)]
    assert overdispersion(quiet) == pytest.approx(3, rel=0.15)
    assert overdispersion(quiet[:13]) == 1
    assert overdispersion([(x * 100, d) for x, d in quiet]) == 10
    assert overdispersion([(x / 100, d) for x, d in quiet]) == 1
    assert overdispersion([(5.0, 0)] * 20) == 1


def test_the_exact_test_of_a_rare_cell_is_the_conditional_binomial() -> None:
    assert rare_p_value(0, 100, 5, 100) == 1
    assert rare_p_value(3, 100, 0, 100) == pytest.approx(1 / 8)
    assert rare_p_value(7, 200, 2, 300) == pytest.approx(stats.binom.sf(6, 9, 0.4))


def test_the_budget_of_false_alarms_is_shared_out() -> None:
    interval, window = timedelta(weeks=26), timedelta(hours=1)
    level = per_feature_level(interval=interval, window=window, scales=3, overlap=3, features=20)
    tests_per_interval = 3 * 3 * 20 * interval / window
    assert level * tests_per_interval == pytest.approx(1)
    assert per_feature_level(interval=window, window=interval, scales=1, overlap=1, features=2) == 0.025


@given(
    st.integers(1, 60), st.floats(0.001, 1e5), st.floats(-4, 12, allow_subnormal=False).filter(lambda k: abs(k) > 1e-9)
)
def test_the_tail_of_the_noncentral_chi_square_is_as_scipy_has_it(degrees: int, noncentrality: float, k: float) -> None:
    value = degrees + noncentrality + k * np.sqrt(2 * (degrees + 2 * noncentrality))
    if value > 0:
        expected = stats.ncx2.sf(value, degrees, noncentrality)
        assert _noncentral_sf(value, degrees, noncentrality) == pytest.approx(expected, rel=1e-8, abs=1e-30)
