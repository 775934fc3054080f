"""The sequential tests: exact supermartingale property, error rates under peeking, sample sizes, bad input."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.statistics.sequential import (
    Pairs,
    Split,
    log_e_harm,
    log_e_paired_harm,
    log_e_paired_superior,
    log_e_rate_above,
    log_e_share,
    log_e_superior,
    rate_lower_bound,
    rate_upper_bound,
)

counts = st.integers(min_value=0, max_value=2000)
shares = st.floats(min_value=0.01, max_value=0.99)
ROUNDING = 1e-9


def growth(after: float, before: float) -> float:
    """Factor of E between two values of ln E."""
    return math.exp(after - before)


@given(counts, counts, shares, st.floats(min_value=0.5, max_value=2), st.floats(min_value=1, max_value=20))
def test_evidence_of_a_better_split_never_grows_on_average_under_the_null(
    champion: int, challenger: int, share: float, ratio: float, excess: float
) -> None:
    phi = ratio * excess
    q = share * phi / (1 - share + share * phi)
    now = log_e_superior([Split(champion, challenger, share)], ratio=ratio)
    with_b = log_e_superior([Split(champion, challenger + 1, share)], ratio=ratio)
    with_a = log_e_superior([Split(champion + 1, challenger, share)], ratio=ratio)
    assert q * growth(with_b, now) + (1 - q) * growth(with_a, now) <= 1 + ROUNDING


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


@st.composite
def paired_nulls(draw: st.DrawFn, *, harm: bool) -> tuple[Pairs, float, tuple[float, float, float]]:
    """Counts, a margin and the probabilities of the three outcomes at the border of the null hypothesis."""
    margin = draw(st.floats(min_value=0, max_value=0.5))
    champion_rate = draw(st.floats(min_value=0.01, max_value=0.6))
    slack = draw(st.floats(min_value=0, max_value=1))
    challenger_rate = (1 + margin) * champion_rate
    challenger_rate *= slack if harm else 1 + slack * (1 / challenger_rate - 1)
    lowest = max(0.0, champion_rate + challenger_rate - 1)
    highest = min(champion_rate, challenger_rate)
    both = lowest + draw(st.floats(min_value=0, max_value=1)) * (highest - lowest)
    seen = Pairs(draw(counts), draw(counts), draw(counts))
    return seen, margin, (champion_rate - both, challenger_rate - both, both)


@pytest.mark.parametrize(("test", "harm"), [(log_e_paired_superior, False), (log_e_paired_harm, True)])
def test_paired_evidence_never_grows_on_average_under_the_null(test: Callable[..., float], harm: bool) -> None:
    @given(paired_nulls(harm=harm))
    def check(case: tuple[Pairs, float, tuple[float, float, float]]) -> None:
        seen, margin, probabilities = case
        now = test([seen], margin=margin)
        mean = 1 - sum(probabilities)
        for probability, step in zip(probabilities, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), strict=True):
            after = test([seen, Pairs(*step)], margin=margin)
            mean += probability * growth(after, now)
        assert mean <= 1 + 1e-7

    check()


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


@pytest.mark.parametrize(("test", "seed"), [(log_e_superior, 1), (log_e_harm, 2)])
def test_peeking_at_a_ramp_with_a_moving_base_rate_keeps_the_error_budget(
    test: Callable[[Sequence[Split]], float], seed: int
) -> None:
    random, runs, alpha = np.random.default_rng(seed), 300, 0.05
    rejected = sum(any(test(look) >= -math.log(alpha) for look in ramped_arms(random)) for _ in range(runs))
    assert rejected / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize(
    ("test", "margin", "probabilities"),
    [
        (log_e_paired_superior, 0.0, (0.04, 0.04, 0.06)),
        (log_e_paired_superior, 0.1, (0.04, 0.05, 0.06)),
        (log_e_paired_harm, 0.0, (0.04, 0.04, 0.06)),
        (log_e_paired_harm, 0.1, (0.04, 0.05, 0.06)),
    ],
)
def test_peeking_at_pairs_keeps_the_error_budget(
    test: Callable[..., float], margin: float, probabilities: tuple[float, float, float]
) -> None:
    random, runs, alpha = np.random.default_rng(3), 200, 0.05
    rejected = 0
    for _ in range(runs):
        steps = random.multinomial(100, [*probabilities, 1 - sum(probabilities)], size=40)[:, :3].cumsum(axis=0)
        rejected += any(test([Pairs(*map(int, row))], margin=margin) >= -math.log(alpha) for row in steps)
    assert rejected / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def requests_to_prove(random: np.random.Generator, share: float, champion: float, challenger: float) -> int:
    look = 100
    to_b = random.binomial(look, share, size=1200)
    x_b, x_a = random.binomial(to_b, challenger).cumsum(), random.binomial(look - to_b, champion).cumsum()
    for step in range(len(x_a)):
        if log_e_superior([Split(int(x_a[step]), int(x_b[step]), share)]) >= math.log(20):
            return (step + 1) * look
    return len(x_a) * look


def test_a_better_challenger_is_found_with_the_expected_number_of_requests() -> None:
    random = np.random.default_rng(4)
    needed = [requests_to_prove(random, 0.5, 0.10, 0.08) for _ in range(60)]
    assert 5000 <= np.median(needed) <= 8500


def test_a_shadow_needs_about_as_many_pairs_as_a_test_of_fixed_size() -> None:
    random, needed = np.random.default_rng(5), []
    for _ in range(60):
        steps = random.multinomial(20, [0.05, 0.03, 0.05, 0.87], size=400)[:, :3].cumsum(axis=0)
        proven = (log_e_paired_superior([Pairs(*map(int, row))]) >= math.log(20) for row in steps)
        needed.append(20 * (1 + next((i for i, ok in enumerate(proven) if ok), len(steps))))
    assert 900 <= np.median(needed) <= 1700


def test_an_equal_challenger_is_shown_to_be_no_worse_within_the_margin() -> None:
    equal = [Pairs(champion_only=2500, challenger_only=2500, both=9000)]
    assert log_e_paired_superior(equal, margin=0.1) > math.log(20)
    assert log_e_paired_superior(equal) < 0
    assert log_e_paired_harm(equal, margin=0.1) < 0


def test_the_paired_tests_without_margin_are_the_split_tests_at_one_half() -> None:
    pairs, splits = [Pairs(30, 50, 7), Pairs(5, 1, 0)], [Split(35, 51, 0.5)]
    assert log_e_paired_superior(pairs) == pytest.approx(log_e_superior(splits))
    assert log_e_paired_harm(pairs) == pytest.approx(log_e_harm(splits))


def test_a_broken_split_is_found_and_a_sound_one_is_not() -> None:
    assert log_e_share(5200, 10_000, 0.5) < math.log(1000) < log_e_share(10_600, 20_000, 0.5)
    assert log_e_share(500, 10_000, 0.05) < 0


def test_stages_are_weighed_each_by_its_own_share() -> None:
    # Pooled, the challenger would look better: it got most of its requests while the base rate was low.
    fair = [Split(76, 4, 0.05), Split(100, 100, 0.5)]
    assert log_e_superior(fair) < 0
    assert log_e_harm(fair) < 0


@pytest.mark.parametrize("test", [log_e_superior, log_e_harm])
@pytest.mark.parametrize(
    "split",
    [Split(0, 0, 0.5), Split(10**7, 0, 0.01), Split(0, 10**7, 0.01), Split(10**7, 10**7, 0.99)],
    ids=["nothing", "champion only", "challenger only", "both"],
)
def test_extreme_counts_stay_finite(test: Callable[..., float], split: Split) -> None:
    pair = Pairs(split.champion, split.challenger, 10**7)
    assert math.isfinite(test([split]))
    assert math.isfinite(log_e_paired_superior([pair], margin=0.1))
    assert math.isfinite(log_e_paired_harm([pair], margin=0.1))


def test_nothing_seen_is_no_evidence() -> None:
    for value in (log_e_superior([]), log_e_harm([]), log_e_paired_superior([]), log_e_paired_harm([])):
        assert value == pytest.approx(0)
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
        (lambda: Pairs(0, 0, -2), "both is -2"),
        (lambda: log_e_superior([], ratio=0), "ratio 0 is not a positive number"),
        (lambda: log_e_harm([], ratio=math.inf), "ratio inf"),
        (lambda: log_e_paired_superior([], margin=-0.1), "margin -0.1 is not 0 or more"),
        (lambda: log_e_share(3, 2, 0.5), "3 events in 2 trials"),
        (lambda: log_e_rate_above(1, 2, 0.0), "pass the rate's upper bound"),
        (lambda: rate_lower_bound(1, 2, 1.0), "alpha 1.0 is not strictly between 0 and 1"),
    ],
)
def test_what_cannot_be_weighed_is_refused_with_a_sentence(attempt: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        attempt()
