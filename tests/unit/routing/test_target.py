"""What a namespace's routers shall know follows from what was said last, and a change costs what it changes."""

from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.target import Change, Target


def a_route(decision: int = 1, *, ip: str | None = None) -> RoutePlan:
    return RoutePlan(decision, (Backend("a", 100, ("10.0.0.1",)),), ip, None)


def a_target(**routes: RoutePlan) -> Target:
    target = Target("team")
    target.set_deployments(frozenset(routes))
    for name, route in routes.items():
        target.set_route(name, route)
    return target


def test_a_change_concerns_one_deployment_and_leaves_the_others_resources_alone() -> None:
    target = a_target(churn=a_route(), fraud=a_route())
    before = dict(target.routed)
    assert target.set_route("churn", a_route(2)) == Change(frozenset({"churn"}))
    assert target.routed["fraud"] is before["fraud"]
    assert target.routed["churn"].table.version != before["churn"].table.version
    assert not target.set_route("churn", a_route(2))


def test_nothing_is_complete_before_everybody_was_heard() -> None:
    target = Target("team")
    target.set_route("churn", a_route())
    assert not target.is_complete
    target.set_deployments(frozenset({"churn", "fraud", "spam"}))
    target.set_route("fraud", None)
    assert not target.is_complete
    assert target.keep_route("spam", None).everything
    assert target.is_complete
    assert not target.set_deployments(frozenset({"churn", "fraud", "spam", "new"})).everything
    assert target.is_complete


def test_an_empty_namespace_is_complete() -> None:
    target = Target("team")
    assert target.set_deployments(frozenset()).everything


def test_who_is_unknown_keeps_what_routers_have() -> None:
    target = a_target(churn=a_route())
    target.set_deployments(frozenset({"churn", "fraud"}))
    assert [target.is_settled(name) for name in ("churn", "fraud", "gone")] == [True, False, True]
    target.keep_route("fraud", None)
    assert not target.is_settled("fraud")
    assert not target.is_all_settled
    target.set_route("fraud", None)
    assert target.is_all_settled


def test_a_kept_route_is_the_one_that_is_known() -> None:
    target = a_target(churn=a_route(3))
    assert not target.keep_route("churn", a_route())
    assert target.routed["churn"].table.route == a_route(3)


def test_an_address_that_two_claim_is_the_first_ones_until_it_lets_go() -> None:
    target = a_target(churn=a_route(ip="10.9.0.1"), fraud=a_route(ip="10.9.0.1"))
    assert target.scopes["10.9.0.1"].deployment == "churn"
    assert "10.9.0.1" in target.set_route("churn", a_route(ip="10.9.0.2")).domains
    assert target.scopes["10.9.0.1"].deployment == "fraud"
    target.drop_route("fraud")
    assert "10.9.0.1" not in target.scopes


def test_who_is_gone_is_forgotten_by_name() -> None:
    for drop in (lambda t: t.drop_route("churn"), lambda t: t.set_deployments(frozenset())):
        target = a_target(churn=a_route())
        change = drop(target)
        assert change.deployments == {"churn"}
        assert change.domains == {"churn", "churn.team", "churn.team.svc", "churn.team.svc.cluster.local"}
        assert (dict(target.routed), target.scopes) == ({}, {})
