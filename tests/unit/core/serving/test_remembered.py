"""The route of a deployment about which nothing new can be decided: as was decided last, with the pods of now."""

from datetime import UTC, datetime

from kingmaker.core.observed import ObservedVariant
from kingmaker.core.plan import RoutePlan
from kingmaker.core.serving.remembered import remembered_route
from kingmaker.core.state import Champion, Share, State

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ALONE = State(sequence=3, champion=Champion("a", "d", SINCE), traffic=(Share("a", 100),), traffic_sequence=3)
SPLIT = State(
    sequence=4, champion=Champion("a", "d", SINCE), traffic=(Share("a", 90), Share("b", 10)), traffic_sequence=4
)


def route_of(state: State, **pods: int) -> RoutePlan:
    variants = {m: ObservedVariant(m, n, n, tuple(f"{m}{i}" for i in range(n))) for m, n in pods.items()}
    found = remembered_route(state, variants, cluster_ip="10.0.0.1", affinity_header=None)
    assert found
    return found


def weights(route: RoutePlan) -> dict[str, int]:
    return {backend.model: backend.weight for backend in route.backends}


def test_there_is_none_before_there_is_a_champion() -> None:
    assert remembered_route(State(), {}, cluster_ip=None, affinity_header=None) is None


def test_it_is_the_decided_split_and_counts_as_evidence() -> None:
    route = route_of(SPLIT, a=2, b=1)
    assert weights(route) == {"a": 90, "b": 10}
    assert route.decision == 4
    assert [backend.endpoints for backend in route.backends] == [("a0", "a1"), ("b0",)]
    assert route.cluster_ip == "10.0.0.1"


def test_who_has_no_pods_leaves_its_weight_to_the_champion_and_that_is_no_evidence() -> None:
    route = route_of(SPLIT, a=2)
    assert (weights(route), route.decision) == ({"a": 100, "b": 0}, 0)


def test_a_champion_without_pods_is_stood_in_for_by_whom_it_dethroned() -> None:
    state = State(
        sequence=5,
        champion=Champion("a", "d", SINCE),
        previous=Champion("old", "e", SINCE, until=SINCE),
        traffic=(Share("a", 100),),
        traffic_sequence=5,
    )
    assert weights(route_of(state, old=1)) == {"a": 0, "old": 100}
    assert weights(route_of(state, a=1, old=1)) == {"a": 100, "old": 0}


def test_with_no_pod_at_all_the_split_stays_whole() -> None:
    assert weights(route_of(ALONE)) == {"a": 100}
    assert weights(route_of(SPLIT)) == {"a": 100, "b": 0}


def test_pods_without_weight_can_be_asked_for_by_name() -> None:
    assert weights(route_of(ALONE, a=1, shadow=1)) == {"a": 100, "shadow": 0}


def test_a_split_that_is_none_is_the_champions() -> None:
    for shares in ((Share("a", 90), Share("b", 20)), (Share("a", 120), Share("b", -20))):
        state = State(sequence=1, champion=Champion("a", "d", SINCE), traffic=shares)
        assert weights(route_of(state, a=1, b=1)) == {"a": 100, "b": 0}
