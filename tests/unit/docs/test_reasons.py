"""What conditions and Decisions say while a deployment lives is what the pages list."""

from datetime import timedelta

import pytest

from kingmaker.api import Reason
from kingmaker.api.conditions import ConditionType
from kingmaker.api.reasons import DECISION_REASONS, DEPLOYMENT_REASONS
from support.world import World, a_model, a_spec

CHALLENGERS = [{"name": "next", "modelRef": {"name": "b"}}]
RETRAINING = {
    "triggers": ["Age"],
    "maxAge": "1h",
    "output": {"uriPrefix": "s3://models/churn/"},
    "template": {"image": "trainer:1"},
    "suspend": True,
}


def a_world(**spec: object) -> World:
    return World(a_spec(**spec), {"a": a_model("a", "a"), "b": a_model("b", "b")})


def contested() -> World:
    world = a_world(challengers=CHALLENGERS).settle()
    world.shadow("a", "b", 200, champion_wrong=20, challenger_wrong=2)
    world.wait(11)
    world.answer("a", 1900, wrong=190)
    world.answer("b", 100, wrong=2)
    return world


def manual() -> World:
    world = a_world(challengers=CHALLENGERS, contest={"promotion": "Manual"}).settle()
    world.shadow("a", "b", 2000, champion_wrong=200, challenger_wrong=2)
    return world


def harmed() -> World:
    world = a_world(challengers=[{**CHALLENGERS[0], "weight": 20}]).settle()
    world.answer("a", 1900, wrong=19)
    world.answer("b", 400, wrong=200)
    return world


def late() -> World:
    world = a_world(challengers=CHALLENGERS, contest={"deadline": "1m", "onDeadline": "Pause"}).settle()
    world.now += timedelta(seconds=120)
    return world


def frozen() -> World:
    world = a_world()
    world.frozen = True
    return world


WORLDS = {
    "without models": lambda: World(a_spec(), {}),
    "unverified": lambda: World(a_spec(), {"a": a_model("a", "a", ready=False)}),
    "without pods": lambda: World(a_spec(), {"a": a_model("a", "a")}, broken={"a"}, stalled={"a": "no image"}),
    "routers say nothing": frozen,
    "autoscaled": lambda: a_world(serving={"autoscaling": {"maxReplicas": 4, "targetCPUPercent": 70}}),
    "contested": contested,
    "won": manual,
    "harmed": harmed,
    "late": late,
    "challenger missing": lambda: World(a_spec(challengers=CHALLENGERS), {"a": a_model("a", "a")}),
    "family": lambda: World(
        a_spec(challengers=CHALLENGERS), {"a": a_model("a", "a"), "b": a_model("b", "b", family="fraud")}
    ),
    "too old": lambda: a_world(retraining=RETRAINING).wait(7200),
}


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_said_is_listed(name: str) -> None:
    world = WORLDS[name]()
    for _ in range(6):
        world.wait(11)
        for condition in world.status["conditions"]:
            assert condition["reason"] in DEPLOYMENT_REASONS[ConditionType(condition["type"])], condition
    assert {record["spec"]["reason"] for record in world.records} <= set(DECISION_REASONS)
    assert {one["reason"] for one in world.status["rejected"]} <= set(Reason)
