"""What a container is given, and how its end is told."""

import json
from pathlib import Path

import pytest

from support.processnode import Api, ProcessNode, eventually, pid_of, shell, state, terminated

DUMP = """python3 -c "
import json, os, sys
json.dump([dict(os.environ), sys.argv[1:], os.getcwd()], open(sys.argv[1], 'w'))
" "$@"
"""


async def test_a_container_gets_what_it_asks_for(api: Api) -> None:
    await api.create("configmaps", {"metadata": {"name": "cm"}, "data": {"a": "1", "b": "two"}})
    await api.create("secrets", {"metadata": {"name": "s"}, "stringData": {"key": "s3cret"}})
    main = {
        "command": ["sh", "-c", DUMP, "sh"],
        "args": ["/dev/termination-log", "$(GREETING)", "--dir=/mnt/data/x", "$$(GREETING)"],
        "workingDir": "/mnt/data",
        "env": [
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "GREETING", "value": "hello $(IP)"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "PLACE", "value": "/mnt/data/y"},
        ],
        "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "cm"}}],
        "resources": {"limits": {"memory": "64Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}],
    }
    await api.run(main, restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {}}])
    found = await api.phase("Succeeded")
    env, argv, cwd = json.loads(terminated(found)["message"])
    ip = found["status"]["podIP"]
    assert argv[1:] == [f"hello {ip}", f"--dir={cwd}/x", "$(GREETING)"]
    asked = {"IP": ip, "GREETING": f"hello {ip}", "KEY": "s3cret", "MEMORY": "64", "PLACE": f"{cwd}/y"}
    assert asked.items() <= env.items()
    assert (env["CM_a"], env["CM_b"]) == ("1", "two")
    given = {"PATH", "HOME", "LANG"}
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    assert set(env) - of_the_shell == given | asked.keys() | {"CM_a", "CM_b"}


async def test_init_containers_run_in_order_and_share_volumes(api: Api) -> None:
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    init = [shell(f"echo {name} >> /v/order", name=name, **mounts) for name in ("one", "two", "three")]
    main = shell("cp /v/order /dev/termination-log", **mounts)
    await api.run(main, restartPolicy="Never", initContainers=init, volumes=[{"name": "v", "emptyDir": {}}])
    found = await api.phase("Succeeded")
    assert terminated(found)["message"] == "one\ntwo\nthree\n"
    assert [one["ready"] for one in found["status"]["initContainerStatuses"]] == [True] * 3


async def test_a_failed_init_container_fails_a_pod_that_never_restarts(api: Api) -> None:
    await api.run(shell("true"), restartPolicy="Never", initContainers=[shell("exit 3", name="first")])
    found = await api.phase("Failed")
    assert terminated(found, "first")["exitCode"] == 3
    assert "waiting" in state(found)["state"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("exit 7", {"exitCode": 7, "reason": "Error"}, id="an exit code"),
        pytest.param("kill -9 $$$$", {"exitCode": 137, "signal": 9, "reason": "Error"}, id="a signal"),
        pytest.param("echo last words; exit 1", {"message": "last words"}, id="the log instead of a message"),
        pytest.param("echo why > /dev/termination-log; echo x; exit 1", {"message": "why\n"}, id="a message"),
    ],
)
async def test_how_a_container_ended_is_told(api: Api, script: str, expected: dict[str, object]) -> None:
    await api.run(shell(script, terminationMessagePolicy="FallbackToLogsOnError"), restartPolicy="Never")
    assert expected.items() <= terminated(await api.phase("Failed")).items()


async def test_a_termination_log_of_its_own_path(api: Api) -> None:
    await api.run(shell("echo x > /tmp/why", terminationMessagePath="/tmp/why"), restartPolicy="Never")
    assert terminated(await api.phase("Succeeded"))["message"] == "x\n"


async def test_a_command_that_is_not_installed_says_so(api: Api) -> None:
    await api.run({"command": ["no-such-program"]}, restartPolicy="Never")
    ended = terminated(await api.phase("Failed"))
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


async def test_restarts_back_off(api: Api) -> None:
    await api.run(shell("exit 2"))
    found = await api.until(lambda it: "waiting" in state(it)["state"] and state(it)["restartCount"] >= 2)
    assert state(found)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert state(found)["lastState"]["terminated"]["exitCode"] == 2
    assert found["status"]["phase"] == "Running"
    assert "back-off" in await api.event("BackOff")


async def test_on_failure_restarts_until_success(api: Api) -> None:
    script = "test -e /v/again || { touch /v/again; exit 1; }"
    main = shell(script, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await api.run(main, restartPolicy="OnFailure", volumes=[{"name": "v", "emptyDir": {}}])
    found = await api.phase("Succeeded")
    assert state(found)["restartCount"] == 1


async def test_addresses_are_stable_and_each_pods_own(api: Api) -> None:
    for name in ("a", "b"):
        await api.run(shell("exec sleep 60"), name=name)
    first, second = [(await api.phase("Running", name))["status"]["podIP"] for name in ("a", "b")]
    assert first != second
    assert first.startswith("127.")


async def test_what_left_the_process_group_ends_with_the_container(api: Api, tmp_path: Path) -> None:
    escapee = tmp_path / "pid"
    await api.run(shell(f"setsid sh -c 'echo $$$$ > {escapee}; exec sleep 300' & sleep 300"))
    main = pid_of(await api.phase("Running"))

    async def escaped() -> bool:
        return escapee.exists() and escapee.read_text().strip() != ""

    await eventually(escaped)
    left = int(escapee.read_text())
    await api.delete()
    await api.gone()
    assert not Path(f"/proc/{left}").exists()
    assert not Path(f"/proc/{main}").exists()


async def test_a_pod_starts_within_half_a_second(api: Api, node: ProcessNode) -> None:
    del node
    await api.run(shell("exec sleep 60"))
    found = await api.phase("Running")
    scheduled = next(one for one in found["status"]["conditions"] if one["type"] == "PodScheduled")
    started = state(found)["state"]["running"]["startedAt"]
    # Whole seconds only: neighbouring seconds are as near as the API's times can tell.
    assert int(started[-3:-1]) - int(scheduled["lastTransitionTime"][-3:-1]) in {0, 1, -59}
