"""More than one node: pods that do the same stand on different ones, and a node that is emptied takes nothing with it.

Skipped where there are fewer than two nodes for pods.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Clients
from support.cluster import Cluster, Document, condition, is_ready, wait_until
from support.release import Images, Release
from support.seat import Seat, taken, told

NAMESPACE = "nodes"
ROLLOUTS = 3
OURS = "app.kubernetes.io/part-of=kingmaker"
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={OURS}", "--timeout=150s")

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def workers(cluster: Cluster) -> list[str]:
    """Names of the nodes that take pods."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    found = [node["metadata"]["name"] for node in nodes if _takes_pods(node)]
    if len(found) < 2:
        pytest.skip(f"needs two nodes that take pods; there is {len(found)}")
    return found


@pytest.fixture(scope="module")
def seat(
    workers: list[str], cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path
) -> Iterator[Seat]:
    del workers, release, clients
    with taken(cluster, NAMESPACE, built=built, trainer=images.training) as seat:
        yield seat


@pytest.fixture
def quiet(seat: Seat) -> Seat:
    """Begin when everything is well."""
    seat.wait_ready()
    return seat


def nodes_of(pods: list[Document]) -> list[str]:
    """Name the nodes of pods, each as often as it has one."""
    return sorted(pod["spec"]["nodeName"] for pod in pods)


def are_apart(pods: list[Document]) -> bool:
    return len(set(nodes_of(pods))) == len(pods) == 2


def test_pods_that_do_the_same_stand_on_two_nodes(quiet: Seat, release: Release) -> None:
    for pods in (quiet.pods(), quiet.routers(), release.operators()):
        assert are_apart(pods), nodes_of(pods)


def test_they_still_do_after_each_rollout(quiet: Seat) -> None:
    """Pods of the old kind must not count: the new ones would gather where the old one went first."""
    with quiet.load.watched() as window:
        for number in range(ROLLOUTS):
            before = {pod["metadata"]["uid"] for pod in quiet.pods()}
            quiet.change(serving={"maxRequestBytes": (number + 1) << 20})
            wait_until("servers are rolled over", lambda old=before: not old & _uids(quiet), seconds=120)
            quiet.wait_ready()
            assert are_apart(quiet.pods()), nodes_of(quiet.pods())
    assert told(f"{ROLLOUTS} rollouts", window).failed == 0


def test_nodes_are_emptied_in_turn_without_a_failed_request(quiet: Seat, release: Release, workers: list[str]) -> None:
    """As an upgrade of the nodes does it, the one of the leader first."""
    ahead = _node_of(release, release.leader())
    for node in sorted(workers, key=lambda name: name != ahead):
        leader = release.leader()
        is_led_here = _node_of(release, leader) == node
        with quiet.load.watched() as window:
            began = time.monotonic()
            try:
                quiet.cluster.kubectl("drain", node, *DRAIN, seconds=180)
                seconds = time.monotonic() - began
                assert not _ours(quiet.cluster, node)
                quiet.wait_ready()
                wait_until("two operators are ready", lambda: _operates(release), seconds=60)
            finally:
                quiet.cluster.kubectl("uncordon", node)
        if is_led_here:
            assert release.leader() != leader
        assert told(f"{node} is drained within {seconds:.0f} s{' with the leader' * is_led_here}", window).failed == 0


def test_pods_come_back_to_a_node_that_is_back(quiet: Seat, release: Release) -> None:
    """Nothing moves by itself: whoever is replaced goes where there is none."""
    with quiet.load.watched() as window:
        for find in (quiet.pods, quiet.routers, release.operators):
            pods = find()
            if not are_apart(pods):
                meta = pods[0]["metadata"]
                quiet.cluster.kubectl("delete", "pod", meta["name"], "-n", meta["namespace"])
                quiet.wait_ready()
                wait_until("two operators are ready", lambda: _operates(release), seconds=60)
            assert are_apart(find()), nodes_of(find())
    assert told("a pod of each kind is deleted", window).failed == 0


def _takes_pods(node: Document) -> bool:
    spec = node["spec"]
    keeps_away = any(taint["effect"] in {"NoSchedule", "NoExecute"} for taint in spec.get("taints", ()))
    return condition(node, "Ready").get("status") == "True" and not spec.get("unschedulable") and not keeps_away


def _uids(seat: Seat) -> set[str]:
    return {pod["metadata"]["uid"] for pod in seat.pods()}


def _ours(cluster: Cluster, node: str) -> list[str]:
    """Name all pods of Kingmaker on a node that are not about to end."""
    chosen = ("--all-namespaces", f"--selector={OURS}", f"--field-selector=spec.nodeName={node},status.phase=Running")
    return cluster.kubectl("get", "pods", *chosen, "-o", "name").split()


def _node_of(release: Release, operator: str) -> str:
    names = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in release.operators()}
    return next((node for name, node in names.items() if operator.startswith(name)), "")


def _operates(release: Release) -> bool:
    operators = release.operators()
    return len(operators) == 2 and all(map(is_ready, operators)) and release.leader() != ""
