"""What routers are told is complete, consistent and the same for the same routes."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.routing.errors import InvalidRouteError
from kingmaker.routing.snapshot import CDS, EDS, LDS, RDS, Backend, Endpoint, Route, Snapshot, build_snapshot

ADDRESS = "10.1.2.3"
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
ENDPOINTS = st.lists(st.integers(1, 250).map(lambda n: Endpoint(f"10.0.0.{n}")), max_size=3).map(tuple)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    models = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(models) - 1, max_size=len(models) - 1)))
    weights = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    return Route(
        namespace="team",
        deployment=draw(NAMES),
        decision=draw(st.integers(0, 999_999_999)),
        cluster_ip=draw(st.none() | st.sampled_from(["10.9.0.1", "10.9.0.2", "fd00::1"])),
        backends=tuple(Backend(m, w, draw(ENDPOINTS)) for m, w in zip(models, weights, strict=True)),
        affinity_header=draw(st.none() | st.just("x-entity-id")),
    )


WORLDS = st.lists(routes(), max_size=5, unique_by=lambda r: r.deployment)


def table(snapshot: Snapshot) -> route_pb2.RouteConfiguration:
    return route_pb2.RouteConfiguration.FromString(snapshot.table.items["requests"])


def split(snapshot: Snapshot, deployment: str) -> list[tuple[str, int]]:
    host = next(h for h in table(snapshot).virtual_hosts if h.name == deployment)
    return [(c.name, c.weight.value) for c in host.routes[-1].route.weighted_clusters.clusters]


@given(WORLDS)
def test_weights_sum_up_to_a_hundred(world: list[Route]) -> None:
    snapshot = build_snapshot(world)
    for route in world:
        assert sum(weight for _, weight in split(snapshot, route.deployment)) == 100


@given(WORLDS)
def test_routes_name_clusters_that_exist_and_have_an_assignment(world: list[Route]) -> None:
    snapshot = build_snapshot(world)
    named = set()
    for host in table(snapshot).virtual_hosts:
        for route in host.routes:
            named |= {route.route.cluster} | {c.name for c in route.route.weighted_clusters.clusters}
    clusters = snapshot.clusters.items.keys()
    assert named - {""} <= clusters
    assert clusters == snapshot.endpoints.items.keys()
    for name in clusters:
        cluster = cluster_pb2.Cluster.FromString(snapshot.clusters.items[name])
        assert (cluster.name, cluster.eds_cluster_config.service_name) == (name, name)
        assert endpoint_pb2.ClusterLoadAssignment.FromString(snapshot.endpoints.items[name]).cluster_name == name


@given(WORLDS)
def test_no_domain_is_given_twice(world: list[Route]) -> None:
    domains = [d for host in table(build_snapshot(world)).virtual_hosts for d in host.domains]
    assert len(domains) == len(set(domains))
    assert domains[-1] == "*"


@given(WORLDS, st.randoms(use_true_random=False))
def test_order_does_not_matter(world: list[Route], random) -> None:
    first = build_snapshot(world).for_router(ADDRESS)
    random.shuffle(world)
    again = build_snapshot(world).for_router(ADDRESS)
    assert first == again
    assert first.keys() == {CDS, EDS, LDS, RDS}


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 20))
def test_a_challengers_growth_takes_from_the_champion_alone(weight: int, growth: int, fixed: int) -> None:
    def owners(challenger: int) -> list[str]:
        weights = {"a": 100 - challenger - fixed, "b": challenger, "c": fixed}
        backends = tuple(Backend(m, w, ()) for m, w in weights.items())
        route = Route("team", "churn", 1, None, backends, "x-entity-id")
        return [name for name, share in split(build_snapshot([route]), "churn") for _ in range(share)]

    moved = {(old, new) for old, new in zip(owners(weight), owners(weight + growth), strict=True) if old != new}
    assert moved <= {("churn/a/sticky", "churn/b/sticky")}


def test_a_change_of_weights_changes_the_table_alone() -> None:
    def resources(weight: int) -> dict[str, str]:
        backends = (Backend("a", 100 - weight, (Endpoint("10.0.0.1"),)), Backend("b", weight, (Endpoint("10.0.0.2"),)))
        snapshot = build_snapshot([Route("team", "churn", weight, None, backends)])
        return {url: found.version for url, found in snapshot.for_router(ADDRESS).items()}

    before, after = resources(5), resources(25)
    assert {url for url in before if before[url] != after[url]} == {RDS}


def test_stickiness_is_another_cluster_because_clusters_never_change() -> None:
    def clusters(header: str | None) -> set[str]:
        return set(build_snapshot([Route("team", "churn", 1, None, (Backend("a", 100, ()),), header)]).clusters.items)

    assert clusters(None) == {"churn/a"}
    assert clusters("x-entity-id") == {"churn/a/sticky"}


def test_each_router_listens_on_its_own_address() -> None:
    def address(pod: str) -> str:
        (value,) = build_snapshot([]).for_router(pod)[LDS].items.values()
        return listener_pb2.Listener.FromString(value).address.socket_address.address

    assert [address(pod) for pod in ("10.1.2.3", "10.1.2.4")] == ["10.1.2.3", "10.1.2.4"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([("a", 99)], "the sum 100"),
        ([("a", 101), ("b", -1)], "integers 0-100"),
        ([("a", 50), ("a", 50)], "named twice"),
    ],
)
def test_a_split_that_loses_requests_is_refused(weights: list[tuple[str, int]], words: str) -> None:
    with pytest.raises(InvalidRouteError, match=words):
        Route("team", "churn", 1, None, tuple(Backend(m, w, ()) for m, w in weights))


def test_a_snapshot_is_of_one_namespace_and_one_route_per_deployment() -> None:
    first, second = Route("a", "churn", 1, None, ()), Route("b", "churn", 1, None, ())
    with pytest.raises(InvalidRouteError, match="one snapshot per namespace"):
        build_snapshot([first, second])
    with pytest.raises(InvalidRouteError, match="two routes"):
        build_snapshot([first, first])
    with pytest.raises(InvalidRouteError, match="decision is -1"):
        Route("a", "churn", -1, None, ())
