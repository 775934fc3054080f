"""Which pods are named to servers, and how seldom the file that names them is written."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kingmaker.core.manifests.serving import TARGETS
from kingmaker.core.observed import ObservedVariant
from kingmaker.core.plan import Apply
from kingmaker.core.serving.peers import SETTLED, name_peers
from support.world import World, a_model, a_spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pods(model: str, *addresses: str, desired: int | None = None, **fields) -> ObservedVariant:
    wanted = len(addresses) if desired is None else desired
    return ObservedVariant(model, wanted, len(addresses), addresses, **fields)


def written(**peers: list[str]) -> dict:
    return {"data": {TARGETS: json.dumps({"peers": peers})}}


def test_all_pods_of_a_deployment_are_peers_whatever_they_serve() -> None:
    found = name_peers([pods("b", "10.0.0.3"), pods("a", "10.0.0.1", "10.0.0.2")], None, NOW)
    assert list(found.items()) == [("a", ("10.0.0.1", "10.0.0.2")), ("b", ("10.0.0.3",))]


def test_a_single_pod_has_no_peer() -> None:
    assert name_peers([pods("a", "10.0.0.1"), pods("b")], None, NOW) == {}


@pytest.mark.parametrize(
    "moving",
    [
        pods("a", "10.0.0.1", "10.0.0.9", desired=3, last_ready=NOW),
        pods("a", "10.0.0.1", "10.0.0.9", returning=("10.0.0.2",), last_ready=NOW),
        pods("a", desired=2),
    ],
    ids=["some are still to come", "some are still to go", "none is ready"],
)
def test_while_pods_come_and_go_those_named_before_stay(moving: ObservedVariant) -> None:
    live = written(a=["10.0.0.1", "10.0.0.2"])
    assert name_peers([moving], live, NOW) == {"a": ("10.0.0.1", "10.0.0.2")}
    assert name_peers([moving], None, NOW) == {}


def test_pods_are_named_after_a_minute_where_others_never_come() -> None:
    stuck = pods("a", "10.0.0.1", "10.0.0.2", desired=3, last_ready=NOW)
    assert name_peers([stuck], None, NOW + SETTLED - timedelta(seconds=1)) == {}
    assert name_peers([stuck], None, NOW + SETTLED) == {"a": ("10.0.0.1", "10.0.0.2")}


def test_what_was_removed_is_named_no_more() -> None:
    live = written(a=["10.0.0.1"], b=["10.0.0.2"])
    assert name_peers([pods("a", "10.0.0.1", "10.0.0.3")], live, NOW) == {"a": ("10.0.0.1", "10.0.0.3")}


@pytest.mark.parametrize("text", ["", "[]", "null", '{"peers": []}', '{"peers": {"a": 5}}', "{"])
def test_a_file_that_somebody_broke_is_written_anew(text: str) -> None:
    moving = pods("a", "10.0.0.1", desired=2)
    assert name_peers([moving], {"data": {TARGETS: text}}, NOW) == {}


def shadow_writes(world: World) -> list[dict]:
    """The contents that are written on the way to where nothing changes any more."""
    found = []
    for _ in range(50):
        plan = world.step()
        applied = [action.body for action in plan.actions if isinstance(action, Apply)]
        found += [json.loads(b["data"][TARGETS]) for b in applied if TARGETS in b.get("data", {})]
        if plan.record is None and not plan.actions and plan.status is None and not plan.store_ledger:
            return found
    raise AssertionError


def test_a_deployment_that_comes_up_names_its_pods_by_the_second_write_at_most() -> None:
    writes = shadow_writes(World(a_spec(), {"a": a_model("a", "1")}))
    assert writes[-1]["peers"] == {"a": ["10.0.97.0", "10.0.97.1"]}
    assert len(writes) <= 2
    assert shadow_writes(World(a_spec(serving={"replicas": 1}), {"a": a_model("a", "1")}))[-1].get("peers") is None


def test_a_pod_that_is_replaced_costs_one_write() -> None:
    before = pods("a", "10.0.0.1", "10.0.0.2", last_ready=NOW)
    stages = [
        before,
        replace(before, ready=1, endpoints=("10.0.0.1",), returning=("10.0.0.2",)),
        replace(before, ready=1, endpoints=("10.0.0.1",)),
        replace(before, endpoints=("10.0.0.1", "10.0.0.3"), last_ready=NOW),
    ]
    live = None
    seen = []
    for stage in stages:
        found = name_peers([stage], live, NOW)
        if not seen or seen[-1] != found:
            seen.append(found)
        live = written(**{model: list(addresses) for model, addresses in found.items()})
    assert seen == [{"a": ("10.0.0.1", "10.0.0.2")}, {"a": ("10.0.0.1", "10.0.0.3")}]
