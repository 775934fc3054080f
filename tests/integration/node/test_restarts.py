"""The node process itself ends: what runs goes on, what ended isn't lost, nothing runs twice."""

import json
import os
import signal
import subprocess
from pathlib import Path

from kingmaker.kube.errors import ApiError
from support.processnode import Api, ProcessNode, eventually, is_ready, lives, pid_of, shell, state, terminated


async def test_the_node_is_registered(api: Api) -> None:
    found = await api.client.get("/api/v1/nodes/laptop")
    assert {"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"} <= found["metadata"]["labels"].keys()
    assert found["status"]["allocatable"]["cpu"] == str(os.cpu_count())
    assert {"type": "InternalIP", "address": "127.0.0.1"} in found["status"]["addresses"]
    lease = await api.client.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/laptop")
    assert lease["spec"]["holderIdentity"] == "laptop"


async def test_pods_go_on_when_the_node_is_killed_and_are_found_again(api: Api, node: ProcessNode) -> None:
    await api.run(shell("exec sleep 300"), name="stays")
    await api.run(
        shell(
            "while [ ! -e /v/go ]; do sleep 0.05; done; echo bye > /dev/termination-log; exit 5",
            volumeMounts=[{"name": "v", "mountPath": "/v"}],
        ),
        name="ends",
        restartPolicy="Never",
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    await api.run(shell("exec sleep 300"), name="deleted")
    stays, ends, deleted = [await api.until(is_ready, name) for name in ("stays", "ends", "deleted")]
    node.kill()
    assert all(lives(pid_of(found)) for found in (stays, ends, deleted))
    (node.folder / "pods" / ends["metadata"]["uid"] / "volumes" / "v" / "go").touch()

    async def ended() -> bool:
        return not lives(pid_of(ends))

    await eventually(ended)
    await api.delete("deleted", gracePeriodSeconds=0)
    await api.run(shell("exec sleep 300"), name="new")
    node.start()
    told = terminated(await api.phase("Failed", "ends"))
    assert (told["exitCode"], told["message"]) == (5, "bye\n")
    again = await api.pod("stays")
    assert (pid_of(again), state(again)["restartCount"]) == (pid_of(stays), 0)
    assert is_ready(again)
    await api.until(is_ready, "new")

    async def killed() -> bool:
        return not lives(pid_of(deleted))

    await eventually(killed)
    await api.delete("stays")
    await api.gone("stays")
    assert not lives(pid_of(stays))


async def test_nothing_runs_twice_however_often_the_node_is_killed(api: Api, node: ProcessNode, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    script = f"echo start >> {journal}; exec sleep 300"
    for round_ in range(4):
        await api.run(shell(script), name=f"pod-{round_}", restartPolicy="Never")

        async def begun(count: int = round_) -> bool:
            # In some rounds before the process was written down, in others after.
            return count % 2 == 0 or (journal.exists() and len(journal.read_text().splitlines()) >= count)

        await eventually(begun)
        node.kill()
        node.start()
    found = [
        await api.until(lambda it: it["status"].get("phase") in {"Running", "Failed"}, f"pod-{n}") for n in range(4)
    ]
    running = [it for it in found if it["status"]["phase"] == "Running"]
    assert all(lives(pid_of(it)) for it in running)
    assert len(running) <= len(journal.read_text().splitlines()) <= 4


async def test_a_container_whose_supervisor_is_killed_ends_and_is_restarted(api: Api, node: ProcessNode) -> None:
    del node
    await api.run(shell("exec sleep 300"))
    found = await api.until(is_ready)
    shim = int(Path(f"/proc/{pid_of(found)}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(shim, signal.SIGKILL)
    again = await api.until(lambda it: state(it)["restartCount"] == 1 and is_ready(it))
    assert not lives(pid_of(found))
    assert state(again)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"


async def test_a_second_node_process_in_one_folder_refuses(node: ProcessNode) -> None:
    second = subprocess.run(node.command(), capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert "another node process runs in" in second.stderr


async def test_asked_to_end_the_node_ends_its_pods_first(api: Api, node: ProcessNode) -> None:
    await api.run(shell("trap '' TERM; while :; do sleep 0.1; done"), terminationGracePeriodSeconds=300)
    found = await api.until(is_ready)
    proxy = node.proxy_pid()
    assert node.stop() == 0
    assert not lives(pid_of(found))
    assert not lives(proxy)
    node.start()
    again = await api.until(lambda it: is_ready(it) and state(it)["restartCount"] == 1)
    assert again["status"]["podIP"] == found["status"]["podIP"]


async def test_the_node_comes_back_to_an_api_server_that_was_killed(api: Api, node: ProcessNode) -> None:
    await api.run(shell("exec sleep 300"))
    found = await api.until(is_ready)
    record = node.control_plane.folder / "processes" / "kube-apiserver.json"
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)

    async def accepted() -> bool:
        try:
            await api.run(shell("exec sleep 300"), name="after")
        except ApiError as error:
            return error.status == 409
        return True

    await eventually(accepted, 40)
    await api.until(is_ready, "after", seconds=40)
    assert pid_of(await api.pod()) == pid_of(found)
