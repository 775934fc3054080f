"""After a promotion: the old champion goes on with a few requests, and takes over when its successor does worse."""

from datetime import datetime

import numpy as np

from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.judgement import judge
from kingmaker.core.counts.process import Arm, DecisionCounts
from kingmaker.core.state import Contest, StageRun, load_state
from support.world import START, World, a_model, a_spec, digest


def promoted(**contest: object) -> World:
    models = {"a": a_model("a", "a"), "b": a_model("b", "b")}
    challengers = [{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 20}]
    world = World(spec=a_spec(challengers=challengers, contest=contest), models=models).settle()
    world.answer("a", 4000, wrong=600)
    world.answer("b", 1000, wrong=20)
    return world.wait(1)


def test_the_predecessor_stays_beside_its_successor_for_the_window() -> None:
    world = promoted()
    assert world.status["champion"]["name"] == "b"
    assert world.status["previousChampion"]["name"] == "a"
    assert world.weights == {"b": 95, "a": 5}
    assert world.status["traffic"] == "95/5"
    world.wait(50)
    assert ("Deployment", "churn-a") in world.objects
    world.wait(30)
    assert (world.actions[-1], world.last["reason"]) == ("Retire", "RollbackWindowOver")
    assert world.weights == {"b": 100}
    assert ("Deployment", "churn-a") not in world.wait(11).objects
    assert "previousChampion" not in world.status


def test_a_successor_that_answers_worse_is_rolled_back() -> None:
    world = promoted()
    world.answer("b", 1900, wrong=600)
    world.answer("a", 100, wrong=5)
    world.wait(1)
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "WorseThanPredecessor")
    assert world.weights == {"a": 100}
    assert world.status["champion"]["name"] == "a"
    assert "b" in [r["name"] for r in world.status["rejected"]]


def test_a_successor_that_fails_requests_is_rolled_back() -> None:
    world = promoted(rollbackWindow="1h")
    for _ in range(30):
        if world.status["champion"]["name"] == "b":
            world.answer("b", 1900, errors=300)
            world.answer("a", 100)
            world.wait(20)
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "WorseThanPredecessor")


def test_what_gets_harder_for_both_is_not_held_against_the_successor() -> None:
    world = promoted()
    world.answer("b", 19_000, wrong=9_000, errors=1_900)
    world.answer("a", 1_000, wrong=480, errors=100)
    assert world.wait(1).weights == {"b": 95, "a": 5}


def test_a_successor_alone_is_compared_with_nothing() -> None:
    world = promoted(rollbackWeight=0)
    assert world.weights == {"b": 100}
    world.answer("b", 2000, wrong=1500)
    assert world.wait(61).weights == {"b": 100}
    assert "Retire" not in world.actions


def test_nothing_is_rolled_back_after_the_window() -> None:
    world = promoted().wait(61)
    world.answer("b", 500, wrong=400)
    assert world.wait(1).weights == {"b": 100}


def test_nothing_is_rolled_back_to_a_predecessor_without_pods() -> None:
    world = promoted()
    world.broken = {"a"}
    world.answer("b", 1900, wrong=1000)
    world.answer("a", 100, wrong=5)
    assert world.wait(1).weights == {"b": 100}
    assert world.wait(60).actions[-1] == "Retire"


def test_a_predecessor_stands_in_while_the_champion_has_no_pods() -> None:
    world = promoted()
    world.broken = {"b"}
    world.settle()
    assert world.weights == {"a": 100}
    assert world.route is not None
    assert world.route.decision == 0


def test_a_person_who_changes_the_champion_is_not_overruled() -> None:
    world = World(spec=a_spec(), models={"a": a_model("a", "a"), "b": a_model("b", "b")}).settle()
    world.edit(championRef={"name": "b"}).settle()
    assert world.weights == {"b": 100}
    world.answer("b", 500, wrong=500)
    assert world.wait(1).weights == {"b": 100}


def test_the_next_challenger_competes_beside_both() -> None:
    world = promoted(rollbackWindow="1h")
    world.models["c"] = a_model("c", "c")
    world.edit(challengers=[{"name": "c", "modelRef": {"name": "c"}, "weight": 90}]).settle()
    assert world.weights == {"c": 90, "b": 5, "a": 5}, "at most half of what is left"
    world.edit(challengers=[{"name": "c", "modelRef": {"name": "c"}, "weight": 30}]).settle()
    assert world.weights == {"b": 65, "c": 30, "a": 5}
    assert [run.champion_weight for run in world.state.previous.runs] == [5, 5, 5]


def test_states_of_before_are_read() -> None:
    moment = datetime.isoformat(START)
    old = f'{{"previous": {{"name": "a", "digest": "d", "since": "{moment}", "wrong_rate": 0.1, "error_rate": 0.2}}}}'
    previous = load_state(old).previous
    assert previous is not None
    assert (previous.name, previous.weight, previous.runs) == ("a", 0, ())


REIGN = StageRun("reign", 7, START, 95, 5)


def rolled_back(random: np.random.Generator, *, rate: float, factor: float, looks: int, requests: int) -> bool:
    """Whether a reign of as many looks ends in a rollback; `rate` is the old champion's."""
    counts = {"a": np.zeros(2, int), "b": np.zeros(2, int)}
    for _ in range(looks):
        mine = int(random.binomial(requests, 0.95))
        counts["b"] += (mine, random.binomial(mine, rate * factor))
        counts["a"] += (requests - mine, random.binomial(requests - mine, rate))
        totals = {
            digest(name): {7: DecisionCounts(Arm(int(n), rows=int(n), judged=(int(n - wrong), *(0,) * 7, int(wrong))))}
            for name, (n, wrong) in counts.items()
        }
        judgement = judge(Contest("", "b", digest("b"), START, (REIGN,)), digest("a"), totals, VerdictPolicy())
        if judgement.failed(OnFail.ABORT):
            return True
    return False


def test_equal_models_stay_when_everything_is_half_as_hard_again() -> None:
    random = np.random.default_rng(10_013)
    ends = [rolled_back(random, rate=0.15, factor=1.0, looks=20, requests=1_000) for _ in range(100)]
    assert sum(ends) <= 3, "within .01 and two standard errors"


def test_a_successor_that_is_truly_worse_is_found() -> None:
    random = np.random.default_rng(10_014)
    ends = [rolled_back(random, rate=0.10, factor=2.0, looks=20, requests=1_000) for _ in range(20)]
    assert sum(ends) >= 19
