from typing import Any

from kingmaker_laptop.proxy.routes import Route, build_routes


def a_service(*ports: dict[str, Any], name: str = "web", **spec: Any) -> dict[str, Any]:
    body = {"clusterIP": "127.100.0.9", "selector": {"app": "web"}, "ports": list(ports) or [{"port": 80}], **spec}
    return {"metadata": {"namespace": "ns", "name": name, "uid": name}, "spec": body}


def a_pod(
    name: str, ip: str, *, ready: bool = True, labels: dict[str, str] | None = None, **meta: Any
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "labels": labels or {"app": "web"}, **meta},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8081}]}]},
        "status": {"podIP": ip, "conditions": conditions},
    }


def targets(service: dict[str, Any], *pods: dict[str, Any]) -> list[tuple[str, int]]:
    routes, problems = build_routes([service], pods)
    assert not problems
    return [target for route in routes for target in route.targets]


def test_a_port_below_1024_is_shifted() -> None:
    routes, _ = build_routes([a_service({"port": 80, "targetPort": 8080})], [a_pod("a", "127.9.0.1")])
    assert routes == [Route("ns/web", ("127.100.0.9", 8080), (("127.9.0.1", 8080),))]


def test_only_ready_matching_living_pods_take_connections() -> None:
    pods = [
        a_pod("b", "127.9.0.2"),
        a_pod("a", "127.9.0.1"),
        a_pod("unready", "127.9.0.3", ready=False),
        a_pod("other", "127.9.0.4", labels={"app": "db"}),
        a_pod("leaving", "127.9.0.5", deletionTimestamp="2026-01-01T00:00:00Z"),
        a_pod("without", ""),
    ]
    assert targets(a_service(), *pods) == [("127.9.0.1", 80), ("127.9.0.2", 80)]


def test_unready_pods_count_when_the_service_says_so() -> None:
    assert targets(a_service(publishNotReadyAddresses=True), a_pod("a", "127.9.0.1", ready=False)) == [
        ("127.9.0.1", 80)
    ]


def test_a_named_target_port_is_the_containers() -> None:
    named = a_service({"port": 80, "targetPort": "http"})
    assert targets(named, a_pod("a", "127.9.0.1")) == [("127.9.0.1", 8081)]
    assert targets(a_service({"port": 80, "targetPort": "none"}), a_pod("a", "127.9.0.1")) == []


def test_services_without_address_or_selector_are_left_alone() -> None:
    services = [a_service(clusterIP="None"), a_service(selector={}), a_service(clusterIP="")]
    assert build_routes(services, []) == ([], [])


def test_a_shifted_port_never_takes_another_ports_place() -> None:
    routes, problems = build_routes(
        [a_service({"port": 80}, {"port": 8080, "targetPort": 9})], [a_pod("a", "127.9.0.1")]
    )
    assert [(route.listen[1], route.targets[0][1]) for route in routes] == [(8080, 9)]
    assert "port 80 would be served at 8080" in problems[0].message


def test_other_protocols_are_a_problem() -> None:
    _, problems = build_routes([a_service({"port": 53, "protocol": "UDP"})], [])
    assert "UDP" in problems[0].message
