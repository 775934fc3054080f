"""Shares first: what rests on broken ones concludes nothing, what does not still acts."""

import math

import numpy as np
import pytest

from kingmaker.api import Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.judgement import Judgement, judge
from kingmaker.core.contest.shares import LABELS, REQUESTS, ShareCheck, Shares
from kingmaker.core.counts.process import Arm, DecisionCounts
from kingmaker.core.state import Contest, StageRun
from support.world import START, World, a_model, a_spec, digest

CHAMPION, CHALLENGER = digest("a"), digest("b")
CANARY = StageRun("canary", 2, START, 5, 95)


def an_arm(requests: int, *, labels: int = 0, wrong: int = 0, errors: int = 0) -> Arm:
    answered = requests - errors
    judged = (labels - wrong, *(0,) * 7, wrong)
    return Arm(answered, errors, labels - wrong, wrong, answered, (0, 0, 0, answered, *(0,) * 18), judged)


def judged(champion: Arm, challenger: Arm, run: StageRun = CANARY) -> Judgement:
    totals: Totals = {
        CHAMPION: {run.decision: DecisionCounts(champion)},
        CHALLENGER: {run.decision: DecisionCounts(challenger)},
    }
    return judge(Contest("", "b", CHALLENGER, START, (run,)), CHAMPION, totals, VerdictPolicy())


def verdicts(judgement: Judgement) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in judgement.checks}


@pytest.mark.parametrize(
    ("champion", "challenger", "names"),
    [
        # Labels came later than anybody remembered the champion's answers.
        (an_arm(47_000), an_arm(2_465, labels=2_465, wrong=250), "labels"),
        # The champion's pods were replaced, and with them went what they had counted.
        (an_arm(0), an_arm(50, labels=50, wrong=50), "requests"),
        # The router sends four times as much as it should.
        (an_arm(8_000, labels=8_000, wrong=800), an_arm(2_000, labels=2_000, wrong=200), "requests"),
        # The same where half of all answers are wrong: there are as many events as shares can be told by.
        (an_arm(800, labels=800, wrong=640), an_arm(200, labels=200, wrong=160), "requests"),
    ],
    ids=["late labels", "replaced pods", "router off", "router off, many events"],
)
def test_broken_shares_hold_what_rests_on_them(champion: Arm, challenger: Arm, names: str) -> None:
    judgement = judged(champion, challenger)
    found = verdicts(judgement)
    assert found["moreWrongAnswers"] is Verdict.INCONCLUSIVE
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.shares.broken is not None
    assert judgement.shares.broken.complaint.startswith(f"{names} do not arrive in the designed shares")
    reasons = {check.name: check.note for check in judgement.checks}
    assert names in reasons["moreWrongAnswers"]
    assert names in reasons[judgement.goal.name]


def test_labels_that_are_lost_leave_latency_and_errors_their_say() -> None:
    judgement = judged(an_arm(9_500), an_arm(500, labels=500, wrong=200, errors=100))
    found = verdicts(judgement)
    assert (found["moreWrongAnswers"], found["errors"], found["latency"]) == (
        Verdict.INCONCLUSIVE,
        Verdict.FAIL,
        Verdict.PASS,
    )


def test_a_router_that_is_off_hides_no_errors_and_invents_none() -> None:
    equal = judged(an_arm(8_000, errors=400), an_arm(2_000, errors=100))
    failing = judged(an_arm(8_000, errors=40), an_arm(2_000, errors=600))
    assert (verdicts(equal)["errors"], verdicts(failing)["errors"]) == (Verdict.PASS, Verdict.FAIL)
    assert "whatever the shares" in next(c.rule for c in failing.checks if c.name == "errors")


def test_a_check_that_is_beyond_its_threshold_waits_while_the_shares_are_in_doubt() -> None:
    doubtful = Shares((ShareCheck(Check(REQUESTS, Verdict.PASS, 9, "", log_e=3.0), 3.0),))
    found = Check("any", Verdict.FAIL, 9, "", log_e=6.0, threshold=math.log(100))
    assert doubtful.hold(found, REQUESTS).verdict is Verdict.INCONCLUSIVE
    assert doubtful.hold(found, LABELS) == found
    assert doubtful.hold(found) == found


@pytest.mark.parametrize("wrong", [0.05, 0.5, 0.95])
def test_a_router_off_by_four_rolls_nobody_back_at_equal_rates(wrong: float) -> None:
    random = np.random.default_rng(10_001)
    for _ in range(20):
        arms = {"champion": [0, 0, 0], "challenger": [0, 0, 0]}
        for _ in range(40):
            mine = int(random.binomial(100, 0.2))
            for arm, n in (("champion", 100 - mine), ("challenger", mine)):
                arms[arm][0] += n
                arms[arm][1] += int(random.binomial(n, wrong))
                arms[arm][2] += int(random.binomial(n, 0.01))
            judgement = judged(*(an_arm(n, labels=n, wrong=min(w, n - e), errors=e) if n else Arm()
                                 for n, w, e in arms.values()))  # fmt: skip
            assert judgement.verdict is not Verdict.FAIL


def a_canary(**counts: tuple[int, int]) -> World:
    models = {name: a_model(name, name) for name in "ab"}
    stages = [{"name": "canary", "weight": 5, "minDuration": "10s", "minRequests": 50}]
    challengers = [{"name": "next", "modelRef": {"name": "b"}}]
    world = World(spec=a_spec(challengers=challengers, contest={"stages": stages}), models=models).settle()
    for model, (requests, wrong) in counts.items():
        world.answer(model, requests, wrong=wrong)
    return world.wait(60)


def test_broken_shares_hold_the_traffic_and_the_condition_says_so() -> None:
    world = a_canary(a=(8_000, 800), b=(2_000, 200))
    assert world.weights == {"a": 95, "b": 5}
    condition = world.condition("ContestInProgress")
    assert condition["reason"] == "SplitMismatch"
    assert condition["message"].endswith("requests do not arrive in the designed shares: too many are the challenger's")
    before = world.status
    world.answer("a", 800, wrong=80)
    world.answer("b", 200, wrong=20)
    assert world.wait(60).status == before, "words that stay the same while the counts grow"


def test_a_fixed_split_is_held_likewise() -> None:
    models = {name: a_model(name, name) for name in "ab"}
    challengers = [{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 5}]
    world = World(spec=a_spec(challengers=challengers), models=models).settle()
    world.answer("a", 4_000, wrong=800)
    world.answer("b", 1_000)
    assert world.wait(1).weights == {"a": 95, "b": 5}
    assert world.condition("ContestInProgress")["reason"] == "SplitMismatch"
