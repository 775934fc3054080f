"""The sequential tests: exact supermartingale property, error rates under peeking, sample sizes, bad input."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.statistics.sequential import (
    Split,
    log_e_harm,
    log_e_rate_above,
    log_e_share,
    rate_lower_bound,
    rate_upper_bound,
)

counts = st.integers(min_value=0, max_value=2000)
shares = st.floats(min_value=0.01, max_value=0.99)
ROUNDING = 1e-9


def growth(after: float, before: float) -> float:
    """Factor of E between two values of ln E."""
    return math.exp(after - before)


@given(counts, counts, shares, st.floats(min_value=0.5, max_value=2), st.floats(min_value=0.05, max_value=1))
def test_evidence_of_harm_never_grows_on_average_under_the_null(
    champion: int, challenger: int, share: float, ratio: float, excess: float
) -> None:
    phi = ratio * excess
    q = share * phi / (1 - share + share * phi)
    now = log_e_harm([Split(champion, challenger, share)], ratio=ratio)
    with_b = log_e_harm([Split(champion, challenger + 1, share)], ratio=ratio)
    with_a = log_e_harm([Split(champion + 1, challenger, share)], ratio=ratio)
    assert q * growth(with_b, now) + (1 - q) * growth(with_a, now) <= 1 + ROUNDING


@given(counts, counts, shares)
def test_evidence_about_a_share_is_a_martingale(challenger: int, champion: int, share: float) -> None:
    total = challenger + champion
    now = log_e_share(challenger, total, share)
    with_b, with_a = log_e_share(challenger + 1, total + 1, share), log_e_share(challenger, total + 1, share)
    assert share * growth(with_b, now) + (1 - share) * growth(with_a, now) == pytest.approx(1, abs=1e-6)


@given(counts, counts, st.floats(min_value=1e-4, max_value=0.99), st.floats(min_value=0, max_value=1))
def test_evidence_of_a_higher_rate_never_grows_on_average_under_the_null(
    events: int, others: int, rate: float, part: float
) -> None:
    truth, trials = part * rate, events + others
    now = log_e_rate_above(events, trials, rate)
    hit, miss = log_e_rate_above(events + 1, trials + 1, rate), log_e_rate_above(events, trials + 1, rate)
    assert truth * growth(hit, now) + (1 - truth) * growth(miss, now) <= 1 + ROUNDING


def ramped_arms(random: np.random.Generator) -> list[list[Split]]:
    """Splits at every look: ramp 5, 25, 50 %, base rate drifting from 8 to 14 % with a day's season, no difference."""
    looks: list[list[Split]] = []
    done: list[Split] = []
    for stage, share in enumerate((0.05, 0.25, 0.5)):
        champion = challenger = 0
        for step in range(10):
            time = (stage * 10 + step) / 30
            rate = 0.08 + 0.06 * time + 0.02 * math.sin(12 * math.pi * time)
            to_challenger = int(random.binomial(700, share))
            challenger += int(random.binomial(to_challenger, rate))
            champion += int(random.binomial(700 - to_challenger, rate))
            looks.append([*done, Split(champion, challenger, share)])
        done.append(Split(champion, challenger, share))
    return looks


@pytest.mark.parametrize(("test", "seed"), [(log_e_harm, 2)])
def test_peeking_at_a_ramp_with_a_moving_base_rate_keeps_the_error_budget(
    test: Callable[[Sequence[Split]], float], seed: int
) -> None:
    random, runs, alpha = np.random.default_rng(seed), 300, 0.05
    rejected = sum(any(test(look) >= -math.log(alpha) for look in ramped_arms(random)) for _ in range(runs))
    assert rejected / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_broken_split_is_found_and_a_sound_one_is_not() -> None:
    assert log_e_share(5200, 10_000, 0.5) < math.log(1000) < log_e_share(10_600, 20_000, 0.5)
    assert log_e_share(500, 10_000, 0.05) < 0


def test_stages_are_weighed_each_by_its_own_share() -> None:
    # Pooled, the challenger would look better: it got most of its requests while the base rate was low.
    fair = [Split(76, 4, 0.05), Split(100, 100, 0.5)]
    assert log_e_harm(fair) < 0


@pytest.mark.parametrize(
    "split",
    [Split(0, 0, 0.5), Split(10**7, 0, 0.01), Split(0, 10**7, 0.01), Split(10**7, 10**7, 0.99)],
    ids=["nothing", "champion only", "challenger only", "both"],
)
def test_extreme_counts_stay_finite(split: Split) -> None:
    assert math.isfinite(log_e_harm([split]))


def test_nothing_seen_is_no_evidence() -> None:
    assert log_e_harm([]) == pytest.approx(0)
    assert log_e_share(0, 0, 0.3) == pytest.approx(0)
    assert log_e_rate_above(0, 0, 0.3) == pytest.approx(0)


@pytest.mark.parametrize(("events", "trials"), [(0, 10**7), (10**7, 10**7), (1, 10**7), (10**7 - 1, 10**7)])
def test_rates_of_extreme_counts_stay_finite(events: int, trials: int) -> None:
    low, high = rate_lower_bound(events, trials, 0.01), rate_upper_bound(events, trials, 0.01)
    assert 0 <= low <= events / trials <= high <= 1
    assert math.isfinite(log_e_rate_above(events, trials, 1e-9))
    assert math.isfinite(log_e_share(events, trials, 0.001))


def test_without_data_every_rate_is_possible() -> None:
    assert (rate_lower_bound(0, 0, 0.05), rate_upper_bound(0, 0, 0.05)) == (0, 1)


def test_bounds_of_a_rate_hold_at_all_looks_at_once() -> None:
    random, runs, alpha, rate = np.random.default_rng(6), 300, 0.1, 0.07
    missed = 0
    for _ in range(runs):
        events = random.binomial(25, rate, size=40).cumsum()
        bounds = (
            (rate_lower_bound(int(x), 25 * (i + 1), alpha), rate_upper_bound(int(x), 25 * (i + 1), alpha))
            for i, x in enumerate(events)
        )
        missed += any(not low <= rate <= high for low, high in bounds)
    assert missed / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


@given(st.integers(min_value=0, max_value=500), st.integers(min_value=0, max_value=500))
def test_a_smaller_error_budget_gives_wider_bounds(events: int, others: int) -> None:
    trials = events + others
    assert rate_lower_bound(events, trials, 0.001) <= rate_lower_bound(events, trials, 0.1)
    assert rate_upper_bound(events, trials, 0.001) >= rate_upper_bound(events, trials, 0.1)


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (lambda: Split(1, 1, 0.0), "share 0.0 is not strictly between 0 and 1"),
        (lambda: Split(1, 1, 1.0), "one arm that gets everything compares nothing"),
        (lambda: Split(1, 1, math.nan), "share nan"),
        (lambda: Split(-1, 1, 0.5), "champion is -1; counts are never negative"),
        (lambda: log_e_harm([], ratio=0), "ratio 0 is not a positive number"),
        (lambda: log_e_harm([], ratio=math.inf), "ratio inf"),
        (lambda: log_e_share(3, 2, 0.5), "3 events in 2 trials"),
        (lambda: log_e_rate_above(1, 2, 0.0), "pass the rate's upper bound"),
        (lambda: rate_lower_bound(1, 2, 1.0), "alpha 1.0 is not strictly between 0 and 1"),
    ],
)
def test_what_cannot_be_weighed_is_refused_with_a_sentence(attempt: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        attempt()
