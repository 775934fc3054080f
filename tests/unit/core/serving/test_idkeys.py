"""When the keys of request ids are created by an operator that can't see whether they are there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kingmaker.core.observed import Observed, ObservedVariant
from kingmaker.core.plan import Apply, CreateKeys
from kingmaker.core.serving.idkeys import create_keys
from kingmaker.core.serving.observe import observe_variants
from support.manifest_objects import a_deployment
from support.references import START
from support.world import World, a_model, a_spec

DEPLOYS = (Apply({"kind": "Deployment", "metadata": {"name": "churn-a"}}),)
READY = ObservedVariant("a", desired=2, ready=2)
STARTING = replace(READY, ready=0, unbegun_since=START)


def seen(variant: ObservedVariant | None = None, **fields: Any) -> Observed:
    variants = {variant.model: variant} if variant else {}
    return Observed(START + timedelta(seconds=fields.pop("after", 0)), a_deployment(), "u", variants=variants, **fields)


def test_keys_come_before_the_first_pods() -> None:
    (create,) = create_keys(seen(), DEPLOYS)
    assert create.body["kind"] == "Secret"
    assert create_keys(seen(), ()) == ()


def test_after_a_restart_ready_pods_say_that_they_are_there() -> None:
    assert create_keys(seen(READY), ()) == ()
    assert create_keys(seen(replace(READY, ready=1)), ())


def test_they_are_not_made_again_in_every_pass() -> None:
    made = {"keys_made": START}
    assert create_keys(seen(READY, **made), DEPLOYS) == ()
    assert create_keys(seen(replace(READY, ready=0), after=3600, **made), DEPLOYS) == ()


@pytest.mark.parametrize(("after", "again"), [(9, False), (59, False), (60, True), (3600, True)])
def test_pods_that_begin_nothing_may_wait_for_keys_that_somebody_deleted(after: int, again: bool) -> None:
    assert bool(create_keys(seen(STARTING, after=after, keys_made=START), ())) is again


def test_keys_that_were_deleted_long_ago_are_made_when_a_pod_waits_for_ten_seconds() -> None:
    long_ago = START - timedelta(days=3)
    assert not create_keys(seen(STARTING, after=9, keys_made=long_ago), ())
    assert create_keys(seen(STARTING, after=10, keys_made=long_ago), ())


def a_pod(*, waiting: str | None = "PodInitializing", scheduled: bool = True, **meta: Any) -> dict[str, Any]:
    state = {"running": {}} if waiting is None else {"waiting": {"reason": waiting}}
    condition = {"type": "PodScheduled", "status": str(scheduled), "lastTransitionTime": START.isoformat()}
    return {
        "metadata": {"name": "p", "labels": {"kingmaker.dev/model": "a"}, **meta},
        "status": {
            "phase": "Pending",
            "conditions": [condition],
            "initContainerStatuses": [{"name": "fetch", "state": state}],
            "containerStatuses": [{"name": "serve", "state": {"waiting": {"reason": "PodInitializing"}}}],
        },
    }


@pytest.mark.parametrize(
    ("pod", "waits"),
    [
        (a_pod(), True),
        (a_pod(waiting="ContainerCreating"), True),
        (a_pod(waiting="ImagePullBackOff"), False),
        (a_pod(waiting=None), False),
        (a_pod(scheduled=False), False),
        (a_pod(deletionTimestamp="2026-01-01T00:00:00Z"), False),
    ],
)
def test_a_pod_that_begins_nothing_is_told_from_others(pod: dict[str, Any], waits: bool) -> None:
    found = observe_variants({}, [pod])["a"]
    assert (found.unbegun_since == START) is waits
    assert (found.unbegun_since is None) is not waits


def test_a_deployment_gets_its_keys_once_and_before_its_pods() -> None:
    world = World(spec=a_spec(), models={"a": a_model("a", "a")})
    plans = [world.step() for _ in range(5)]
    kinds = [type(a).__name__ if isinstance(a, CreateKeys) else a.body["kind"] for p in plans for a in p.actions]  # type: ignore[union-attr]
    assert kinds.count("CreateKeys") == 1
    assert kinds.index("CreateKeys") < kinds.index("Deployment")
