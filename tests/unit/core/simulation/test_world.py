"""A policy over recorded history decides what the operator would have decided."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from kingmaker.api import ModelDeployment
from kingmaker.core.counts.baseline import parse_baseline
from kingmaker.core.simulation.history import RIGHT, WRONG, History, Interval, ModelRecord, Rates
from kingmaker.core.simulation.servers import Server
from kingmaker.core.simulation.world import Assumptions, World
from support.world import RULES, a_model, a_spec, digest

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CELLS = [{"name": str(n), "upper": float(n), "count": 1000} for n in range(10)]
RARE = [{"name": name, "count": 0, "rare": True} for name in ("above", "missing", "infinite")]
BELOW = {"name": "below", "upper": -1.0, "count": 0, "rare": True}
BASELINE = parse_baseline(
    {
        "format": "kingmaker.dev/baseline/v1",
        "rows": 10_000,
        "features": [{"name": "x", "kind": "Numeric", "cells": [BELOW, *CELLS, *RARE]}],
    },
    digest=digest("f"),
)
AS_EVER = np.array([0] + [100] * 10 + [0] * 3)
SHIFTED = np.array([0, 40, 60, 80, 90, 100, 100, 110, 120, 140, 160, 0, 0, 0])
RETRAINING = {
    "triggers": ["Drift"],
    "persistence": {"of": 3, "needed": 2},
    "output": {"uriPrefix": "s3://m/"},
    "template": {"image": "trainer", "command": ["train"]},
}


def a_record(requests: int, wrong: int) -> ModelRecord:
    classes = {("0", "0"): (requests - wrong) // 2, ("1", "1"): (requests - wrong + 1) // 2}
    return ModelRecord(requests, 0, {**classes, ("1", "0"): wrong // 2, ("0", "1"): (wrong + 1) // 2})


def a_history(hours: int, wrong: dict[str, int], *, shifted_from: int | None = None) -> History:
    models = {name: a_record(500, count) for name, count in wrong.items()}
    found = []
    for hour in range(hours):
        is_shifted = shifted_from is not None and hour >= shifted_from
        found.append(
            Interval(START + (hour + 1) * HOUR, 1000, models, {BASELINE.digest: SHIFTED if is_shifted else AS_EVER})
        )
    return History(tuple(found))


def a_world(history: History, *, challenger: str = "", assumed: Assumptions | None = None, **spec: Any) -> World:
    stages = [
        {"name": "canary", "weight": 5, "minDuration": "2h", "minRequests": 50},
        {"name": "half", "weight": 50, "minDuration": "2h", "minRequests": 100},
    ]
    extra = {"challengers": [{"name": "c", "modelRef": {"name": challenger}}]} if challenger else {}
    body = a_spec("a", contest={"stages": stages, "deadline": "14d"}, **extra, **spec)
    body["serving"] = {"replicas": 1}
    meta = {"name": "churn", "namespace": "ns", "uid": "uid", "generation": 1}
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta}
    baseline = {"uri": "file:///b", "digest": BASELINE.digest}
    models = {name: a_model(name, name, baseline=baseline) for name in ("a", *([challenger] if challenger else []))}
    mdep = ModelDeployment.parse({**head, "spec": body, "status": {}})
    return World(mdep, models, {BASELINE.digest: BASELINE}, history, RULES, assumed or Assumptions())


def decided(world: World) -> list[tuple[str, str]]:
    list(world.play())
    return [(str(r["action"]), str(r["reason"])) for r in world.records]


def test_a_better_challenger_walks_through_the_stages_and_is_promoted() -> None:
    actions = decided(a_world(a_history(48, {"a": 100, "b": 50}), challenger="b"))
    assert [action for action, _ in actions] == ["Deploy", "StartStage", "StartStage", "Promote", "Retire"]


def test_a_worse_challenger_is_rolled_back() -> None:
    actions = decided(a_world(a_history(200, {"a": 50, "b": 150}), challenger="b"))
    assert actions[-1] == ("Rollback", "WorseThanChampion")


def test_a_challenger_of_which_no_label_is_known_is_never_promoted() -> None:
    actions = decided(a_world(a_history(100, {"a": 50}), challenger="b"))
    assert "Promote" not in [action for action, _ in actions]


def test_drift_retrains_and_what_retraining_made_is_watched_with_its_own_data() -> None:
    world = a_world(a_history(24 * 12, {"a": 100}, shifted_from=100), retraining=RETRAINING)
    actions = [action for action, _ in decided(world)]
    assert 1 <= actions.count("Retrain") <= 3
    assert actions.count("Promote") == actions.count("Retrain")
    assert actions[-2:] == ["Promote", "Retire"]
    assert "Drift" in [moment.drift for moment in world.moments]
    assert world.moments[-1].drift != "Drift"


def test_without_drift_nothing_is_retrained() -> None:
    assert decided(a_world(a_history(24 * 12, {"a": 100}), retraining=RETRAINING)) == [("Deploy", "FirstChampion")]


def test_a_retrained_model_that_errs_more_loses() -> None:
    assumed = Assumptions(retrained_error=2.0)
    history = a_history(24 * 12, {"a": 100}, shifted_from=100)
    actions = decided(a_world(history, assumed=assumed, retraining=RETRAINING))
    assert "Promote" not in [action for action, _ in actions]
    assert "Rollback" in [action for action, _ in actions]


def test_the_same_seed_decides_the_same() -> None:
    history = a_history(48, {"a": 100, "b": 90})
    worlds = [a_world(history, challenger="b", assumed=Assumptions(seed=4)) for _ in range(2)]
    assert decided(worlds[0]) == decided(worlds[1])
    assert worlds[0].moments == worlds[1].moments


def test_nobody_decides_on_an_empty_history() -> None:
    with pytest.raises(ValueError, match="the history is empty"):
        a_world(History(()))


def test_a_model_does_at_other_times_what_it_did_nearest() -> None:
    known = {2: ModelRecord(10, 0, {RIGHT: 9, WRONG: 1}), 6: ModelRecord(10, 0, {RIGHT: 1, WRONG: 9})}
    intervals = (Interval(START + n * HOUR, 10, {"a": known[n]} if n in known else {}) for n in range(10))
    rates = Rates.of(History(tuple(intervals)), "a")
    assert [rates.at(n).wrong for n in range(10)] == [1, 1, 1, 1, 1, 9, 9, 9, 9, 9]
    assert Rates((), ()).at(3) is None


def test_what_a_server_counted_stays_counted_when_its_decision_is_past() -> None:
    server = Server("a", digest("a"))
    for decision in range(1, 30):
        server.add(decision, "requests_total", 'outcome="ok",', 10)
    kept = server.look().by_decision
    assert sorted(kept) == list(range(22, 30))
    assert sum(server.past.values()) + sum(counts.arm.answered for counts in kept.values()) == 290


def test_errors_that_labels_show_retrain_without_drift() -> None:
    retraining = RETRAINING | {"triggers": ["Performance"]}
    good, bad = ({"a": a_record(960, wrong)} for wrong in (48, 190))
    rows = {BASELINE.digest: AS_EVER}
    intervals = tuple(
        Interval(START + (hour + 1) * HOUR, 1000, good if hour < 24 * 8 else bad, rows) for hour in range(24 * 14)
    )
    world = a_world(History(intervals), retraining=retraining)
    actions = decided(world)
    retrained = [r for r in world.records if r["action"] == "Retrain"]
    assert "Promote" in [action for action, _ in actions]
    assert retrained
    assert all(str(r["at"]) > (START + timedelta(days=8)).isoformat() for r in retrained)
