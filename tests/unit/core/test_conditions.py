"""The table of conditions: which there are, in which order, and which of two troubles is said."""

import pytest

from kingmaker.api import ConditionType
from kingmaker.api.reasons import DEPLOYMENT_REASONS
from kingmaker.core.conditions import CONDITIONS
from support.world import World, a_model, a_spec


def test_every_condition_is_told_once_and_ready_comes_first() -> None:
    kinds = [kind for kind, _ in CONDITIONS]
    assert kinds[:3] == [ConditionType.READY, ConditionType.STALLED, ConditionType.RECONCILING]
    assert sorted(kinds) == sorted(DEPLOYMENT_REASONS)


@pytest.mark.parametrize(
    ("world", "present", "reason"),
    [
        (World(a_spec("ghost"), {}), "Stalled", "ChampionNotFound"),
        (World(a_spec(), {"a": a_model("a", "a", ready=False)}), "Reconciling", "ChampionNotReady"),
        (World(a_spec(), {"a": a_model("a", "a")}, broken={"a"}), "Reconciling", "Progressing"),
        (World(a_spec(), {"a": a_model("a", "a")}, broken={"a"}, stalled={"a": "no image"}), "Stalled", "PodsFailing"),
        (World(a_spec(), {"a": a_model("a", "a")}, frozen=True), "Reconciling", "RouterPending"),
    ],
    ids=["a person is needed", "work is under way", "pods start", "pods never come up", "routers have not heard"],
)
def test_what_keeps_from_ready_is_said_in_one_of_two_conditions(world: World, present: str, reason: str) -> None:
    world.settle()
    said = {c["type"]: c["reason"] for c in world.status["conditions"]}
    assert said["Ready"] == said[present] == reason
    assert ("Stalled" in said) != ("Reconciling" in said)


def test_the_contest_that_walks_through_the_stages_is_the_one_that_is_shown() -> None:
    fixed = {"name": "try", "modelRef": {"name": "b"}, "shadowPercent": 50}
    models = {name: a_model(name, name) for name in "abc"}
    world = World(a_spec(challengers=[fixed, {"name": "next", "modelRef": {"name": "c"}}]), models).settle()
    assert world.status["contest"]["challenger"] == "c"
    assert world.condition("ContestInProgress")["message"] == "c in stage shadow"
