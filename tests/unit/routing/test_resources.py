"""What routers are told is complete, consistent and the same for the same routes."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.errors import InvalidRouteError
from kingmaker.routing.resources import DeploymentResources, build_listener, build_resources, build_scope

LABELS = "churn//labels/sticky"
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
ENDPOINTS = st.lists(st.integers(1, 250).map(lambda n: f"10.0.0.{n}"), max_size=3).map(tuple)


@st.composite
def routes(draw: st.DrawFn) -> RoutePlan:
    models = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(models) - 1, max_size=len(models) - 1)))
    weights = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    return RoutePlan(
        decision=draw(st.integers(0, 999_999_999)),
        backends=tuple(Backend(m, w, draw(ENDPOINTS)) for m, w in zip(models, weights, strict=True)),
        cluster_ip=draw(st.none() | st.sampled_from(["10.9.0.1", "10.9.0.2", "fd00::1"])),
        affinity_header=draw(st.none() | st.just("x-entity-id")),
    )


def build(route: RoutePlan) -> DeploymentResources:
    return build_resources("team", "churn", route)


def table(route: RoutePlan) -> route_pb2.RouteConfiguration:
    return route_pb2.RouteConfiguration.FromString(build(route).table.body)


def split(route: RoutePlan) -> list[tuple[str, int]]:
    (host,) = table(route).virtual_hosts
    return [(c.name, c.weight.value) for c in host.routes[-1].route.weighted_clusters.clusters]


@given(routes())
@settings(deadline=None)
def test_weights_sum_up_to_a_hundred(route: RoutePlan) -> None:
    assert sum(weight for _, weight in split(route)) == 100


@given(routes())
@settings(deadline=None)
def test_routes_name_clusters_that_exist_and_have_an_assignment(route: RoutePlan) -> None:
    built = build(route)
    named = set()
    (host,) = table(route).virtual_hosts
    for each in host.routes:
        named |= {each.route.cluster} | {c.name for c in each.route.weighted_clusters.clusters}
    assert named - {""} == built.clusters.keys() == built.endpoints.keys()
    for name in built.clusters:
        cluster = cluster_pb2.Cluster.FromString(built.clusters[name].body)
        assert (cluster.name, cluster.eds_cluster_config.service_name) == (name, name)
        assert endpoint_pb2.ClusterLoadAssignment.FromString(built.endpoints[name].body).cluster_name == name


def test_a_scope_leads_from_a_host_to_a_table() -> None:
    scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(build_scope("churn.team", "churn").body)
    assert (scope.name, scope.route_configuration_name) == ("churn.team", "churn")
    assert [f.string_key for f in scope.key.fragments] == ["churn.team"]


@given(routes(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_endpoints_does_not_matter(route: RoutePlan, random) -> None:
    shuffled = [Backend(b.model, b.weight, tuple(random.sample(b.endpoints, len(b.endpoints)))) for b in route.backends]
    again = build(RoutePlan(route.decision, tuple(shuffled), route.cluster_ip, route.affinity_header))
    assert {n: r.version for n, r in build(route).endpoints.items()} == {
        n: r.version for n, r in again.endpoints.items()
    }


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 20))
def test_a_challengers_growth_takes_from_the_champion_alone(weight: int, growth: int, fixed: int) -> None:
    def owners(challenger: int) -> list[str]:
        weights = {"a": 100 - challenger - fixed, "b": challenger, "c": fixed}
        route = RoutePlan(1, tuple(Backend(m, w, ()) for m, w in weights.items()), None, "x-entity-id")
        return [name for name, share in split(route) for _ in range(share)]

    moved = {(old, new) for old, new in zip(owners(weight), owners(weight + growth), strict=True) if old != new}
    assert moved <= {("churn/a/sticky", "churn/b/sticky")}


def test_a_change_of_weights_changes_the_table_alone() -> None:
    def built(weight: int) -> DeploymentResources:
        backends = (Backend("a", 100 - weight, ("10.0.0.1",)), Backend("b", weight, ("10.0.0.2",)))
        return build(RoutePlan(weight, backends, None, None))

    before, after = built(5), built(25)
    assert before.table.version != after.table.version
    for kind in ("clusters", "endpoints"):
        versions = [{n: r.version for n, r in getattr(b, kind).items()} for b in (before, after)]
        assert versions[0] == versions[1]


def test_stickiness_is_another_cluster_because_clusters_never_change() -> None:
    def clusters(header: str | None) -> set[str]:
        return set(build(RoutePlan(1, (Backend("a", 100, ()),), None, header)).clusters)

    assert clusters(None) == {"churn/a", "churn/a/grpc", LABELS}
    assert clusters("x-entity-id") == {"churn/a/sticky", "churn/a/grpc/sticky", LABELS}


@given(routes())
@settings(deadline=None)
def test_grpc_is_led_as_rest_is_and_to_its_own_port(route: RoutePlan) -> None:
    built = build(route)
    (host,) = table(route).virtual_hosts
    _, *routes = host.routes
    assert [each.match.HasField("grpc") for each in routes] == [True, False] * (len(route.backends) + 1)
    for call, request in zip(routes[::2], routes[1::2], strict=True):
        call.match.ClearField("grpc")
        if call.route.cluster:
            call.route.cluster = call.route.cluster.replace("/grpc", "")
        for share in call.route.weighted_clusters.clusters:
            share.name = share.name.replace("/grpc", "")
        assert call == request
    for name, resource in built.endpoints.items():
        (locality,) = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body).endpoints
        ports = {each.endpoint.address.socket_address.port_value for each in locality.lb_endpoints}
        assert ports <= {8081 if "grpc" in name.split("/")[2:] else 8080}


@given(routes())
@settings(deadline=None)
def test_labels_go_to_any_pod_of_any_variant_and_are_never_sent_again(route: RoutePlan) -> None:
    (host,) = table(route).virtual_hosts
    labels = host.routes[0]
    assert labels.match.path == "/v2/models/churn/feedback"
    assert labels.route.cluster == LABELS
    assert labels.route.retry_policy.retry_on == "connect-failure,refused-stream"
    assert [policy.header.header_name for policy in labels.route.hash_policy] == ["kingmaker-request-id"]
    (told,) = endpoint_pb2.ClusterLoadAssignment.FromString(build(route).endpoints[LABELS].body).endpoints
    places = [each.endpoint.address.socket_address for each in told.lb_endpoints]
    assert {place.address for place in places} == {address for b in route.backends for address in b.endpoints}
    assert {place.port_value for place in places} <= {8080}


@pytest.mark.parametrize("model", ["grpc", "sticky", "labels"])
def test_a_model_may_be_called_like_a_kind_of_cluster(model: str) -> None:
    built = build(RoutePlan(1, (Backend(model, 100, ("10.0.0.1",)),), None, None))
    plain = cluster_pb2.Cluster.FromString(built.clusters[f"churn/{model}"].body)
    assert plain.lb_policy == cluster_pb2.Cluster.LEAST_REQUEST
    (locality,) = endpoint_pb2.ClusterLoadAssignment.FromString(built.endpoints[f"churn/{model}"].body).endpoints
    assert locality.lb_endpoints[0].endpoint.address.socket_address.port_value == 8080


def test_each_router_listens_on_its_own_address() -> None:
    def address(pod: str) -> str:
        return listener_pb2.Listener.FromString(build_listener(pod).body).address.socket_address.address

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
        build(RoutePlan(1, tuple(Backend(m, w, ()) for m, w in weights), None, None))


def test_a_decision_is_a_number_of_a_decision() -> None:
    with pytest.raises(InvalidRouteError, match="decision is -1"):
        build(RoutePlan(-1, (), None, None))
