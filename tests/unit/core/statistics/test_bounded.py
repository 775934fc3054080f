"""Bets on one bounded score per request: exact supermartingales, error rates with peeking, algebra, bad input."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kingmaker.core.statistics.bounded import (
    Hits,
    ScoredPairs,
    ScoredSplit,
    Scores,
    difference_bounds,
    log_e_below,
    log_e_no_worse,
    log_e_no_worse_each,
    log_e_paired_no_worse,
    log_e_paired_no_worse_each,
    log_e_paired_worse,
    log_e_paired_worse_each,
    log_e_rate_no_worse,
    log_e_rate_worse,
    log_e_worse,
    log_e_worse_each,
)

ALPHA, ENOUGH = 0.05, math.log(20)
ROUNDING = 1e-9
losses = st.floats(min_value=0, max_value=1)
counts = st.integers(min_value=0, max_value=500)
cells = st.lists(st.tuples(losses, st.sampled_from([0.0, 1.0]), counts), max_size=4)
shares = st.floats(min_value=0.02, max_value=0.98)
ratios = st.floats(min_value=0.5, max_value=2)
margins = st.floats(min_value=-0.3, max_value=0.5)

Cells = list[tuple[float, float, int]]


def split(champion: Sequence[tuple[float, float, int]], challenger: Sequence[tuple[float, float, int]], share: float):
    return ScoredSplit(Scores.of(champion), Scores.of(challenger), share)


@given(cells, cells, shares, ratios, margins, losses, losses)
@pytest.mark.parametrize("harm", [False, True])
def test_one_more_request_never_makes_evidence_grow_on_average_at_the_border(
    harm: bool, champion: Cells, challenger: Cells, share: float, ratio: float, margin: float, theirs: float, x: float
) -> None:
    mine = ratio * theirs + margin
    # At the border, or on the side of the null hypothesis.
    mine = mine * (x if harm else 1) + (0 if harm else x * (1 - mine))
    assume(0 <= mine <= 1)
    assume(mine <= ratio * theirs + margin if harm else mine >= ratio * theirs + margin)
    test = log_e_worse if harm else log_e_no_worse
    now = test([split(champion, challenger, share)], ratio=ratio, margin=margin)
    to_champion = test([split([*champion, (theirs, 1, 1)], challenger, share)], ratio=ratio, margin=margin)
    to_challenger = test([split(champion, [*challenger, (mine, 1, 1)], share)], ratio=ratio, margin=margin)
    grown = (1 - share) * math.exp(to_champion - now) + share * math.exp(to_challenger - now)
    assert grown <= 1 + ROUNDING


pair_cells = st.lists(st.tuples(losses, losses, st.sampled_from([0.0, 1.0]), counts), max_size=4)


@given(pair_cells, ratios, margins, losses, losses)
@pytest.mark.parametrize("harm", [False, True])
def test_one_more_pair_never_makes_evidence_grow_on_average_at_the_border(
    harm: bool, pairs: list[tuple[float, float, float, int]], ratio: float, margin: float, theirs: float, part: float
) -> None:
    # A pair of losses of 0 and 1, the challenger's as likely as the border has it, wherever the champion is wrong.
    wrong = ratio * theirs + margin
    assume(0 <= wrong <= 1)
    low, high = max(0.0, theirs + wrong - 1), min(theirs, wrong)
    both = low + part * (high - low)
    odds = {(1, 1): both, (1, 0): theirs - both, (0, 1): wrong - both, (0, 0): 1 - theirs - wrong + both}
    test = log_e_paired_worse if harm else log_e_paired_no_worse
    now = test([ScoredPairs.of(pairs)], ratio=ratio, margin=margin)
    grown = sum(
        p * math.exp(test([ScoredPairs.of([*pairs, (a, b, 1, 1)])], ratio=ratio, margin=margin) - now)
        for (a, b), p in odds.items()
    )
    assert grown <= 1 + 1e-7


@given(cells, st.floats(min_value=0, max_value=1), losses)
def test_evidence_below_a_bound_never_grows_on_average_above_it(seen: Cells, limit: float, above: float) -> None:
    loss = limit + above * (1 - limit)
    now = log_e_below([Scores.of(seen)], limit)
    assert log_e_below([Scores.of(seen), Scores.of([(loss, 1, 1)])], limit) <= now + ROUNDING


@given(cells, cells, shares)
def test_empty_cells_and_the_order_of_stages_change_nothing(champion: Cells, challenger: Cells, share: float) -> None:
    one, two = split(champion, challenger, share), split(challenger, champion, 0.5)
    padded = split([*champion, (0.3, 1, 0)], [(0.7, 0, 0), *challenger], share)
    for test in (log_e_no_worse, log_e_worse):
        assert test([one, two]) == pytest.approx(test([two, one]), abs=1e-9)
        assert test([padded, two]) == pytest.approx(test([one, two]), abs=1e-9)
        assert test([]) == 0.0


@given(cells, cells, shares, st.integers(min_value=2, max_value=5))
def test_more_of_the_same_evidence_only_strengthens_it(
    champion: Cells, challenger: Cells, share: float, times: int
) -> None:
    def often(found: Cells) -> Cells:
        return [(loss, unit, times * n) for loss, unit, n in found]

    for test in (log_e_no_worse, log_e_worse):
        once = test([split(champion, challenger, share)])
        assert test([split(often(champion), often(challenger), share)]) >= times * once - 1e-7 * (1 + abs(once))
    lower, upper = difference_bounds([split(champion, challenger, share)], alpha=ALPHA)
    nearer = difference_bounds([split(often(champion), often(challenger), share)], alpha=ALPHA)
    assert nearer[1] - nearer[0] <= upper - lower + 1e-6


def by_fractions(champion: Cells, challenger: Cells, share: Fraction, ratio: Fraction, margin: Fraction) -> float:
    """The same in exact arithmetic, one request after another."""
    bets = [Fraction(float(b)) for b in np.geomspace(0.005, 0.9, 24)]
    near = [math.exp(-0.5 * (math.log(bet / 0.1) / 0.8) ** 2) for bet in bets]
    wealth = [Fraction(0.9 * weight / sum(near)) for weight in near]
    wealth[-1] += Fraction(0.1)
    gains = [ratio * Fraction(y) / (1 - share) + margin * Fraction(u) for y, u, n in champion for _ in range(n)]
    gains += [margin * Fraction(u) - Fraction(y) / share for y, u, n in challenger for _ in range(n)]
    for gain in gains:
        wealth = [w * (1 + bet * share * gain) for w, bet in zip(wealth, bets, strict=True)]
    return math.log(sum(wealth))


def test_it_agrees_with_exact_arithmetic_request_by_request() -> None:
    champion, challenger = [(1.0, 1.0, 6), (0.25, 1.0, 3), (0.0, 0.0, 9)], [(0.5, 1.0, 2), (0.0, 1.0, 11)]
    for ratio, margin in ((1.0, 0.0), (1.25, 0.03125)):
        found = log_e_no_worse([split(champion, challenger, 0.25)], ratio=ratio, margin=margin)
        exact = by_fractions(champion, challenger, Fraction(1, 4), Fraction(ratio), Fraction(margin))
        assert found == pytest.approx(exact, rel=1e-12)


def requests_to_prove(random: np.random.Generator, share: float, champion: float, challenger: float) -> int:
    look = 100
    to_b = random.binomial(look, share, size=1200)
    x_b, x_a = random.binomial(to_b, challenger).cumsum(), random.binomial(look - to_b, champion).cumsum()
    n_b = to_b.cumsum()
    for step, (a, b, n) in enumerate(zip(x_a.tolist(), x_b.tolist(), n_b.tolist(), strict=True), start=1):
        arms = [(1, 1, a), (0, 1, step * look - n - a)], [(1, 1, b), (0, 1, n - b)]
        if log_e_no_worse([split(*arms, share)]) >= ENOUGH:
            return step * look
    return len(x_a) * look


def test_a_better_challenger_is_found_with_the_expected_number_of_requests() -> None:
    """A test of fixed size needs 5,058 for the same power."""
    random = np.random.default_rng(10_008)
    needed = [requests_to_prove(random, 0.5, 0.10, 0.08) for _ in range(40)]
    assert 4500 <= np.median(needed) <= 8000


def test_a_shadow_needs_about_as_many_pairs_as_a_test_of_fixed_size() -> None:
    random, needed = np.random.default_rng(10_009), []
    for _ in range(40):
        steps = random.multinomial(20, [0.05, 0.03, 0.05, 0.87], size=400)[:, :3].cumsum(axis=0)
        pairs = (ScoredPairs.of([(1, 0, 1, a), (0, 1, 1, b), (1, 1, 1, c)]) for a, b, c in steps.tolist())
        needed.append(20 * next((i for i, p in enumerate(pairs, 1) if log_e_paired_no_worse([p]) >= ENOUGH), 400))
    assert 900 <= np.median(needed) <= 1700


def requests(random: np.random.Generator, n: int, rate: float, rows: int, correlation: float) -> np.ndarray:
    """Shares of wrong rows per request, in eighths: rows of one request are alike (beta-binomial)."""
    spread = (1 - correlation) / correlation
    own = random.beta(rate * spread, (1 - rate) * spread, n)
    wrong = random.binomial(rows, own)
    exact = 8 * wrong / rows
    return np.floor(exact + random.uniform(size=n)).astype(int)


def looks(random: np.random.Generator, rates: tuple[float, float], share: float) -> list[ScoredSplit]:
    """Twenty looks at requests of 20 rows with a correlation of .3."""
    found, champion, challenger = [], np.zeros(9, int), np.zeros(9, int)
    for _ in range(20):
        mine = random.binomial(400, share)
        challenger = challenger + np.bincount(requests(random, mine, rates[1], 20, 0.3), minlength=9)
        champion = champion + np.bincount(requests(random, 400 - mine, rates[0], 20, 0.3), minlength=9)
        cells = [[(i / 8, 1, int(n)) for i, n in enumerate(arm)] for arm in (champion, challenger)]
        found.append(split(*cells, share))
    return found


@pytest.mark.parametrize(
    ("test", "ratio", "seed"),
    [(log_e_no_worse, 1.0, 10_001), (log_e_no_worse, 1.1, 10_002), (log_e_worse, 1.0, 10_003)],
)
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_peeking_at_requests_of_many_alike_rows_keeps_the_error_budget(
    test: Callable[..., float], ratio: float, seed: int, share: float
) -> None:
    random, runs = np.random.default_rng(seed), 120
    rates = (0.1, 0.1 * ratio)
    rejected = sum(
        any(test([look], ratio=ratio) >= ENOUGH for look in looks(random, rates, share)) for _ in range(runs)
    )
    assert rejected / runs <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_what_is_better_is_found_among_requests_of_many_alike_rows() -> None:
    random = np.random.default_rng(10_004)
    found = [log_e_no_worse([looks(random, (0.1, 0.07), 0.5)[-1]]) >= ENOUGH for _ in range(20)]
    assert sum(found) >= 18


def test_two_that_never_err_are_told_apart_from_nobody_by_an_absolute_margin() -> None:
    clean = split([(0, 1, 1_000_000)], [(0, 1, 1_000_000)], 0.5)
    assert log_e_no_worse([clean]) == pytest.approx(0, abs=1e-9)
    assert log_e_no_worse([clean], margin=0.0001) > ENOUGH
    assert log_e_worse([clean], margin=0.0001) < 0


def test_several_scores_at_once_are_each_weighed_alone() -> None:
    columns = np.array([[5, 0, 30], [95, 100, 70]], dtype=float)
    other = np.array([[9, 1, 2], [91, 99, 98]], dtype=float)
    loss, unit = np.array([1.0, 0.0]), np.ones(2)
    together = [ScoredSplit(Scores(loss, unit, other), Scores(loss, unit, columns), 0.3)]
    apart = [
        [ScoredSplit(Scores(loss, unit, o), Scores(loss, unit, c), 0.3)]
        for o, c in zip(other.T, columns.T, strict=True)
    ]
    for each, alone in ((log_e_no_worse_each, log_e_no_worse), (log_e_worse_each, log_e_worse)):
        assert list(each(together, margin=0.05)) == pytest.approx([alone(s, margin=0.05) for s in apart])
    pairs = [ScoredPairs(loss, loss[::-1], unit, columns)]
    lone = [[ScoredPairs(loss, loss[::-1], unit, c)] for c in columns.T]
    assert list(log_e_paired_no_worse_each(pairs)) == pytest.approx([log_e_paired_no_worse(p) for p in lone])
    assert list(log_e_paired_worse_each(pairs)) == pytest.approx([log_e_paired_worse(p) for p in lone])


def test_the_difference_lies_between_its_bounds_at_every_look() -> None:
    random, runs, missed = np.random.default_rng(10_005), 60, 0
    for _ in range(runs):
        bounds = [difference_bounds([look], alpha=0.1) for look in looks(random, (0.1, 0.12), 0.5)[::4]]
        missed += any(not low <= 0.02 <= high for low, high in bounds)
    assert missed / runs <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / runs)
    low, high = difference_bounds([looks(random, (0.1, 0.3), 0.5)[-1]], alpha=0.05)
    assert 0.1 < low < 0.2 < high < 0.3
    assert difference_bounds([], alpha=0.05) == (-1.0, 1.0)


def test_bounds_of_pairs_are_nearer_than_those_of_a_split() -> None:
    pairs = [ScoredPairs.of([(1, 1, 1, 900), (1, 0, 1, 100), (0, 1, 1, 60), (0, 0, 1, 8940)])]
    low, high = difference_bounds([], pairs, alpha=0.05)
    assert -0.01 < low < -0.004 < high < 0.003


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), ratios)
def test_the_least_product_over_rates_is_no_more_than_any(a: int, b: int, c: int, d: int, ratio: float) -> None:
    champion, challenger = Hits(a, a + b), Hits(c, c + d)
    found = log_e_rate_no_worse(champion, challenger, ratio=ratio)
    odds = np.geomspace(0.2, 0.98, 40)

    def of(hits: Hits, rate: float, odds: np.ndarray) -> float:
        other = odds * rate / (1 - rate + odds * rate)
        ratios = (other / rate) ** hits.events * ((1 - other) / (1 - rate)) ** (hits.trials - hits.events)
        return float(np.log(ratios.mean()))

    for rate in (0.013, 0.1, 0.37, 0.499):
        exact = of(champion, rate, np.geomspace(1.02, 10, 40)) + of(challenger, ratio * rate, odds)
        assert found <= exact + ROUNDING


@pytest.mark.parametrize(("test", "seed"), [(log_e_rate_no_worse, 10_006), (log_e_rate_worse, 10_007)])
def test_peeking_at_rates_whose_trials_the_arms_choose_keeps_the_error_budget(
    test: Callable[[Hits, Hits], float], seed: int
) -> None:
    random, runs, rejected = np.random.default_rng(seed), 150, 0
    for _ in range(runs):
        trials = np.cumsum(random.poisson((50, 20), size=(20, 2)), axis=0)
        events = [np.cumsum(random.binomial(np.diff(trials[:, i], prepend=0), 0.2)) for i in (0, 1)]
        found = (
            test(Hits(int(a), int(m)), Hits(int(b), int(n)))
            for a, m, b, n in zip(events[0], trials[:, 0], events[1], trials[:, 1], strict=True)
        )
        rejected += any(log_e >= ENOUGH for log_e in found)
    assert rejected / runs <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_a_better_rate_is_found() -> None:
    assert log_e_rate_no_worse(Hits(300, 1000), Hits(60, 400)) > ENOUGH
    assert log_e_rate_worse(Hits(60, 400), Hits(300, 1000)) > ENOUGH
    assert log_e_rate_no_worse(Hits(0, 100_000), Hits(0, 100_000), margin=0.001) > ENOUGH
    assert log_e_rate_no_worse(Hits(0, 0), Hits(0, 0)) <= 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scores.of([(1.1, 1, 1)]),
        lambda: Scores.of([(float("nan"), 1, 1)]),
        lambda: Scores.of([(0.5, 1, -1)]),
        lambda: ScoredPairs.of([(0.5, 2, 1, 1)]),
        lambda: split([], [], 1.0),
        lambda: log_e_no_worse([], ratio=0.0),
        lambda: log_e_worse([], margin=float("nan")),
        lambda: difference_bounds([], alpha=0.0),
        lambda: Hits(3, 2),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected|is not|are not"):
        make()
