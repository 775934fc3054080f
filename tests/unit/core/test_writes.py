"""How often the same objects are written on the way to where nothing changes: with a thousand deployments it counts."""

import json
from collections import Counter
from dataclasses import replace

from kingmaker.api import Model
from kingmaker.core.counts.baseline import parse_baseline
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Apply, Create, CreateKeys
from support.fakecounts import baseline_document
from support.world import World, a_model, a_spec

DIGEST = "sha256:" + "b" * 64


class Watched(World):
    """A world whose champion has a baseline that its pods give."""

    def observed(self) -> Observed:
        document = json.loads(baseline_document("a", features=2))
        return replace(super().observed(), baselines={DIGEST: parse_baseline(document, digest=DIGEST)})


def a_world() -> Watched:
    baseline = {"uri": "file:///m/a.json", "digest": DIGEST}
    return Watched(a_spec(), {"a": a_model("a", "a", baseline=baseline)})


def writes(world: World) -> Counter[str]:
    """Go on until nothing changes; count what was written."""
    found: Counter[str] = Counter()
    for _ in range(20):
        plan = world.step()
        for action in plan.actions:
            assert isinstance(action, Apply | Create | CreateKeys)
            found[f"{action.body['kind']} {action.body['metadata']['name']}"] += 1
        found["record"] += plan.record is not None
        found["status"] += plan.status is not None
        found["ledger"] += plan.store_ledger
        if plan.record is None and not plan.actions and plan.status is None and not plan.store_ledger:
            return found
    raise AssertionError(found)


def test_each_child_of_a_new_deployment_is_written_once_and_its_status_twice() -> None:
    found = writes(a_world())
    assert found["status"] == 2
    children = {what: count for what, count in found.items() if " " in what}
    assert len(children) == 7
    assert set(children.values()) == {1}


def test_that_a_models_verification_began_is_no_news_of_its_deployment() -> None:
    new, begun = a_model("a", "a", ready=False), a_model("a", "a", ready=False)
    stamp = "2026-01-01T00:00:00Z"
    said = {"type": "Ready", "status": "False", "reason": "Verifying", "message": "m", "lastTransitionTime": stamp}
    begun = Model.parse(begun.manifest() | {"status": {"conditions": [said]}})
    world = World(a_spec(), {"a": new}).settle()
    assert world.condition("Ready")["message"] == "Model a is being verified"
    world.models["a"] = begun
    assert writes(world)["status"] == 0
    failed = said | {"reason": "DigestMismatch", "message": "expected another"}
    world.models["a"] = Model.parse(begun.manifest() | {"status": {"conditions": [failed]}})
    world.settle()
    assert world.condition("Ready")["message"] == "Model a is not ready: expected another"


def test_an_operator_that_starts_anew_writes_nothing() -> None:
    world = a_world()
    writes(world)
    world.ledger, world.keys_made = Ledger(), None
    assert sum(writes(world).values()) == 0
    world.wait(60)
    assert sum(writes(world).values()) == 0


def test_a_new_champion_is_not_told_of_as_if_there_were_none() -> None:
    world = a_world()
    writes(world)
    drift = world.condition("ModelDriftDetected")
    assert (drift["status"], drift["reason"]) == ("Unknown", "TooFewRows")
    assert world.status["drift"] == {"state": "Unknown", "features": []}
