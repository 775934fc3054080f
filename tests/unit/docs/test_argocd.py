"""The health checks for Argo CD, run by a real Lua of the version that Argo CD has, on what the operator writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from kingmaker.core.observed import ObservedJob
from kingmaker.core.serving.verification import ObservedModel, decide_model
from support.manifests import a_decision
from support.world import SETTINGS, START, World, a_model, a_spec

ROOT = Path(__file__).parents[3]
CHECKS = yaml.safe_load((ROOT / "examples/gitops/argocd-cm.yaml").read_text())["data"]
CHALLENGERS = [{"name": "next", "modelRef": {"name": "b"}}]


def health(body: dict[str, Any]) -> tuple[str, str]:
    """Ask the check of a kind; gives Argo CD's word and the message."""
    lua = LuaRuntime()
    lua.globals().obj = lua.table_from(body, recursive=True)
    answer = lua.execute(CHECKS[f"resource.customizations.health.kingmaker.dev_{body['kind']}"])
    return answer["status"], answer["message"]


def a_body(world: World, *, generation: int | None = None) -> dict[str, Any]:
    meta = {"name": "churn", "generation": world.generation if generation is None else generation}
    return {"kind": "ModelDeployment", "metadata": meta, "spec": world.spec, "status": world.status}


def a_world(**spec: Any) -> World:
    return World(a_spec(**spec), {"a": a_model("a", "a"), "b": a_model("b", "b")})


def test_a_fresh_object_progresses() -> None:
    body = {"kind": "ModelDeployment", "metadata": {"generation": 1}, "status": {"observedGeneration": -1}}
    assert health(body)[0] == "Progressing"
    assert health({"kind": "Model", "metadata": {"generation": 1}})[0] == "Progressing"


def test_a_champion_without_pods_yet_progresses() -> None:
    world = World(a_spec(), {"a": a_model("a", "a")}, broken={"a"}).settle()
    assert health(a_body(world)) == ("Progressing", "Progressing: waiting for the pods of a")


def test_a_serving_champion_is_healthy() -> None:
    assert health(a_body(a_world().settle())) == ("Healthy", "Serving: a serves")


def test_a_spec_that_was_not_seen_yet_progresses() -> None:
    world = a_world().settle()
    assert health(a_body(world, generation=world.generation + 1))[0] == "Progressing"


def test_a_contest_is_healthy() -> None:
    world = a_world(challengers=CHALLENGERS).settle()
    assert world.condition("ContestInProgress")["status"] == "True"
    assert health(a_body(world))[0] == "Healthy"


def test_a_missing_champion_is_degraded() -> None:
    word, message = health(a_body(World(a_spec(), {}).settle()))
    assert word == "Degraded"
    assert message.startswith("ChampionNotFound: Model a does not exist")


def test_a_challenger_that_waits_for_a_person_is_healthy_and_says_so() -> None:
    world = a_world(challengers=CHALLENGERS, contest={"promotion": "Manual"}).settle()
    world.shadow("a", "b", 2000, champion_wrong=200, challenger_wrong=2)
    for mine, theirs in ((1900, 100), (300, 300)):
        world.wait(11)
        world.answer("a", mine, wrong=mine // 10)
        world.answer("b", theirs, wrong=theirs // 50)
    world.wait(11)
    word, message = health(a_body(world))
    assert word == "Healthy"
    assert message.startswith("AwaitingPromotion: won;")


@pytest.mark.parametrize(
    ("job", "word"),
    [(None, "Progressing"), ("succeeded", "Healthy"), ("failed", "Degraded")],
    ids=["verifying", "verified", "refused"],
)
def test_models(job: str | None, word: str) -> None:
    model = a_model("a", "a", ready=False)
    done = {
        "succeeded": '{"digest": "sha256:' + "a" * 64 + '", "sizeBytes": 10, "examples": 5, '
        '"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], '
        '"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}]}',
        "failed": '{"reason": "DigestMismatch", "message": "other bytes"}',
    }
    seen = (
        ObservedJob("v", "uid", succeeded=job == "succeeded", failed=job == "failed", message=done[job])
        if job
        else None
    )
    plan = decide_model(ObservedModel(START, model, seen), SETTINGS)
    assert health({"kind": "Model", "metadata": {"generation": 0}, "status": dict(plan.status or {})})[0] == word


def test_a_decision_is_healthy() -> None:
    assert health(a_decision()) == ("Healthy", "Promote: ContestWon")
