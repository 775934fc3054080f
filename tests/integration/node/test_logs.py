"""`kubectl logs`, and who may read."""

import socket
import ssl
import subprocess

import pytest

from kingmaker_laptop.binary import ensure_binary
from support.processnode import Api, ProcessNode, is_ready, shell, state


async def test_logs_of_running_ended_and_previous_containers(api: Api, node: ProcessNode) -> None:
    await api.run(
        shell(
            "echo first run; test -e /v/x || { touch /v/x; exit 1; }; echo out; echo err >&2; exec sleep 60",
            volumeMounts=[{"name": "v", "mountPath": "/v"}],
        ),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    await api.until(lambda it: state(it)["restartCount"] == 1 and is_ready(it))
    logs = ("logs", "-n", api.namespace, "pod")
    kubectl = node.control_plane.kubectl
    assert sorted(kubectl(*logs).stdout.splitlines()) == ["err", "first run", "out"]
    assert kubectl(*logs, "--previous").stdout == "first run\n"
    assert len(kubectl(*logs, "--tail=1").stdout.splitlines()) == 1
    assert kubectl(*logs, "--timestamps", "--since=1h").stdout.startswith("20")


async def test_following_ends_with_the_container(api: Api, node: ProcessNode) -> None:
    await api.run(shell("for i in 1 2 3; do echo $i; sleep 0.3; done"), restartPolicy="Never")
    await api.until(lambda it: it["status"]["phase"] in {"Running", "Succeeded"})
    command = [str(ensure_binary()), "kubectl", "--kubeconfig", str(node.control_plane.kubeconfig)]
    command += ["logs", "-f", "-n", api.namespace, "pod"]
    followed = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
    assert followed.stdout == "1\n2\n3\n"


async def test_a_container_that_waits_has_no_log(api: Api, node: ProcessNode) -> None:
    source = {"secretKeyRef": {"name": "late", "key": "a"}}
    await api.run(shell("true", env=[{"name": "A", "valueFrom": source}]))
    await api.until(lambda it: "containerStatuses" in it["status"])
    result = node.control_plane.kubectl("logs", "-n", api.namespace, "pod", check=False)
    assert "waiting to start" in result.stderr


async def test_only_the_api_server_may_read(api: Api, node: ProcessNode) -> None:
    del node
    status = (await api.client.get("/api/v1/nodes/laptop"))["status"]
    port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(OSError):
        _talk(anybody, plain)


def _talk(tls: ssl.SSLContext, plain: socket.socket) -> None:
    """Ask without a client certificate; in TLS 1.3 the refusal comes with the first read."""
    with tls.wrap_socket(plain) as stranger:
        stranger.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        if not stranger.recv(100):
            raise ConnectionResetError
