"""`kingmaker explain`: each state with its figures, and what a person can do about it."""

import re
from typing import Any

from kingmaker.api import ConditionStatus, DriftState, Reason
from kingmaker.cli.advice import _ADVICE, advice_of
from kingmaker.cli.explain import explain
from kingmaker.core.counts.data_monitor import DataMonitor
from support.world import World, a_model, a_spec

RETRAINING = {
    "triggers": ["Drift"],
    "persistence": {"of": 1, "needed": 1},
    "output": {"uriPrefix": "s3://models/"},
    "template": {"image": "trainer", "command": ["train"]},
}
STAGES = [{"name": "half", "weight": 50, "minDuration": "10s", "minRequests": 100}]


def a_world(**spec: Any) -> World:
    return World(a_spec(**spec), {"a": a_model("a", "a"), "b": a_model("b", "b")}).settle()


def explained(world: World) -> str:
    """Explain, as one line of words: lines break anywhere."""
    lines = list(explain(world.observed()))
    assert max(map(len, lines)) <= 80
    return re.sub(r"\s+", " ", " ".join(lines))


def test_a_contest_that_waits_says_for_what_and_what_helps() -> None:
    world = a_world(challengers=[{"name": "second", "modelRef": {"name": "b"}}], contest={"stages": STAGES})
    for model in ("a", "b"):
        world.answer(model, 400, wrong=20)
    world.wait(20)
    text = explained(world)
    assert "contest of b, stage half" in text
    assert "needs 10 s and 100 requests; has 20 s and 400" in text
    assert text.count("next: wait, give the stage more of the traffic") == 1


def test_a_refused_retraining_says_what_to_mend() -> None:
    world = a_world(retraining=RETRAINING)
    broken = DataMonitor(
        state=DriftState.DRIFT,
        features=("age",),
        broken=("age",),
        quality_status=ConditionStatus.TRUE,
        quality_reason=Reason.DATA_QUALITY_ABOVE_MAXIMUM,
        quality_message="age missing: check what sends the data; retraining waits",
    )
    world.watch = broken
    world.settle()
    assert world.actions[-1] == "SkipRetraining"
    text = explained(world)
    assert "age missing: check what sends the data" in text
    assert "not started: DataQualityBroken" in text
    assert f"next: {advice_of(Reason.DATA_QUALITY_BROKEN)}" in text
    assert f"next: {advice_of(Reason.DATA_QUALITY_ABOVE_MAXIMUM)}" in text


def test_an_unknown_says_what_it_waits_for() -> None:
    world = a_world()
    world.watch = DataMonitor()
    world.settle()
    text = explained(world)
    assert "ModelDriftDetected Unknown TooFewRows" in text
    assert f"next: {advice_of(Reason.TOO_FEW_ROWS)}" in text


def test_every_advice_is_about_a_reason_that_there_is() -> None:
    assert set(_ADVICE) <= set(Reason)
    assert advice_of(Reason.SERVING) == ""
    assert all(not text.endswith(".") for text in _ADVICE.values())
