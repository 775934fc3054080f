"""The tables of triggers and obstacles: every trigger of the spec has an entry, and the order is kept."""

from datetime import timedelta

import pytest

from kingmaker.api import Reason, Retraining, Trigger
from kingmaker.core.counts.data_monitor import DriftFinding
from kingmaker.core.retraining.obstacles import Wish, find_obstacle
from kingmaker.core.retraining.triggers import TRIGGERS, Due, Findings, find_due
from kingmaker.core.state import Champion, Run, State
from support.world import START, World, a_model, a_spec, digest
from unit.core.retraining.test_retraining_runs import RETRAINING

DUE = Due(Reason.DRIFT_PERSISTED, "data drifted")
BROKEN = DriftFinding(broken=("age",))
DRIFTED = DriftFinding(persistent=True, features=("income",), window="1h")
BOTH = DriftFinding(persistent=True, features=("income",), window="1h", broken=("age",))


def test_every_trigger_of_the_spec_has_an_entry() -> None:
    assert {entry.trigger for entry in TRIGGERS} == set(Trigger)
    field = Retraining.model_fields["triggers"]
    assert any(getattr(rule, "max_length", None) == len(Trigger) for rule in field.metadata)


@pytest.mark.parametrize(
    ("triggers", "finding", "age", "reason"),
    [
        (["Drift", "Age"], BOTH, 100, Reason.DRIFT_PERSISTED),
        (["Drift", "Age"], BROKEN, 100, Reason.DATA_QUALITY_BROKEN),
        (["Age"], BOTH, 100, Reason.MODEL_TOO_OLD),
        (["Drift"], DriftFinding(), 100, None),
        (["Age"], DRIFTED, 1, None),
    ],
    ids=["drift before all", "broken data before age", "age alone", "no drift", "young"],
)
def test_the_first_trigger_that_holds_is_the_reason(triggers, finding, age, reason) -> None:
    world = World(a_spec(retraining=RETRAINING | {"triggers": triggers}), {"a": a_model("a", "a")})
    world.now += timedelta(days=age)
    due = find_due(world.observed(), State(champion=Champion("a", digest("a"), START)), Findings(finding))
    assert (due.reason if due else None) == reason


@pytest.mark.parametrize(
    ("spec", "finding", "runs", "reason"),
    [
        ({"suspend": True}, BOTH, 2, Reason.SUSPENDED),
        ({}, BOTH, 2, Reason.DATA_QUALITY_BROKEN),
        ({}, DRIFTED, 2, Reason.COOLDOWN),
        ({"cooldown": "0s"}, DRIFTED, 2, Reason.BUDGET_EXHAUSTED),
        ({"cooldown": "0s"}, DRIFTED, 1, None),
    ],
    ids=["what a person said", "broken data", "the cooldown", "the budget", "nothing"],
)
def test_the_first_obstacle_is_the_one_that_is_said(spec, finding, runs, reason) -> None:
    state = State(runs=(Run(1, 1, START, "Drift", outcome="Failed"),) * runs)
    wish = Wish(
        Retraining.model_validate(RETRAINING | spec), state, START + timedelta(minutes=1), DUE, Findings(finding)
    )
    obstacle = find_obstacle(wish)
    assert (obstacle.reason if obstacle else None) == reason
