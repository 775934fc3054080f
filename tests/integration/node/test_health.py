"""Probes and hooks."""

import sys
from pathlib import Path
from typing import Any

import pytest

from support.processnode import Api, eventually, is_ready, shell, state

POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
HTTP = {
    "command": ["python3", "-m", "http.server", "--bind", "$(POD_IP)", "--directory", "/www", "8080"],
    "env": [POD_IP],
    "volumeMounts": [{"name": "www", "mountPath": "/www"}],
    "ports": [{"name": "http", "containerPort": 8080}],
}
GRPC = """
import sys, grpc
from concurrent import futures
class Health(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            answer = lambda request, _: bytes([8, 1 if b"good" in request else 2])
            return grpc.unary_unary_rpc_method_handler(answer)
server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Health()])
server.add_insecure_port(sys.argv[1] + ":9000")
server.start()
server.wait_for_termination()
"""


async def test_readiness_follows_http(api: Api, tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/ok", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    www = [{"name": "www", "hostPath": {"path": str(tmp_path)}}]
    await api.run({**HTTP, "readinessProbe": probe}, volumes=www)
    assert "404" in await api.event("Unhealthy") or "refused" in await api.event("Unhealthy")
    assert not is_ready(await api.phase("Running"))
    (tmp_path / "ok").touch()
    first = await api.until(is_ready)
    (tmp_path / "ok").unlink()
    await api.until(lambda it: not is_ready(it))
    (tmp_path / "ok").touch()
    assert state(await api.until(is_ready))["containerID"] == state(first)["containerID"]


@pytest.mark.parametrize("service", ["good", "bad"])
async def test_readiness_follows_grpc_health(api: Api, service: str) -> None:
    probe = {"grpc": {"port": 9000, "service": service}, "periodSeconds": 1}
    await api.run({"command": [sys.executable, "-c", GRPC, "$(POD_IP)"], "env": [POD_IP], "readinessProbe": probe})
    if service == "good":
        await api.until(is_ready)
    else:

        async def not_serving() -> bool:
            return "not SERVING" in (await api.events()).get("Unhealthy", "")

        from support.processnode import eventually

        await eventually(not_serving, told=api.events)


async def test_readiness_follows_tcp(api: Api, tmp_path: Path) -> None:
    www = [{"name": "www", "hostPath": {"path": str(tmp_path)}}]
    probe: dict[str, Any] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    await api.run({**HTTP, "readinessProbe": probe}, volumes=www)
    await api.until(is_ready)


async def test_a_failing_liveness_probe_restarts_the_container(api: Api, tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    healthy.touch()
    probe = {"exec": {"command": ["test", "-e", "/v/healthy"]}, "periodSeconds": 1, "failureThreshold": 2}
    volumes = [{"name": "v", "hostPath": {"path": str(tmp_path)}}]
    main = shell("exec sleep 60", livenessProbe=probe, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await api.run(main, volumes=volumes)
    await api.until(is_ready)
    healthy.unlink()
    assert "failed liveness probe" in await api.event("Killing")
    healthy.touch()
    found = await api.until(lambda it: state(it)["restartCount"] == 1 and is_ready(it))
    assert state(found)["lastState"]["terminated"]["exitCode"] == 143


async def test_a_startup_probe_holds_readiness_back_and_ends_what_never_starts(api: Api) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    await api.run(shell("exec sleep 60", startupProbe=probe), restartPolicy="Never")
    found = await api.phase("Failed")
    assert not state(found)["ready"]
    assert "failed startup probe" in await api.event("Killing")


async def test_a_probe_that_takes_too_long_fails(api: Api) -> None:
    probe = {"exec": {"command": ["sleep", "30"]}, "periodSeconds": 1, "timeoutSeconds": 1}
    await api.run(shell("exec sleep 60", readinessProbe=probe))
    assert "no answer within 1 s" in await api.event("Unhealthy")


async def test_hooks_run_before_readiness_and_before_the_end(api: Api, tmp_path: Path) -> None:
    hook = {"exec": {"command": ["sh", "-c", "echo started >> /v/log"]}}
    stop = {"exec": {"command": ["sh", "-c", "echo stopping >> /v/log"]}}
    script = "trap 'echo ended >> /v/log; exit 0' TERM; while :; do sleep 0.1; done"
    mounts = [{"name": "v", "mountPath": "/v"}]
    main = shell(script, lifecycle={"postStart": hook, "preStop": stop}, volumeMounts=mounts)
    await api.run(main, volumes=[{"name": "v", "hostPath": {"path": str(tmp_path)}}])
    await api.phase("Running")

    async def started() -> bool:
        return (tmp_path / "log").exists()

    await eventually(started)
    await api.delete()
    await api.gone()
    assert (tmp_path / "log").read_text() == "started\nstopping\nended\n"
