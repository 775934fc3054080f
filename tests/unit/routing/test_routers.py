"""What is known of a namespace's routers, and who is told when that changes."""

from dataclasses import replace

from kingmaker.core.observed import ObservedRouter, RouterPod
from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.routers import AdsRouters

POD = RouterPod("router-1", "10.0.0.9", ready=False)
ROUTE = RoutePlan(1, (Backend("m", 100, ("10.0.0.1",)),), None, None)


def a_router() -> tuple[AdsRouters, list[tuple[str, str]]]:
    news: list[tuple[str, str]] = []
    return AdsRouters(lambda *about: news.append(about)), news


def test_a_router_that_becomes_ready_is_news_to_those_who_looked() -> None:
    routers, news = a_router()
    routers.set_namespace("team", deployments=frozenset({"a", "b"}), pods=(POD,))
    assert routers.routers("team", "a") == (ObservedRouter("router-1", ready=False),)
    routers.set_namespace("team", deployments=frozenset({"a", "b"}), pods=(replace(POD, ready=True),))
    assert news == [("team", "a")]
    assert routers.routers("team", "a")[0].ready
    routers.set_namespace("team", deployments=frozenset({"a", "b"}), pods=(replace(POD, ready=True),))
    assert news == [("team", "a")]


def test_a_router_that_said_nothing_yet_settles_for_as_long_as_its_pod_does() -> None:
    routers, news = a_router()
    routers.set_namespace("team", deployments=frozenset({"a"}), pods=(replace(POD, settling=True),))
    assert routers.routers("team", "a")[0].settling
    routers.set_namespace("team", deployments=frozenset({"a"}), pods=(POD,))
    assert news == [("team", "a")]
    assert not routers.routers("team", "a")[0].settling


def test_a_forgotten_namespace_has_no_routers_and_its_news_are_nobodys() -> None:
    routers, news = a_router()
    routers.set_namespace("team", deployments=frozenset({"a"}), pods=(POD,))
    routers.set_route("team", "a", ROUTE)
    routers.forget("team")
    routers.forget("team")
    assert routers.server.routers("team", "a") == ()
    assert routers.routers("team", "a") == ()
    assert news == []


def test_an_address_is_the_one_of_whoever_got_it_last() -> None:
    routers, _ = a_router()
    for namespace in ("gone", "team"):
        routers.set_namespace(namespace, deployments=frozenset({"a"}), pods=(replace(POD, pod=f"of-{namespace}"),))
    assert routers.server.routers("gone", "a") == ()
    assert [state.pod for state in routers.server.routers("team", "a")] == ["of-team"]
