"""Who says how many pods there are, how many a shift needs, and what is said of it."""

from typing import Any

import pytest

from kingmaker.core.contest.assessment import assess_contests
from kingmaker.core.contest.capacity import can_carry
from kingmaker.core.plan import Delete, HandOver, Scale
from kingmaker.core.state import Share
from support.world import World, a_model, a_spec

SCALING = {"minReplicas": 2, "maxReplicas": 10, "targetCPUPercent": 70}
CHALLENGERS = [{"name": "next", "modelRef": {"name": "b"}}]


def a_world(*, challengers: tuple[Any, ...] | list[Any] = (), load: int = 2, **serving: Any) -> World:
    models = {name: a_model(name, name) for name in "abc"}
    spec = a_spec(challengers=list(challengers)) | {"serving": serving or {"autoscaling": SCALING}}
    return World(spec=spec, models=models, load={"a": load})


def in_stage(stage: str, *, load: int = 6) -> World:
    """A contest of b against a, whose load needs `load` pods."""
    world = a_world(challengers=CHALLENGERS, load=load).settle()
    for _ in range(["shadow", "canary", "half"].index(stage)):
        world.shadow("a", "b", 300, champion_wrong=30, challenger_wrong=3)
        world.answer("a", 1900, wrong=190)
        world.answer("b", 100, wrong=2)
        world.wait(11)
    assert world.status["contest"]["stage"] == stage
    return world


def say(world: World, model: str = "a", **conditions: tuple[str, str, str]) -> None:
    """Let a model's autoscaler report: type=(status, reason, message)."""
    found = [{"type": k, "status": s, "reason": r, "message": m} for k, (s, r, m) in conditions.items()]
    world.objects["HorizontalPodAutoscaler", f"churn-{model}"]["status"] = {"conditions": found}  # type: ignore[index]


# Ownership


def test_with_a_fixed_number_the_operator_owns_it_and_there_is_no_autoscaler() -> None:
    world = a_world(replicas=3).settle()
    assert (world.replicas("a"), world.owners_of_replicas("a")) == (3, {"kingmaker"})
    assert ("HorizontalPodAutoscaler", "churn-a") not in world.objects


def test_two_pods_are_the_number_where_none_is_named() -> None:
    assert a_world(maxRequestBytes=4096).settle().replicas("a") == 2


def test_a_new_variant_begins_with_its_floor_and_then_belongs_to_the_autoscaler() -> None:
    world = a_world()
    while ("Deployment", "churn-a") not in world.objects:
        world.step()
    assert world.replicas("a") == 2
    world.settle()
    assert "kingmaker" not in world.owners_of_replicas("a")


def test_handing_over_keeps_every_pod() -> None:
    world = a_world(replicas=7).settle()
    world.load = {}
    world.edit(serving={"autoscaling": SCALING})
    plan = world.step()
    handed = [action for action in plan.actions if isinstance(action, HandOver)]
    assert [(action.replicas, action.uid) for action in handed] == [(7, "uid-Deployment-churn-a")]
    world.settle()
    assert (world.replicas("a"), world.owners_of_replicas("a")) == (7, {"handover"})


@pytest.mark.parametrize("writes", range(8))
def test_a_crash_while_handing_over_keeps_every_pod(writes: int) -> None:
    world = a_world(replicas=7).settle()
    world.load = {}
    world.edit(serving={"autoscaling": SCALING}).step(writes)
    assert world.replicas("a") == 7
    world.settle()
    assert (world.replicas("a"), world.owners_of_replicas("a")) == (7, {"handover"})


def test_taking_it_back_removes_the_autoscaler_before_a_number_is_written() -> None:
    world = a_world(load=6).settle()
    assert world.owners_of_replicas("a") == {"autoscaler"}
    plan = world.edit(serving={"replicas": 3}).step()
    assert [type(action) for action in plan.actions] == [Delete, Scale]
    world.settle()
    assert (world.replicas("a"), world.owners_of_replicas("a")) == (3, {"kingmaker"})


def test_the_same_number_is_taken_back_too() -> None:
    world = a_world(load=6).settle().edit(serving={"replicas": 6}).settle()
    assert "kingmaker" in world.owners_of_replicas("a")


def test_the_operator_does_not_mind_what_the_autoscaler_does() -> None:
    world = a_world().settle()
    world.load["a"] = 9
    world.settle()
    assert (world.replicas("a"), world.condition("Ready")["status"]) == (9, "True")


def test_the_autoscaler_goes_with_its_variant() -> None:
    world = a_world().settle().edit(championRef={"name": "c"}).settle()
    world.wait(200)
    assert ("HorizontalPodAutoscaler", "churn-a") not in world.objects
    assert ("HorizontalPodAutoscaler", "churn-c") in world.objects


# Make before break


@pytest.mark.parametrize(
    ("stage", "floor"), [("shadow", 2), ("canary", 3), ("half", 6)], ids=["to 5 %", "to 50 %", "to the seat"]
)
def test_a_challengers_floor_is_the_next_stages_share_of_the_champions_pods(stage: str, floor: int) -> None:
    assert in_stage(stage).autoscaler("b")["minReplicas"] == floor


def test_a_floor_stays_within_the_bounds() -> None:
    world = in_stage("half", load=30)
    assert world.replicas("a") == 10
    assert world.autoscaler("b")["minReplicas"] == 10


def test_a_stage_waits_for_the_pods_that_its_weight_needs() -> None:
    world = in_stage("canary")
    world.ready["b"] = 2
    world.answer("a", 1900, wrong=190)
    world.answer("b", 100, wrong=2)
    world.wait(11)
    assert world.status["contest"]["stage"] == "canary"
    world.ready["b"] = 3
    assert world.settle().status["contest"]["stage"] == "half"


def test_the_champion_keeps_its_pods_while_a_challenger_answers() -> None:
    world = in_stage("half")
    world.load["a"] = 3
    world.settle()
    assert world.autoscaler("a")["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"
    assert world.replicas("a") == 6
    world.edit(challengers=[]).settle()
    assert world.autoscaler("a")["behavior"]["scaleDown"]["selectPolicy"] == "Max"
    assert world.replicas("a") == 3


def test_after_a_promotion_both_can_take_every_request() -> None:
    world = in_stage("half")
    world.load["b"] = 6
    world.answer("a", 1000, wrong=100)
    world.answer("b", 1000, wrong=20)
    world.wait(11)
    assert world.actions[-1] == "Promote"
    world.load["a"] = 1
    world.settle()
    assert (world.autoscaler("a")["minReplicas"], world.autoscaler("b")["minReplicas"]) == (6, 2)
    assert (world.replicas("a"), world.replicas("b")) == (6, 6)


def test_a_person_may_seat_a_model_once_it_has_as_many_pods_as_the_champion() -> None:
    world = a_world(load=6).settle()
    world.ready["c"] = 5
    world.edit(championRef={"name": "c"}).settle()
    assert world.status["champion"]["name"] == "a"
    world.ready["c"] = 6
    assert world.settle().status["champion"]["name"] == "c"


def test_a_champion_that_grows_does_not_take_a_challengers_weight() -> None:
    world = in_stage("half", load=4)
    world.load["a"] = 8
    world.ready["b"] = 4
    world.settle()
    assert world.weights == {"a": 50, "b": 50}


def test_a_challenger_that_lost_its_pods_loses_its_weight() -> None:
    world = in_stage("half", load=8)
    world.ready["b"] = 1
    world.settle()
    assert world.weights == {"a": 100}


def test_with_a_fixed_number_weights_need_their_share_of_it() -> None:
    world = a_world(replicas=4, challengers=CHALLENGERS).settle()
    contests = assess_contests(world.observed(), world.state, {})
    assert contests.needed_pods("b") == 4
    assert "b" in contests.available
    world.ready["b"] = 1
    observed = world.observed()
    assert "b" not in assess_contests(observed, world.state, {}).available
    assert can_carry(observed, world.state, Share("b", 25))
    assert not can_carry(observed, world.state, Share("b", 26))


# What is said of it


def test_without_autoscaling_nothing_is_said() -> None:
    world = a_world(replicas=2).settle()
    assert not [c for c in world.status["conditions"] if c["type"] == "AutoscalingActive"]


def test_before_the_autoscaler_looked_nothing_is_known() -> None:
    condition = a_world().settle().condition("AutoscalingActive")
    assert (condition["status"], condition["reason"]) == ("Unknown", "AutoscalerPending")


@pytest.mark.parametrize(
    ("scaling", "advice"),
    [(SCALING, "install metrics-server"), ({"maxReplicas": 4, "targetConcurrency": 5}, "kingmaker_requests_in_flight")],
    ids=["CPU", "concurrency"],
)
def test_without_metrics_it_says_what_to_install_and_the_seat_stays_ready(scaling: Any, advice: str) -> None:
    world = a_world(autoscaling=scaling).settle()
    say(world, AbleToScale=("True", "SucceededGetScale", ""), ScalingActive=("False", "FailedGetResourceMetric", "x"))
    condition = world.settle().condition("AutoscalingActive")
    assert (condition["status"], condition["reason"]) == ("False", "MetricsUnavailable")
    assert advice in condition["message"]
    assert world.condition("Ready")["status"] == "True"


def test_messages_that_change_all_the_time_are_not_written() -> None:
    world = a_world().settle()
    for number in range(5):
        able = ("True", ("ReadyForNewScale", "ScaleDownStabilized")[number % 2], f"recommended {number}")
        say(world, AbleToScale=able, ScalingActive=("True", "ValidMetricFound", f"{number}"))
        assert (world.step().status is None) == (number > 0)
    assert world.condition("AutoscalingActive")["reason"] == "FollowingLoad"


def test_an_autoscaler_that_can_not_scale_says_why() -> None:
    world = a_world().settle()
    say(world, AbleToScale=("False", "FailedUpdateScale", "denied"), ScalingActive=("True", "ValidMetricFound", ""))
    condition = world.settle().condition("AutoscalingActive")
    assert (condition["status"], condition["reason"]) == ("False", "ScalingFailed")
    assert "FailedUpdateScale" in condition["message"]


def test_at_the_maximum_it_works_and_says_so() -> None:
    world = a_world(load=30).settle()
    say(world, AbleToScale=("True", "ReadyForNewScale", ""), ScalingActive=("True", "ValidMetricFound", ""))
    condition = world.settle().condition("AutoscalingActive")
    assert (condition["status"], condition["reason"]) == ("True", "AtMaximum")


def test_the_gravest_of_all_variants_is_told() -> None:
    world = in_stage("shadow")
    say(world, "a", ScalingActive=("True", "ValidMetricFound", ""))
    say(world, "b", ScalingActive=("False", "FailedGetResourceMetric", ""))
    condition = world.settle().condition("AutoscalingActive")
    assert condition["reason"] == "MetricsUnavailable"
    assert condition["message"].startswith("b: ")
