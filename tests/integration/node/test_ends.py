"""How pods end: grace, deadlines, force, all at once."""

import asyncio
import time
from typing import Any

import pytest

from support.processnode import (
    Api,
    ProcessNode,
    eventually,
    is_ready,
    lives,
    pid_of,
    pod,
    processes_of,
    shell,
    terminated,
)

STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    ("script", "grace", "within"),
    [
        pytest.param("exec sleep 300", 30, 2, id="one that ends when asked"),
        pytest.param(STUBBORN, 1, 4, id="one that doesn't"),
    ],
)
async def test_deletion(api: Api, node: ProcessNode, script: str, grace: int, within: float) -> None:
    await api.run(shell(script), terminationGracePeriodSeconds=grace)
    found = await api.until(is_ready)
    started = time.monotonic()
    await api.delete()
    await api.gone()
    assert time.monotonic() - started < within
    assert not lives(pid_of(found))
    folder = node.folder / "pods" / found["metadata"]["uid"]
    await eventually(lambda: asyncio.to_thread(lambda: not folder.exists()))


async def test_a_pod_is_unready_as_soon_as_its_deletion_begins(api: Api) -> None:
    await api.run(shell(STUBBORN), terminationGracePeriodSeconds=3)
    found = await api.until(is_ready)
    await api.delete()
    unready = await api.until(lambda it: not is_ready(it), seconds=2)
    assert lives(pid_of(found))
    assert unready["metadata"]["deletionTimestamp"]


async def test_a_second_deletion_hurries_the_first(api: Api) -> None:
    await api.run(shell(STUBBORN), terminationGracePeriodSeconds=60)
    await api.until(is_ready)
    await api.delete()
    await api.until(lambda it: not is_ready(it))
    await api.delete(gracePeriodSeconds=1)
    await api.gone(seconds=5)


async def test_a_sleeping_hook_delays_the_end(api: Api) -> None:
    await api.run(
        shell("exec sleep 300", lifecycle={"preStop": {"sleep": {"seconds": 1}}}), terminationGracePeriodSeconds=10
    )
    found = await api.until(is_ready)
    await api.delete()
    await api.until(lambda it: not is_ready(it))
    assert lives(pid_of(found))
    await api.gone()


async def test_a_force_deleted_pod_is_killed(api: Api, node: ProcessNode) -> None:
    await api.run(shell(STUBBORN))
    found = await api.until(is_ready)
    await api.delete(gracePeriodSeconds=0)
    await api.gone(seconds=1)

    async def ended() -> bool:
        return not lives(pid_of(found)) and not (node.folder / "pods" / found["metadata"]["uid"]).exists()

    await eventually(ended, 6)


async def test_the_deadline_of_a_pod(api: Api) -> None:
    await api.run(shell("exec sleep 300"), activeDeadlineSeconds=1)
    found = await api.phase("Failed")
    assert found["status"]["reason"] == "DeadlineExceeded"
    await api.until(lambda it: terminated(it)["exitCode"] == 143)


async def job(api: Api, script: str, **spec: Any) -> dict[str, Any]:
    template = pod(shell(script), restartPolicy="Never")
    del template["metadata"]["name"]
    body = {"metadata": {"name": "job"}, "spec": {"template": template, **spec}}
    await api.create("jobs", body, group="apis/batch/v1")

    async def finished() -> dict[str, Any] | None:
        found = await api.client.get(api.path("jobs", "job", group="apis/batch/v1"))
        ended = [one for one in found["status"].get("conditions", []) if one["type"] in {"Complete", "Failed"}]
        return found if ended else None

    return await eventually(finished, 45)


async def test_a_job_completes(api: Api) -> None:
    assert (await job(api, "true"))["status"]["succeeded"] == 1


async def test_a_job_gives_up_after_its_back_off_limit(api: Api) -> None:
    found = await job(api, "exit 1", backoffLimit=0)
    assert found["status"]["failed"] == 1
    assert any(one["reason"] == "BackoffLimitExceeded" for one in found["status"]["conditions"])


async def test_fifty_pods_end_at_once(api: Api, node: ProcessNode) -> None:
    names = [f"pod-{number}" for number in range(50)]
    await asyncio.gather(*(api.run(shell("exec sleep 300"), name=name) for name in names))
    pods = [await api.phase("Running", name) for name in names]
    assert len({found["status"]["podIP"] for found in pods}) == 50
    started = time.monotonic()
    await api.client.delete(api.path("pods"), {})
    for name in names:
        await api.gone(name)
    assert time.monotonic() - started < 12
    left = [found["metadata"]["uid"] for found in pods if (node.folder / "pods" / found["metadata"]["uid"]).exists()]
    assert not left
    for found in pods:
        assert not processes_of(node.folder / "pods" / found["metadata"]["uid"])
