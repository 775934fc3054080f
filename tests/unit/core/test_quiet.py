"""A snapshot that leads to nothing leads to nothing later either, until the moment that is said."""

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.decide import decide
from kingmaker.core.observed import Observed, ObservedJob
from kingmaker.core.quiet import Quiet
from support.world import RULES, World, a_model, a_spec

SECOND = timedelta(seconds=1)


def a_world(**spec: Any) -> World:
    world = World(a_spec(**spec), {"a": a_model("a", "a"), "b": a_model("b", "b")})
    return world.settle()


def quiet_of(world: World) -> Quiet:
    observed = world.observed()
    plan = decide(observed, RULES)
    assert plan.quiet_until is not None
    return Quiet(replace(observed, ledger=plan.ledger or observed.ledger), plan.quiet_until)


def test_who_just_serves_is_quiet_and_nothing_follows_from_time_alone() -> None:
    quiet = quiet_of(a_world())
    now = quiet.observed.now
    assert quiet.until > now + 60 * SECOND
    while (now := now + 7 * SECOND) < quiet.until:
        later = replace(quiet.observed, now=now, scraped_at=now)
        assert quiet.holds(later)
        plan = decide(later, RULES)
        assert (plan.record, plan.actions, plan.status, plan.store_ledger) == (None, (), None, False)
        assert plan.route == decide(quiet.observed, RULES).route
    assert not quiet.holds(replace(quiet.observed, now=quiet.until))


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {"mdep": o.mdep.model_copy()},
        lambda o: {"state": copy.copy(o.state)},
        lambda o: {"models": {}},
        lambda o: {"models": {name: model.model_copy() for name, model in o.models.items()}},
        lambda o: {"children": {key: dict(body) for key, body in o.children.items()}},
        lambda o: {"children": dict(list(o.children.items())[1:])},
        lambda o: {"variants": {}},
        lambda o: {"routers": ()},
        lambda o: {"routers": tuple(replace(router, decision=99) for router in o.routers)},
        lambda _: {"jobs": {"job": ObservedJob("job", "uid")}},
        lambda _: {"ledger": Ledger()},
        lambda _: {"scraped": False},
        lambda _: {"pod_uids": frozenset({"another"})},
        lambda _: {"taken": (("Service", "churn"),)},
        lambda _: {"expired": (("churn-000001", "uid"),)},
        lambda _: {"unreadable": {"b": "broken"}},
        lambda _: {"uid": "another"},
    ],
)
def test_whatever_changes_ends_the_quiet(change: Any) -> None:
    quiet = quiet_of(a_world())
    changed: Observed = replace(quiet.observed, **change(quiet.observed))
    assert not quiet.holds(changed)


def test_new_counts_end_the_quiet() -> None:
    world = a_world()
    world.answer("a", 100)
    quiet = quiet_of(world.wait(1))
    (profile,) = quiet.observed.profiles
    assert quiet.holds(quiet.observed)
    assert not quiet.holds(replace(quiet.observed, profiles=(replace(profile),)))
    assert not quiet.holds(replace(quiet.observed, profiles=()))


def test_who_has_deadlines_is_never_quiet() -> None:
    contest = {"challengers": [{"name": "v2", "modelRef": {"name": "b"}}]}
    in_contest, after_promotion = a_world(**contest), a_world()
    after_promotion.edit(championRef={"name": "b"}).settle()
    for world in (in_contest, after_promotion):
        assert decide(world.observed(), RULES).quiet_until is None


def test_who_waits_for_pods_or_routers_is_not_quiet() -> None:
    waiting, unheard = a_world(), a_world()
    waiting.ready["a"] = 1
    unheard.frozen = True
    for world in (waiting, unheard):
        assert decide(world.observed(), RULES).quiet_until is None
