"""What has the name of a child and is somebody else's is left alone."""

from typing import Any


def a_service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": "theirs"}, "ports": [{"port": 5432}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def a_config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"theirs": "yes"}}


def test_a_foreign_service_keeps_its_name_and_that_is_said(cluster) -> None:
    cluster.apply(a_service("points"), *cluster.models.values())
    cluster.deploy("points")
    said = cluster.wait_reason("mdep", "points", "NameTaken")
    assert said["message"].startswith("Service points exists and is somebody else's: delete or rename it")
    assert cluster.condition("mdep", "points", "Stalled")["status"] == "True"
    service = cluster.get("service", "points")
    assert service["spec"]["selector"] == {"app": "theirs"}
    assert "ownerReferences" not in service["metadata"]
    cluster.kubectl("delete", "service", "points")
    cluster.wait_ready("points")


def test_any_other_foreign_child_is_left_alone_too(cluster) -> None:
    cluster.apply(a_config_map("points-shadow"), *cluster.models.values())
    cluster.deploy("points")
    cluster.wait_ready("points")
    assert cluster.get("configmap", "points-shadow")["data"] == {"theirs": "yes"}
    events = cluster.list("events")
    assert any("ConfigMap points-shadow exists and is somebody else's" in event["message"] for event in events)
