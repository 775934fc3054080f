"""`kingmaker up` and `down`: what a person sees, and which processes are there afterwards."""

import json
import signal
import subprocess
from collections.abc import Callable

from support.controlplane import KINGMAKER
from support.laptop import Laptop, run, wait_for


def test_down_and_up_again_go_on_with_the_same_objects(laptop: Laptop) -> None:
    first = laptop.up()
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == str(laptop.folder / "kubeconfig")
    before = (laptop.folder / "kubeconfig").read_text()
    laptop.kubectl("create", "configmap", "kept", "--from-literal=a=b")

    down = laptop.down()
    assert (down.returncode, laptop.processes()) == (0, []), down.stderr

    assert laptop.up().returncode == 0
    assert laptop.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    assert (laptop.folder / "kubeconfig").read_text() == before


def test_up_says_that_it_is_running_and_changes_nothing(laptop: Laptop) -> None:
    laptop.up()
    before = {program: laptop.pid(program) for program in ("supervisor", "etcd", "node")}

    again = laptop.up()

    assert (again.returncode, again.stdout) == (0, f"{laptop.folder}/kubeconfig\n")
    assert "already running" in again.stderr
    assert {program: laptop.pid(program) for program in before} == before


def test_two_commands_at_once_start_one_cluster(laptop: Laptop) -> None:
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    commands = [subprocess.Popen(laptop.up_command(), **pipes) for _ in range(2)]
    said = sorted(command.communicate(timeout=110)[1].splitlines()[-1].split(" in ")[0] for command in commands)
    assert said == ["kingmaker: already running", "kingmaker: ready"]
    assert len([told for _, told in laptop.processes() if " etcd --name" in told]) == 1


def test_the_foreground_refuses_a_running_cluster(laptop: Laptop) -> None:
    laptop.up()
    refused = laptop.up("--foreground")
    assert refused.returncode == 1
    assert f"kingmaker down --dir {laptop.folder}" in refused.stderr


def test_two_folders_run_side_by_side(new_laptop: Callable[..., Laptop]) -> None:
    one, two = new_laptop(), new_laptop()
    commands = [subprocess.Popen(laptop.up_command(), stderr=subprocess.DEVNULL) for laptop in (one, two)]
    assert [command.wait(timeout=110) for command in commands] == [0, 0]
    networks = {laptop: _service_network(laptop) for laptop in (one, two)}
    assert networks[one] != networks[two]
    pids = {laptop: laptop.run_pod("p") for laptop in (one, two)}

    one.down()

    assert one.processes() == []
    assert pids[two] in [pid for pid, _ in two.processes()]
    assert two.kubectl("get", "pod", "p", "-o", "jsonpath={.status.phase}") == "Running"


def test_down_ends_the_pods(laptop: Laptop) -> None:
    laptop.up()
    laptop.run_pod("sleeper")
    assert laptop.down().returncode == 0
    assert laptop.processes() == []


def test_down_of_nothing_is_no_error(laptop: Laptop) -> None:
    down = laptop.down()
    assert down.returncode == 0
    assert "nothing is running" in down.stderr


def test_interrupt_in_the_foreground_leaves_nothing(laptop: Laptop) -> None:
    with subprocess.Popen(laptop.up_command("--foreground"), stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == f"{laptop.folder}/kubeconfig\n"
        laptop.run_pod("sleeper")
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=60) == 0
    assert laptop.processes() == []


def test_interrupt_while_it_starts_leaves_nothing(laptop: Laptop) -> None:
    command = subprocess.Popen(laptop.up_command(), stderr=subprocess.DEVNULL)
    wait_for((laptop.folder / "processes" / "kube-apiserver.json").exists)
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=60) == 130
    assert laptop.processes() == []


def test_a_program_that_cannot_start_is_explained_and_nothing_is_left(laptop: Laptop) -> None:
    laptop.folder.joinpath("etcd").mkdir(parents=True)
    laptop.folder.joinpath("etcd", "member").write_text("not a folder")
    failed = laptop.up()
    assert failed.returncode == 1
    assert "etcd ended with 1 at its start" in failed.stderr
    assert str(laptop.folder / "logs" / "etcd.log") in failed.stderr
    assert laptop.processes() == []


def test_a_process_that_got_an_old_id_is_never_ended(laptop: Laptop) -> None:
    laptop.folder.joinpath("processes").mkdir(parents=True)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        record = {"pid": stranger.pid, "began": 1, "boot": "another"}
        for name in ("supervisor", "etcd", "node"):
            laptop.folder.joinpath("processes", f"{name}.json").write_text(json.dumps(record))
        assert laptop.down().returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_url_is_where_the_node_serves_the_service(laptop: Laptop) -> None:
    laptop.up()
    laptop.kubectl("create", "service", "clusterip", "churn", "--tcp=80:8080")
    address = laptop.kubectl("get", "service", "churn", "-o", "jsonpath={.spec.clusterIP}")
    found = run([*KINGMAKER, "url", "--dir", str(laptop.folder), "churn"])
    assert (found.returncode, found.stdout) == (0, f"http://{address}:8080\n")
    missing = run([*KINGMAKER, "url", "--dir", str(laptop.folder), "-n", "default", "other"])
    assert missing.returncode == 1
    assert "other" in missing.stderr


def _service_network(laptop: Laptop) -> str:
    address = laptop.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    return address.rsplit(".", 2)[0]
