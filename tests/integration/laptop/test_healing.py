"""Programs that are killed come back by themselves, and nothing is lost or doubled by it."""

from pathlib import Path

import pytest

from kingmaker_laptop import processes
from kingmaker_laptop.home import Home
from kingmaker_laptop.supervisor import Options, run, write_status
from kingmaker_laptop.up import is_ready
from support.laptop import Laptop, wait_for


@pytest.mark.parametrize("program", ["etcd", "kube-apiserver", "kube-controller-manager", "node"])
def test_a_killed_program_comes_back(laptop: Laptop, program: str) -> None:
    laptop.up()
    pod = laptop.run_pod("witness")
    laptop.kubectl("create", "configmap", "before")

    killed = laptop.kill(program)

    wait_for(lambda: laptop.pid(program) != killed)
    wait_for(lambda: _works(laptop, "after"), seconds=60)
    assert laptop.kubectl("get", "configmap", "before", "-o", "name") == "configmap/before\n"
    assert pod in [pid for pid, _ in laptop.processes()]
    laptop.down()
    assert laptop.processes() == []


def test_after_a_killed_supervisor_up_goes_on_with_the_running_pods(laptop: Laptop) -> None:
    laptop.up()
    pod = laptop.run_pod("witness")
    laptop.kill("supervisor")

    again = laptop.up()

    assert again.returncode == 0, again.stderr
    assert "already running" not in again.stderr
    assert pod in [pid for pid, _ in laptop.processes()]
    assert laptop.kubectl("get", "pod", "witness", "-o", "jsonpath={.status.phase}") == "Running"
    laptop.down()
    assert laptop.processes() == []


def test_what_a_killed_supervisor_said_last_is_not_taken_for_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.prepare()
    write_status(home, "ready", "said before the kill")
    keep = processes.save
    seen = []

    def keep_and_look(path: Path, record: processes.ProcessRecord) -> None:
        keep(path, record)
        seen.append(is_ready(home))
        raise InterruptedError

    monkeypatch.setattr(processes, "save", keep_and_look)
    with pytest.raises(InterruptedError):
        run(Options(home, Path("no-binary")), report=lambda _: None, on_ready=lambda: None)
    assert seen == [False]


def test_down_after_supervisor_and_node_were_killed_leaves_nothing(laptop: Laptop) -> None:
    laptop.up()
    laptop.run_pod("witness")
    laptop.kill("supervisor")
    laptop.kill("node")
    assert laptop.down().returncode == 0
    assert laptop.processes() == []


def _works(laptop: Laptop, name: str) -> bool:
    """Say whether a pod that is created now gets to run: that needs every program."""
    try:
        laptop.kubectl("delete", "pod", name, "--ignore-not-found", "--now")
        laptop.run_pod(name)
    except AssertionError:
        return False
    return True
