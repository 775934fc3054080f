"""From drift to a new champion: when a run begins, what may stop it, and what becomes of it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from kingmaker.api import DriftState, Model
from kingmaker.api.retraining import MOST_RUNS
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.findings import Evidence
from kingmaker.core.retraining.result import InvalidResultError, parse_result
from support.references import START
from support.world import World, a_model, a_spec, digest


def seen(*drifted: bool) -> tuple[Evidence, ...]:
    return (Evidence(timedelta(hours=1), START, drifted),)


DRIFT = DataMonitor(evidence=seen(True, True), state=DriftState.DRIFT, features=("age", "income"), window="1h")
QUIET = DataMonitor(evidence=seen(False, False), state=DriftState.NONE)
RETRAINING = {
    "output": {"uriPrefix": "file:///out"},
    "template": {"image": "trainer", "command": ["train"]},
    "persistence": {"of": 2, "needed": 2},
    "cooldown": "1h",
    "budget": {"runs": 2, "per": "30d"},
}
JOB = "churn-retrain-1"


def a_world(**retraining) -> World:
    world = World(spec=a_spec(retraining=RETRAINING | retraining), models={"a": a_model("a", "a")})
    return world.settle()


def drifting(**retraining) -> World:
    world = a_world(**retraining)
    world.watch = DRIFT
    return world.settle()


def result(letter: str = "d", job: str = JOB) -> str:
    file = {"uri": f"file:///out/uid-churn/{job}/model.onnx", "digest": digest(letter)}
    return json.dumps({"artifact": file, "metrics": [{"name": "accuracy", "value": "0.9", "dataset": "holdout"}]})


def finish(world: World, message: str, *, failed: bool = False) -> World:
    name = next(reversed(world.jobs))
    world.jobs[name] = replace(world.jobs[name], succeeded=not failed, failed=failed, message=message)
    return world.settle()


def produced(world: World) -> str:
    return next(name for name in world.models if name not in ("a", "b"))


def verify(world: World, *, refused: bool = False) -> World:
    name = produced(world)
    kind = "Stalled" if refused else "Ready"
    stamp = "2026-01-01T00:00:00Z"
    condition = {"type": kind, "status": "True", "reason": "X", "message": "bad file", "lastTransitionTime": stamp}
    body = world.models[name].manifest() | {"status": {"conditions": [condition]}}
    world.models[name] = Model.parse(body)
    return world.settle()


def test_persistent_drift_starts_exactly_one_job() -> None:
    world = drifting()
    assert world.actions == ["Deploy", "Retrain"]
    assert list(world.jobs) == [JOB]
    assert world.last["reason"] == "DriftPersisted"
    assert "age" in world.last["message"]
    world.wait(10_000)
    assert world.actions == ["Deploy", "Retrain"]
    assert world.condition("RetrainingActive")["status"] == "True"


def test_drift_seen_once_starts_nothing() -> None:
    world = a_world()
    world.watch = replace(DRIFT, evidence=seen(False, True))
    assert world.settle().actions == ["Deploy"]


def test_the_result_becomes_a_model_with_lineage_that_competes_and_wins() -> None:
    world = finish(drifting(), result())
    name = produced(world)
    lineage = world.models[name].spec.lineage
    assert lineage is not None
    assert lineage.parent_ref is not None
    assert lineage.parent_ref.name == "a"
    assert lineage.triggered_by is not None
    assert lineage.triggered_by.decision == "churn-000002"
    assert world.actions[-1] == "Retrain", "not before it is verified"
    verify(world)
    assert world.status["contest"]["challenger"] == name
    world.shadow("a", name, 200, champion_wrong=30)
    world.wait(11)
    world.answer("a", 1900, wrong=300)
    world.answer(name, 100)
    world.wait(11)
    world.answer("a", 300, wrong=60)
    world.answer(name, 300)
    world.wait(11)
    assert world.status["champion"]["name"] == name
    assert world.state.runs[-1].outcome == "Promoted"
    assert world.state.open_run is None


def test_a_lost_candidate_doubles_the_cooldown() -> None:
    world = verify(finish(drifting(), result()))
    world.shadow("a", produced(world), 200, challenger_wrong=40)
    world.wait(1)
    assert world.state.runs[-1].outcome == "Lost"
    world.wait(3700)
    assert world.actions[-1] == "SkipRetraining"
    assert world.last["reason"] == "Cooldown"
    world.wait(3600)
    assert world.actions[-1] == "Retrain"


@pytest.mark.parametrize(
    ("message", "failed", "reason"),
    [
        ("boom", True, "JobFailed"),
        ("not json", False, "InvalidResult"),
        ("", False, "InvalidResult"),
        ("[]", False, "InvalidResult"),
        ('{"artifact": {"uri": "file:///x"}}', False, "InvalidResult"),
        ('{"artifact": {"uri": "file:///x", "digest": "md5:1"}}', False, "InvalidResult"),
        (result("a"), False, "RepeatedResult"),
    ],
    ids=["failed", "garbage", "nothing", "a list", "no digest", "another digest", "the champion again"],
)
def test_a_run_that_comes_to_nothing_is_closed_with_its_reason(message, failed, reason) -> None:
    world = finish(drifting(), message, failed=failed)
    closing = next(r["spec"] for r in world.records if r["spec"]["action"] == "Reject")
    assert closing["reason"] == reason
    assert world.state.runs[0].outcome == "Failed"
    assert list(world.models) == ["a"]


def test_a_job_that_was_deleted_is_not_made_again() -> None:
    world = drifting()
    world.jobs.clear()
    world.objects.pop(("Job", JOB), None)
    world.settle()
    assert world.state.runs[0].outcome == "Failed"
    assert world.jobs == {}


def test_a_produced_model_that_is_refused_closes_the_run() -> None:
    world = verify(finish(drifting(), result()), refused=True)
    closing = next(r["spec"] for r in world.records if r["spec"]["action"] == "Reject")
    assert closing["reason"] == "VerificationFailed"
    assert "bad file" in closing["message"]


@pytest.mark.parametrize(
    ("change", "watch", "reason"),
    [
        ({"suspend": True}, DRIFT, "Suspended"),
        ({}, replace(DRIFT, broken=("age",)), "DataQualityBroken"),
        ({}, replace(QUIET, broken=("age",)), "DataQualityBroken"),
    ],
    ids=["suspended", "drift on broken data", "broken data"],
)
def test_what_forbids_a_run_is_recorded_once(change, watch, reason) -> None:
    world = a_world(**change)
    world.watch = watch
    world.settle()
    world.wait(100)
    assert world.actions == ["Deploy", "SkipRetraining"]
    assert world.last["reason"] == reason
    assert world.jobs == {}


def test_an_obstacle_is_recorded_again_once_retraining_became_due_anew() -> None:
    world = a_world(suspend=True)
    world.watch = replace(DRIFT, persistent_since=world.now)
    world.settle()
    world.watch = QUIET
    world.wait(7200)
    world.watch = replace(DRIFT, persistent_since=world.now)
    world.settle()
    world.wait(7200)
    assert world.actions == ["Deploy", "SkipRetraining", "SkipRetraining"]


def test_an_obstacle_that_comes_and_goes_is_recorded_once_an_hour() -> None:
    world = a_world(suspend=True)
    for _ in range(61):
        world.watch = replace(DRIFT, persistent_since=world.now)
        world.settle()
        world.watch = QUIET
        world.wait(60)
    assert world.actions.count("SkipRetraining") == 2


def test_due_retraining_that_is_no_longer_due_is_not_said_to_wait() -> None:
    world = a_world(suspend=True)
    world.watch = DRIFT
    world.settle()
    assert world.condition("RetrainingActive")["reason"] == "Suspended"
    world.watch = QUIET
    world.settle()
    assert world.condition("RetrainingActive")["reason"] == "NotDue"


def test_the_budget_ends_runs() -> None:
    world = drifting(cooldown="0s")
    finish(world, "", failed=True)
    finish(world, "", failed=True)
    assert world.actions.count("Retrain") == 2
    assert world.last["reason"] == "BudgetExhausted"


def test_an_old_champion_is_retrained_when_age_is_a_trigger() -> None:
    world = a_world(triggers=["Age"], maxAge="1d")
    world.watch = DRIFT
    assert world.settle().actions == ["Deploy"]
    assert world.wait(90_000).last["reason"] == "ModelTooOld"


@pytest.mark.parametrize("writes", range(8))
def test_a_crash_while_a_run_begins_or_ends_leaves_one_job_and_one_model(writes) -> None:
    world = a_world()
    world.watch = DRIFT
    world.step(crash_after=writes)
    world.settle()
    name = next(iter(world.jobs))
    world.jobs[name] = replace(world.jobs[name], succeeded=True, message=result())
    world.step(crash_after=writes)
    world.settle()
    assert world.actions == ["Deploy", "Retrain"]
    assert len(world.jobs) == 1
    assert len(world.models) == 2


def test_a_result_says_everything_a_model_needs() -> None:
    task = {"type": "Classification", "label": "label", "score": "probabilities"}
    text = json.loads(result()) | {
        "task": task,
        "framework": "sklearn",
        "baseline": {"uri": "file:///b", "digest": digest("b")},
    }
    parsed = parse_result(json.dumps(text))
    assert parsed.baseline == {"uri": "file:///b", "digest": digest("b")}
    assert parsed.task == task
    assert parsed.framework == "sklearn"


@pytest.mark.parametrize("up", ["..", "%2e%2e", ".%2E", "%2e%2e%2f%2e."])
def test_a_file_that_leads_out_of_the_runs_folder_is_refused(up: str) -> None:
    text = json.loads(result())
    text["artifact"]["uri"] = text["artifact"]["uri"].replace("model.onnx", f"{up}/churn-retrain-2/model.onnx")
    with pytest.raises(InvalidResultError, match="segments: write the path in full"):
        parse_result(json.dumps(text))


@pytest.mark.parametrize("text", ["", "x", "3", "{}", '{"artifact": 1}', '{"artifact": {}, "metrics": [1]}'])
def test_a_result_that_is_none_is_refused_in_words(text) -> None:
    with pytest.raises(InvalidResultError, match="termination message"):
        parse_result(text)


@pytest.mark.parametrize("part", ["artifact", "baseline", "examples"])
@pytest.mark.parametrize(
    "uri",
    [
        "https://collector.example/model.onnx",
        "file:///out/uid-churn/churn-retrain-2/model.onnx",
        "file:///out/uid-churn/churn-retrain-1",
        "file:///elsewhere/model.onnx",
    ],
)
def test_a_file_from_elsewhere_than_the_runs_output_is_refused(part: str, uri: str) -> None:
    text = json.loads(result()) | {part: {"uri": uri, "digest": digest("d")}}
    world = finish(drifting(), json.dumps(text))
    closing = next(r["spec"] for r in world.records if r["spec"]["action"] == "Reject")
    assert closing["reason"] == "InvalidResult"
    assert f"{part} is at {uri}, outside of KINGMAKER_OUTPUT_URI" in closing["message"]
    assert list(world.models) == ["a"]


def test_the_model_of_an_earlier_deployment_of_this_name_is_never_taken_for_ones_own() -> None:
    world = drifting()
    lineage = {"triggeredBy": {"modelDeployment": "churn", "decision": "churn-000002"}}
    labels = {"kingmaker.dev/deployment-uid": "uid-of-another"}
    world.models["churn-r1"] = a_model("churn-r1", "e", lineage=lineage, labels=labels)
    world.settle()
    closing = next(r["spec"] for r in world.records if r["spec"]["action"] == "Reject")
    assert closing["reason"] == "NameTaken"
    assert "contest" not in world.status


def test_a_run_takes_a_number_whose_model_has_a_free_name() -> None:
    world = a_world()
    world.models["churn-r1"] = a_model("churn-r1", "e", family="else")
    world.watch = DRIFT
    world.settle()
    assert list(world.jobs) == ["churn-retrain-2"]
    finish(world, result(job="churn-retrain-2"))
    assert "churn-r2" in world.models


def test_the_largest_budget_binds() -> None:
    world = drifting(cooldown="0s", budget={"runs": MOST_RUNS, "per": "30d"})
    for _ in range(MOST_RUNS):
        finish(world, "", failed=True)
    assert world.actions.count("Retrain") == MOST_RUNS
    assert world.last["reason"] == "BudgetExhausted"


def test_a_failed_job_does_not_double_the_cooldown() -> None:
    world = finish(drifting(), "exec: nosuchtrainer: not found", failed=True)
    assert world.status["retraining"]["lostCandidates"] == 0
    world.wait(3601)
    assert world.actions.count("Retrain") == 2


def test_a_candidate_that_competes_needs_its_job_no_more() -> None:
    world = verify(finish(drifting(), result()))
    world.jobs.clear()
    world.status["retraining"].pop("job")
    world.settle()
    assert world.jobs == {}
    assert world.state.open_run is not None
