"""The control plane of the fixtures is a real one."""

import json

from support.controlplane import ControlPlane


def test_a_deployment_becomes_a_pod_that_waits_for_a_node(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "deployment", "web", "--image=web", "--replicas=0", "-n", namespace)
    # Another test may have left a Node behind: this one asks for a kind that nobody has.
    elsewhere = '{"spec": {"replicas": 1, "template": {"spec": {"nodeSelector": {"kind": "none"}}}}}'
    control_plane.kubectl("patch", "deployment", "web", "-n", namespace, "-p", elsewhere)
    control_plane.kubectl(
        "wait", "--for=condition=PodScheduled=False", "pod", "-l", "app=web", "-n", namespace, "--timeout=30s"
    )
    pods = json.loads(control_plane.kubectl("get", "pods", "-n", namespace, "-o", "json").stdout)["items"]
    assert [condition["reason"] for condition in pods[0]["status"]["conditions"]] == ["Unschedulable"]


def test_services_get_loopback_addresses(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "service", "clusterip", "web", "--tcp=80:8080", "-n", namespace)
    service = json.loads(control_plane.kubectl("get", "service", "web", "-n", namespace, "-o", "json").stdout)
    assert service["spec"]["clusterIP"].startswith("127.")


def test_nobody_is_let_in_without_a_token(control_plane: ControlPlane) -> None:
    refused = control_plane.kubectl(
        "get",
        "pods",
        "--token=wrong",
        "--kubeconfig=/dev/null",
        "--insecure-skip-tls-verify",
        f"--server={control_plane.url}",
        check=False,
    )
    assert refused.returncode == 1
    assert "You must be logged in" in refused.stderr
