"""Champions that crept: what each promotion leaves behind, and what it takes from the next margin."""

from datetime import timedelta

import pytest

from kingmaker.api import Goal, Verdict
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.creep import crept, succeed
from kingmaker.core.state import SUCCESSIONS_LIMIT, State, Succession, dump_state, load_state
from support.contests import an_arm, judged
from support.world import START

YEAR = timedelta(days=365)


def after(*ratios: float, measure: str = "wrongAnswers") -> tuple[Succession, ...]:
    return tuple(Succession(START + timedelta(days=n), measure, ratio) for n, ratio in enumerate(ratios))


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [((), 1.0), ((1.05,), 1.05), ((1.05, 1.04), 1.092), ((1.05, 0.9), 1.0), ((0.9, 1.05), 1.05), ((1.1, 0.95), 1.045)],
)
def test_the_present_champion_is_held_against_the_best_one(ratios: tuple[float, ...], expected: float) -> None:
    assert crept(after(*ratios), "wrongAnswers", START + timedelta(days=30)) == pytest.approx(expected)


def test_what_is_older_than_a_year_or_of_another_measure_is_forgotten() -> None:
    assert crept(after(1.05, 1.05), "wrongAnswers", START + YEAR + timedelta(hours=1)) == pytest.approx(1.05)
    assert crept((*after(1.5), *after(1.05, measure="cost")), "cost", START) == pytest.approx(1.05)
    assert crept(after(1.05, measure="cost"), "wrongAnswers", START) == 1.0


def test_a_promotion_leaves_behind_how_the_two_compared_in_the_last_stage() -> None:
    first = an_arm({("0", "1"): 500, ("0", "0"): 500}), an_arm({("0", "1"): 100, ("0", "0"): 900})
    last = an_arm({("0", "1"): 1_000, ("0", "0"): 9_000}), an_arm({("0", "1"): 1_050, ("0", "0"): 8_950})
    (left,) = succeed((), judged(first, last), VerdictPolicy(absolute_margin=0.0), START)
    assert left == Succession(START, "wrongAnswers", 1.05)
    clean = an_arm({("0", "0"): 5_000})
    (left,) = succeed((), judged((clean, clean)), VerdictPolicy(), START)
    assert left.ratio == 1.0


def test_the_memory_is_bounded_and_survives_its_text() -> None:
    arms = an_arm({("0", "1"): 10, ("0", "0"): 90}), an_arm({("0", "1"): 10, ("0", "0"): 90})
    found = after(*[1.01] * 80)
    left = succeed(found, judged(arms), VerdictPolicy(), START + timedelta(days=100))
    assert len(left) == SUCCESSIONS_LIMIT
    assert load_state(dump_state(State(successions=left))).successions == left


def test_a_champion_of_long_ago_is_no_bar_for_who_is_better() -> None:
    policy = VerdictPolicy(goal=Goal.SUPERIOR, creep=3.0)
    arms = an_arm({("0", "1"): 300, ("0", "0"): 2_700}), an_arm({("0", "1"): 200, ("0", "0"): 2_800})
    assert judged(arms, policy=policy).verdict is Verdict.PASS
