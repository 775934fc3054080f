"""Who enters a contest, by name or by label, who is turned away, and who leaves."""

from datetime import UTC, datetime

from support.contestworlds import a_contest, a_world, through_shadow
from support.world import World, a_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_fixed_split_is_given_at_once_and_judged() -> None:
    world = a_world(challengers=[{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 20}]).settle()
    assert world.weights == {"a": 80, "b": 20}
    world.answer("a", 800, wrong=20)
    world.answer("b", 200, wrong=60)
    world.wait(1)
    assert (world.actions[-1], world.weights) == ("Rollback", {"a": 100})


def test_a_fixed_split_that_wins_is_promoted() -> None:
    world = a_world(challengers=[{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 20}]).settle()
    world.answer("a", 4000, wrong=600)
    world.answer("b", 1000, wrong=20)
    assert world.wait(1).weights == {"b": 95, "a": 5}


def test_an_edited_weight_is_followed() -> None:
    world = a_world(challengers=[{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 20}]).settle()
    world.edit(challengers=[{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 40}]).settle()
    assert world.weights == {"a": 60, "b": 40}
    assert world.last["reason"] == "SplitChanged"


def test_a_fixed_shadow_is_watched_and_neither_promoted_nor_dropped() -> None:
    world = a_world(challengers=[{"name": "try", "modelRef": {"name": "b"}, "shadowPercent": 50}]).settle()
    world.shadow("a", "b", 2000, challenger_wrong=400)
    world.wait(1000)
    assert world.actions == ["Deploy", "StartStage"]
    assert world.status["contest"]["verdict"] == "Fail"


def test_a_withdrawn_challenger_leaves() -> None:
    world = through_shadow(a_contest())
    world.edit(challengers=[]).settle()
    assert (world.last["reason"], world.last["actor"]) == ("ChallengerWithdrawn", "Human")
    assert world.weights == {"a": 100}


def test_a_challenger_of_another_family_is_turned_away() -> None:
    world = a_world(challengers=[{"name": "x", "modelRef": {"name": "b"}}])
    world.models["b"] = a_model("b", "b", family="fraud")
    assert world.settle().last["reason"] == "FamilyMismatch"


def test_a_challenger_with_other_inputs_is_turned_away() -> None:
    def signature(name: str) -> dict:
        tensor = {"datatype": "FP32", "shape": [-1, 2]}
        return {"inputs": [{"name": name, **tensor}], "outputs": [{"name": "label", **tensor}]}

    world = a_world(challengers=[{"name": "x", "modelRef": {"name": "b"}}])
    world.models = {"a": a_model("a", "a", signature=signature("x")), "b": a_model("b", "b", signature=signature("y"))}
    assert world.settle().last["reason"] == "SignatureMismatch"


def test_a_challenger_whose_pods_never_come_up_is_turned_away() -> None:
    world = a_world(challengers=[{"name": "x", "modelRef": {"name": "b"}}])
    world.broken, world.stalled, world.crashing = {"b"}, {"b": "too late"}, {"b"}
    assert world.settle().last["reason"] == "ChallengerUnavailable"


def test_a_challenger_without_nodes_or_images_waits_and_is_not_turned_away() -> None:
    world = a_world(challengers=[{"name": "x", "modelRef": {"name": "b"}}])
    world.broken, world.stalled = {"b"}, {"b": "no node has room for its pods"}
    world.settle().wait(600)
    assert (world.actions, world.status["rejected"]) == (["Deploy"], [])
    waiting = world.condition("ContestInProgress")
    assert (waiting["status"], waiting["reason"]) == ("False", "ChallengerUnavailable")
    assert "no node has room" in waiting["message"]
    world.broken, world.stalled = set(), {}
    assert world.settle().status["contest"]["challenger"] == "b"


def test_a_challenger_whose_servers_crash_is_out_without_a_count() -> None:
    world = through_shadow(a_contest())
    world.broken = world.crashing = {"b"}
    world.settle()
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "ChallengerUnavailable")
    assert "keeps failing" in world.last["message"]
    assert world.weights == {"a": 100}


def test_where_all_servers_crash_nobody_is_to_blame() -> None:
    world = through_shadow(a_contest())
    world.broken = world.crashing = {"a", "b"}
    world.settle()
    assert world.actions[-1] == "StartStage"


def test_a_canary_that_loses_its_pods_gives_its_traffic_back_and_proves_nothing() -> None:
    world = through_shadow(a_contest())
    world.broken = {"b"}
    world.settle()
    assert world.weights == {"a": 100}
    assert world.route is not None
    assert world.route.decision == 0
    world.broken = set()
    assert world.settle().weights == {"a": 95, "b": 5}


ENROL = {"selector": {"matchLabels": {"team": "x"}}}


def test_a_selected_model_enters_by_itself() -> None:
    world = a_world(enrol=ENROL).settle()
    assert world.status["contest"]["challenger"] == "b"
    assert world.last["reason"] == "ChallengerEnrolled"


def two_enrolled(rule: str) -> World:
    world = a_world(enrol=ENROL | {"onNewChallenger": rule}).settle()
    world.models["c"] = a_model("c", "c", labels={"team": "x"}, created="2026-01-02T00:00:00Z")
    return world.settle()


def test_a_newer_model_queues() -> None:
    world = two_enrolled("Queue")
    assert (world.status["contest"]["challenger"], world.status["queue"]) == ("b", ["c"])


def test_a_newer_model_replaces_when_asked_to() -> None:
    world = two_enrolled("Replace")
    assert world.status["contest"]["challenger"] == "c"
    assert "ChallengerReplaced" in [r["spec"]["reason"] for r in world.records]


def test_a_newer_model_is_turned_away_when_asked_to() -> None:
    world = two_enrolled("Reject")
    assert world.status["contest"]["challenger"] == "b"
    assert world.last["reason"] == "ContestRunning"


def test_a_model_that_is_no_longer_selected_leaves() -> None:
    world = a_world(enrol=ENROL).settle()
    world.models["b"] = a_model("b", "b", labels={})
    assert world.settle().last["reason"] == "ChallengerWithdrawn"
