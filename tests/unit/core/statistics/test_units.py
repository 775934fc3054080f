"""Tests on units: exact over the assignments, right in the long run, and strong enough where there are many units."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.statistics.units import (
    Units,
    equal_units,
    log_e_units_differ,
    log_e_units_harm,
    log_e_units_superior,
    look_log_budget,
)

BUCKETS = 200
numbers = st.floats(0, 1000)


@st.composite
def drawn_units(draw: st.DrawFn) -> tuple[list[float], list[float], float, float, float]:
    """Sizes, what the units score under the challenger, its share, and the null hypothesis by which they score so."""
    sizes = draw(st.lists(st.floats(1, 1000), min_size=1, max_size=7))
    scores = draw(st.lists(numbers, min_size=len(sizes), max_size=len(sizes)))
    return sizes, scores, draw(st.floats(0.02, 0.98)), draw(st.floats(0.5, 2)), draw(st.floats(-0.1, 0.1))


@given(drawn_units(), st.sampled_from([log_e_units_superior, log_e_units_harm]))
def test_the_mean_over_all_assignments_is_at_most_one(
    drawn: tuple[list[float], list[float], float, float, float], test: Callable[..., float]
) -> None:
    sizes, scores, share, ratio, surplus = drawn
    size, under_challenger = np.array(sizes), np.array(scores)
    under_champion = (under_challenger - surplus * size) / ratio
    mean = 0.0
    for arms in product([False, True], repeat=len(sizes)):
        mine = np.array(arms)
        units = Units(mine, size, np.where(mine, under_challenger, under_champion), share, BUCKETS)
        mean += share ** mine.sum() * (1 - share) ** (~mine).sum() * math.exp(test(units, ratio=ratio, surplus=surplus))
    assert mean <= 1 + 1e-9


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 1000), numbers), min_size=1, max_size=20), st.floats(0.02, 0.98))
def test_evidence_is_a_number_and_does_not_depend_on_the_order(
    entries: list[tuple[bool, float, float]], share: float
) -> None:
    def units(of: list[tuple[bool, float, float]]) -> Units:
        mine, size, score = (np.array(column) for column in zip(*of, strict=True))
        return Units(mine, size, score, share, BUCKETS)

    for test in (log_e_units_superior, log_e_units_harm, log_e_units_differ):
        found = test(units(entries))
        assert math.isfinite(found)
        assert test(units(entries[::-1])) == pytest.approx(found, abs=1e-6)


def test_nothing_and_units_that_all_score_alike_are_no_evidence() -> None:
    nothing = np.zeros(0)
    assert log_e_units_superior(Units(nothing.astype(bool), nothing, nothing, 0.5, BUCKETS)) == 0
    alike = Units(np.arange(10) < 5, np.ones(10), np.ones(10), 0.5, BUCKETS)
    assert log_e_units_superior(alike) == log_e_units_harm(alike) == 0


def test_the_budget_of_all_looks_is_one() -> None:
    assert sum(math.exp(look_log_budget(number)) for number in range(1, 200)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("mine", "sizes", "share", "places"),
    [([True], [1.0, 2.0], 0.5, 9), ([True], [1.0], 0.0, 9), ([True], [1.0], 0.5, 0)],
)
def test_what_is_no_split_is_refused(mine: list[bool], sizes: list[float], share: float, places: int) -> None:
    with pytest.raises(ValueError, match=r"share|units"):
        Units(np.array(mine), np.array(sizes), np.array(sizes), share, places)


def test_tenants_of_zipf_size_are_worth_a_dozen_equal_ones() -> None:
    assert equal_units(1 / np.arange(1, 51)) == pytest.approx(12.5, abs=0.1)


class World:
    """Entities of some sizes that keep their arms, errors that are alike within an entity, and looks until the end."""

    def __init__(
        self, seed: int, *, sizes: np.ndarray, correlation: float, share: float = 0.5, rate: float = 0.1
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.sizes = sizes / sizes.sum()
        self.share = share
        self.rate = rate
        self.spread = (1 - correlation) / correlation if correlation else 0.0

    def rates(self) -> np.ndarray:
        n = len(self.sizes)
        if not self.spread:
            return np.full(n, self.rate)
        return self.random.beta(self.rate * self.spread, (1 - self.rate) * self.spread, n)

    def found_at(
        self, test: Callable[..., float], alpha: float, *, effect: float = 1.0, ratio: float = 1.0, until: int = 100_000
    ) -> float:
        """Requests until the test speaks; infinite when it never does."""
        bucket = self.random.integers(0, BUCKETS, len(self.sizes))
        challengers = np.arange(BUCKETS) % 100 < round(100 * self.share)
        rates = np.where(challengers[bucket], np.minimum(1, effect * self.rates()), self.rates())
        requests, wrong = np.zeros(len(self.sizes)), np.zeros(len(self.sizes))
        seen, look = 0, 0
        while seen < until:
            target = max(200, math.ceil(1.5 * seen))
            new = self.random.multinomial(target - seen, self.sizes)
            requests, wrong = requests + new, wrong + self.random.binomial(new, rates)
            seen, look = target, look + 1
            size, score = (np.bincount(bucket, values, BUCKETS) for values in (requests, wrong))
            units = Units(challengers[size > 0], size[size > 0], score[size > 0], self.share, BUCKETS)
            if test(units, ratio=ratio) + look_log_budget(look) >= -math.log(alpha):
                return seen
        return math.inf


EQUAL = np.ones(200)
ZIPF = 1 / np.arange(1, 51)


@pytest.mark.parametrize(
    ("sizes", "correlation", "share"),
    [
        (EQUAL, 0.1, 0.5),
        (EQUAL, 0.1, 0.05),
        (ZIPF, 0.1, 0.5),
        (ZIPF, 0.3, 0.05),
        (ZIPF, 0.9, 0.25),
        (EQUAL[:20], 0.9, 0.5),
    ],
    ids=["200", "200 at 5%", "zipf", "zipf at 5%", "zipf, nearly one answer each", "20, nearly one answer each"],
)
def test_equal_models_are_seldom_told_apart_however_few_the_entities_are(
    sizes: np.ndarray, correlation: float, share: float
) -> None:
    runs = 150
    for test, alpha in ((log_e_units_superior, 0.05), (log_e_units_harm, 0.01)):
        world = World(20, sizes=sizes, correlation=correlation, share=share)
        found = sum(world.found_at(test, alpha) < math.inf for _ in range(runs))
        assert found <= runs * alpha + 2 * math.sqrt(runs * alpha * (1 - alpha))


@pytest.mark.parametrize(("sizes", "share"), [(EQUAL, 0.5), (EQUAL, 0.05), (ZIPF, 0.25)])
def test_a_challenger_just_beyond_the_margin_is_seldom_promoted(sizes: np.ndarray, share: float) -> None:
    world, runs = World(21, sizes=sizes, correlation=0.1, share=share), 150
    found = sum(world.found_at(log_e_units_superior, 0.05, effect=1.1, ratio=1.1) < math.inf for _ in range(runs))
    assert found <= runs * 0.05 + 2 * math.sqrt(runs * 0.05 * 0.95)


def test_with_many_entities_it_takes_three_times_the_requests_of_independent_ones_at_most() -> None:
    world = World(22, sizes=np.ones(20_000), correlation=0.0)
    # One by one they take 6,350: notes of the bounded bets, and 5,058 for a test at one fixed moment.
    needed = [world.found_at(log_e_units_superior, 0.05, effect=0.8) for _ in range(40)]
    assert np.median(needed) <= 3 * 6_350


def test_harm_is_found_in_a_small_share() -> None:
    world = World(23, sizes=np.ones(20_000), correlation=0.1, share=0.05)
    assert np.median([world.found_at(log_e_units_harm, 0.01, effect=2) for _ in range(20)]) <= 20_000


def test_a_smaller_arm_whose_units_vary_more_is_not_taken_for_worse() -> None:
    # The means are equal, but units vary more under the challenger, so they are not the same in either arm.
    random, runs, found = np.random.default_rng(24), 400, 0
    mine = np.arange(BUCKETS) % 100 < 20
    for _ in range(runs):
        score = random.normal(10, np.where(mine, 3, 1))
        units = Units(mine, np.full(BUCKETS, 100.0), score, 0.2, BUCKETS)
        found += log_e_units_harm(units) >= math.log(100)
    assert found <= runs * 0.01 + 2 * math.sqrt(runs * 0.01 * 0.99)
