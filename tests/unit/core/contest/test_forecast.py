"""How long a contest takes yet: against contests that are played, and in words that stay."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from kingmaker.api import Goal, Verdict
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.forecast import Forecast, forecast
from kingmaker.core.contest.judgement import Judgement, judge
from kingmaker.core.contest.steps import ContestPolicy
from kingmaker.core.contest.steps import Stage as Step
from kingmaker.core.counts.process import Arm, DecisionCounts
from kingmaker.core.state import Contest, StageRun
from support.world import START, World, a_model, a_spec, digest

CHAMPION, CHALLENGER = digest("a"), digest("b")
HALF = ContestPolicy((Step("half", weight=50),))
CONTEST = Contest("", "b", CHALLENGER, START, (StageRun("half", 2, START, 50, 50),))
RULES = VerdictPolicy(stages=1)


def an_arm(n: int, wrong: int) -> Arm:
    return Arm(answered=n, rows=n, judged=(n - wrong, *(0,) * 7, wrong))


def judged(n: int, champion: int, challenger: int, rules: VerdictPolicy = RULES) -> Judgement:
    totals: Totals = {
        CHAMPION: {2: DecisionCounts(an_arm(n, champion))},
        CHALLENGER: {2: DecisionCounts(an_arm(n, challenger))},
    }
    return judge(CONTEST, CHAMPION, totals, rules)


def played(random: np.random.Generator, rate: float, rules: VerdictPolicy, factor: float = 1.0) -> int:
    """Requests of both arms until the goal is shown."""
    counts = np.zeros(2, int)
    for n in range(250, 200_000, 250):
        counts += random.binomial(250, (rate, rate * factor))
        if judged(n, *counts.tolist(), rules).verdict is Verdict.PASS:
            return 2 * n
    return 400_000


@pytest.mark.parametrize(
    ("rate", "rules", "factor"),
    [(0.3, RULES, 1.0), (0.2, replace(RULES, goal=Goal.SUPERIOR), 0.8)],
    ids=["no worse", "better"],
)
def test_it_is_about_what_contests_take(rate: float, rules: VerdictPolicy, factor: float) -> None:
    random = np.random.default_rng(10_015)
    taken = float(np.median([played(random, rate, rules, factor) for _ in range(9)]))
    judgement = judged(1_000, round(1_000 * rate), round(1_000 * rate * factor), rules)
    found = forecast(CONTEST, judgement, rules, HALF, START + timedelta(hours=2))
    assert found is not None
    assert found.remaining is not None
    requests = 2_000 + found.remaining / timedelta(hours=1) * 1_000
    assert taken / 2 < requests < taken * 2


def test_low_error_rates_are_said_not_to_end_in_time() -> None:
    rules = replace(RULES, absolute_margin=0.0)
    rare = forecast(CONTEST, judged(10_000, 20, 20, rules), rules, HALF, START + timedelta(hours=20))
    assert rare is not None
    assert not rare.is_in_time
    never = forecast(CONTEST, judged(10_000, 0, 0, rules), rules, HALF, START + timedelta(hours=20))
    assert never == Forecast(None, timedelta(days=14, hours=-20))
    by_points = replace(rules, absolute_margin=0.01)
    soon = forecast(CONTEST, judged(10_000, 20, 20, by_points), by_points, HALF, START + timedelta(hours=20))
    assert soon is not None
    assert soon.is_in_time


def test_nothing_is_foreseen_of_nothing() -> None:
    later = START + timedelta(hours=1)
    assert forecast(CONTEST, judged(20, 2, 2), RULES, HALF, later) is None
    assert forecast(CONTEST, judged(200, 20, 20), RULES, HALF, START) is None
    shadow = ContestPolicy((Step("shadow", shadow_percent=100),))
    assert forecast(CONTEST, judged(200, 20, 20), RULES, shadow, later) is None


def test_words_stay_while_they_are_about_right() -> None:
    deadline = timedelta(days=14)
    said = Forecast(timedelta(hours=23), deadline).words("")
    assert said == "about a day at the present traffic and label rate"
    assert Forecast(timedelta(hours=30), deadline).words(said) == said
    assert Forecast(timedelta(hours=7), deadline).words(said) == said
    assert "three days" in Forecast(timedelta(hours=40), deadline).words(said)
    assert "eight hours" in Forecast(timedelta(hours=5), deadline).words(said)
    assert "after the deadline" in Forecast(timedelta(days=40), deadline).words("")
    assert "never" in Forecast(None, deadline).words("")


def test_status_and_gauges_tell_it() -> None:
    stages = [{"name": "half", "weight": 50, "minDuration": "1s", "minRequests": 10}]
    models = {name: a_model(name, name) for name in "ab"}
    challengers = [{"name": "next", "modelRef": {"name": "b"}}]
    contest = {"stages": stages, "deadline": "14d"}
    world = World(spec=a_spec(challengers=challengers, contest=contest), models=models).settle()
    for model in "ab":
        world.answer(model, 500, wrong=50)
    world.wait(3600)
    assert "at the present traffic and label rate" in world.status["contest"]["message"]
    assert world.step().gauges.remaining["b"] > 0
