"""Comparison of many columns at once: the same as one by one, calibrated, and never anything but numbers."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kingmaker.core.statistics.columns import (
    DISPERSION,
    LOCATION,
    RARE,
    SHAPE,
    Cells,
    Comparison,
    Noise,
    compare_columns,
    psi,
    rare_tail,
)
from kingmaker.core.statistics.tails import Floats, combined
from support.references import a_numeric_feature, count_column
from support.slowcells import compare_slowly

TEN = [100] * 10
Column = tuple[list[int], list[int], list[int], list[int], bool]
"""Reference and current counts of the ordinary cells, then of the rare ones, and whether there is an order."""


def cells(ordinary: Sequence[Sequence[float]], rare: Sequence[Sequence[float]]) -> Cells:
    """Columns of different widths, filled up with empty cells."""

    def filled(rows: Sequence[Sequence[float]]) -> Floats:
        width = max(map(len, rows), default=0)
        return np.array([[*row, *[0] * (width - len(row))] for row in rows], dtype=float).reshape(len(rows), width)

    return Cells(filled(ordinary), filled(rare))


def compare(columns: Sequence[Column]) -> Comparison:
    reference = cells([c[0] for c in columns], [c[2] for c in columns])
    current = cells([c[1] for c in columns], [c[3] for c in columns])
    return compare_columns(reference, current, ordered=np.array([c[4] for c in columns]))


def one(current: list[int], reference: list[int] | None = None, *, ordered: bool = True) -> Comparison:
    return compare([(reference or TEN, current, [], [], ordered)])


def p_value(comparison: Comparison, tolerance: float, noise: Noise | None = None) -> float:
    columns, rare = comparison.current.rare.shape
    p_values, weights = comparison.p_values(tolerance, noise or Noise.none(columns, rare))
    return float(combined(p_values, weights)[0])


@st.composite
def a_column(draw: st.DrawFn) -> Column:
    size, rare = draw(st.integers(1, 12)), draw(st.integers(0, 3))
    counts = st.integers(0, 5) | st.integers(0, 400)
    reference = draw(st.lists(counts, min_size=size, max_size=size))
    current = draw(st.lists(counts, min_size=size, max_size=size))
    few = st.integers(0, 40)
    before, now = (draw(st.lists(few, min_size=rare, max_size=rare)) for _ in range(2))
    return [reference[0] + 1, *reference[1:]], current, before, now, draw(st.booleans())


@given(st.lists(a_column(), min_size=1, max_size=6), st.sampled_from([0.0, 0.01, 0.25]), st.sampled_from([1.0, 3.5]))
def test_all_columns_at_once_are_as_one_after_the_other(columns: list[Column], tolerance: float, spread: float) -> None:
    found = compare(columns)
    shape = found.current.rare.shape
    noise = Noise(np.full((len(columns), 3), spread), np.zeros((len(columns), 3)), np.ones(shape))
    p_values, weights = found.p_values(tolerance, noise)
    raw, bias = psi(found.reference, found.current)
    for at, (reference, current, rare_before, rare_now, ordered) in enumerate(columns):
        is_rare = [False] * len(reference) + [True] * len(rare_before)
        slow = compare_slowly([*reference, *rare_before], [*current, *rare_now], rare=is_rare, ordered=ordered)
        assert found.effective[at] == pytest.approx(slow.effective)
        assert found.x2[at] == pytest.approx(slow.x2, abs=1e-9)
        assert (raw[at], bias[at]) == pytest.approx((slow.psi, slow.bias))
        if slow.effective:
            assert found.degrees[at] == slow.degrees
        assert p_values[at, SHAPE] == pytest.approx(slow.shape_p_value(tolerance, spread), rel=0.01, abs=1e-30) or (
            # Below its mean nothing is evidence.
            p_values[at, SHAPE] == 1 and slow.shape_p_value(tolerance, spread) > 0.3
        )
        if slow.location is not None and slow.dispersion is not None:
            assert found.location[at] == pytest.approx(slow.location, abs=1e-6)
            assert found.dispersion[at] == pytest.approx(slow.dispersion, abs=1e-6)
            for part, z in ((LOCATION, slow.location), (DISPERSION, slow.dispersion)):
                expected = slow.rank_p_value(z, tolerance, spread)
                assert p_values[at, part] == pytest.approx(expected, rel=1e-6, abs=1e-30)
        else:
            assert weights[at, LOCATION] == weights[at, DISPERSION] == 0
        exact = found.rare_p_values(0, noise)[at]
        for place, expected in enumerate(slow.rare):
            # A cell of which no count could be unlikely is not asked.
            assert exact[place] == pytest.approx(expected, rel=1e-6) or (exact[place] == 1 and expected > 1e-3)


@given(st.lists(a_column(), min_size=2, max_size=5), st.randoms())
def test_the_order_of_columns_and_the_company_of_others_change_nothing(columns: list[Column], random: object) -> None:
    order = list(range(len(columns)))
    random.shuffle(order)  # type: ignore[attr-defined]
    together, shuffled = compare(columns), compare([columns[i] for i in order])
    assert shuffled.x2 == pytest.approx(together.x2[order], abs=1e-9)
    assert shuffled.location == pytest.approx(together.location[order], abs=1e-9)
    alone = compare(columns[:1])
    assert together.x2[0] == pytest.approx(alone.x2[0], abs=1e-9)
    assert together.dispersion[0] == pytest.approx(alone.dispersion[0], abs=1e-9)


@given(st.lists(a_column(), min_size=1, max_size=4), st.floats(0, 2), st.floats(1, 10))
def test_figures_are_always_numbers(columns: list[Column], tolerance: float, spread: float) -> None:
    found = compare(columns)
    noise = Noise(
        np.full((len(columns), 3), spread), np.zeros((len(columns), 3)), np.full_like(found.current.rare, spread)
    )
    p_values, weights = found.p_values(tolerance, noise)
    everything = combined(p_values, weights)
    assert ((p_values >= 0) & (p_values <= 1) & np.isfinite(weights)).all()
    assert ((everything >= 0) & (everything <= 1)).all()
    assert np.isfinite(found.parts).all()


def test_equal_shares_give_no_evidence() -> None:
    found = one([50] * 10)
    assert (found.x2[0], found.location[0], found.dispersion[0]) == pytest.approx((0, 0, 0), abs=1e-9)
    assert p_value(found, 0) == 1


@pytest.mark.parametrize(("tolerance", "tolerated"), [(0.05, 0.025), (0.25, 0.125)])
def test_a_tolerance_lets_half_of_it_fall_into_an_empty_rare_cell(tolerance: float, tolerated: float) -> None:
    def of_share(share: float) -> float:
        count = round(20_000 * share)
        return p_value(compare([([20_000], [20_000 - count], [0], [count], True)]), tolerance)

    assert of_share(tolerated * 0.9) > 0.05
    assert of_share(tolerated * 1.3) < 1e-3


def test_without_rows_there_is_nothing_to_say() -> None:
    found = compare([([90, 7], [0, 0], [10], [0], True)])
    assert (p_value(found, 0), found.degrees[0]) == (1, 0)
    assert psi(found.reference, found.current)[0][0] == 0


def test_only_rare_rows_leave_the_shape_alone() -> None:
    found = compare([([90, 10], [0, 0], [0], [200], True)])
    assert (found.x2[0], found.location[0]) == (0, 0)
    assert p_value(found, 0.25) < 1e-6


def test_a_rare_cell_that_was_full_has_room_for_all() -> None:
    assert p_value(compare([([1], [0], [99], [100], False)]), 2.0) == 1


def test_huge_counts_stay_numbers() -> None:
    found = one([10**7, 2 * 10**7, 10**7], [10**7, 10**7, 10**7])
    assert p_value(found, 0.01) == pytest.approx(0)
    assert p_value(found, 1.0) == 1


@pytest.mark.parametrize(("rows", "reference_rows"), [(50, 1000), (300, 455), (5000, 455)])
def test_tests_keep_their_level_without_a_difference(rows: int, reference_rows: int) -> None:
    random, runs, level = np.random.default_rng(10_007), 400, 0.05
    rejected = 0
    for _ in range(runs):
        feature = a_numeric_feature("x", random.lognormal(size=reference_rows))
        current = count_column(feature, random.lognormal(size=rows))
        below, *ordinary = feature.counts[:-3]
        now_below, *now = current[:-3]
        column = (ordinary, now, [below, *feature.counts[-3:]], [now_below, *current[-3:]], True)
        rejected += p_value(compare([column]), 0) <= level
    assert rejected / runs <= level + 2 * np.sqrt(level * (1 - level) / runs)


def test_debiased_psi_is_zero_on_average_without_a_difference() -> None:
    random = np.random.default_rng(8)
    share = np.full(10, 0.1)
    current, reference = random.multinomial(500, share, size=400), random.multinomial(2000, share, size=400)
    none = np.zeros((400, 0))
    raw, bias = psi(Cells(reference.astype(float), none), Cells(current.astype(float), none))
    assert np.mean(raw) == pytest.approx(9 * (1 / 500 + 1 / 2000), rel=0.1)
    assert abs(np.mean(raw - bias)) < 0.002


def test_small_cells_are_merged_until_they_can_be_compared() -> None:
    assert one([2] * 6, [200] * 6).degrees[0] == 1
    assert one([1, 1, 1], [1, 1, 1]).degrees[0] == 0
    # Categories of every size: the small ones go together, not each with its neighbour in the list.
    assert one([40, 1, 40, 1, 1], [400, 10, 400, 10, 10], ordered=False).degrees[0] == 1


def test_overdispersed_counts_need_more_evidence() -> None:
    found = one([160, 70, 130, 65, 95, 150, 50, 100, 75, 105])
    noisy = Noise(np.full((1, 3), 4.0), np.zeros((1, 3)), np.ones((1, 0)))
    assert p_value(found, 0, noisy) > p_value(found, 0)


def test_what_is_usual_is_no_difference() -> None:
    found = one([10, 20, 40, 60, 80, 100, 140, 160, 190, 200])
    usual = Noise(np.ones((1, 3)), np.maximum(0, found.parts - [[9, 0, 0]]), np.ones((1, 0)))
    usual.expected[0, DISPERSION] = found.dispersion[0]
    assert p_value(found, 0) < 1e-20
    assert p_value(found, 0, usual) > 0.1


def test_a_part_that_can_not_be_told_from_chance_is_left_out() -> None:
    found = compare([([500, 500], [900, 100], [0], [0], True)])
    blind = Noise(np.full((1, 3), np.nan), np.zeros((1, 3)), np.ones((1, 1)))
    assert p_value(found, 0, blind) == 1


def test_the_exact_test_of_a_rare_cell_is_the_conditional_binomial() -> None:
    count, rows, before, m = (
        np.array(x, dtype=float) for x in ([0, 3, 7], [100, 100, 200], [5, 0, 2], [100, 100, 300])
    )
    expected = [1, 1 / 8, stats.binom.sf(6, 9, 0.4)]
    assert rare_tail(count, rows, before, m, np.ones(3)) == pytest.approx(expected)
    # Rows that come in fours weigh a quarter each.
    fours = rare_tail(np.array([12.0]), np.array([400.0]), np.array([0.0]), np.array([400.0]), np.array([4.0]))
    assert fours == pytest.approx([1 / 8])


def test_a_rare_cell_that_never_can_tell_is_left_out() -> None:
    found = compare([([500, 500], [40, 60], [0], [1], True), ([500, 500], [40, 60], [0], [9], True)])
    weights = found.p_values(0, Noise.none(2, 1))[1]
    assert weights[:, RARE].tolist() == [0, 1]
