"""The hostile half: what goes wrong in a cluster happens here, while an open-loop load generator counts every request.

No request may fail, except where a server is killed with requests in its hands: of those at most 0.1 % over 60 seconds.
A router has its clients' connections in its hands, and Kubernetes gives it new ones for the second or two until it has
seen that the router is down: of those at most 0.5 %.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Clients
from support.cluster import Cluster, Document, KubectlError, is_ready, wait_until
from support.fault_pod import FaultPod
from support.release import Images, Release
from support.seat import CHALLENGER, CHAMPION, NAME, Seat, taken, told

NAMESPACE = "hostile"
KILLED_SECONDS = 60.0
KILLED_SHARE = 0.001
ROUTER_KILLED_SHARE = 0.005

LOOKUP_SECONDS = 11.0
"""A little longer than aiohttp, which the load generator asks with, remembers an address."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def world(cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path) -> Iterator[Seat]:
    with taken(cluster, NAMESPACE, built=built, trainer=images.training) as seat:
        yield seat


@pytest.fixture
def quiet(world: Seat) -> Seat:
    """Begin when everything is well."""
    world.wait_ready()
    return world


@pytest.fixture(scope="module")
def fault_pod(cluster: Cluster, images: Images) -> FaultPod:
    fault_pod = FaultPod(cluster, images)
    fault_pod.start()
    return fault_pod


def for_the_rest_of(seconds: float, since: float) -> None:
    """Let the load run on until a fixed time has passed."""
    end = since + seconds
    wait_until("the time is over", lambda: time.monotonic() >= end, seconds=seconds + 5)


def refused(seat: Seat, document: Document) -> bool:
    """Say whether the API server would not take a document."""
    try:
        seat.cluster.kubectl("create", "--dry-run=server", "-n", seat.namespace, "-f", "-", stdin=json.dumps(document))
    except KubectlError:
        return True
    return False


def restarts(pod: Document) -> int:
    return sum(c["restartCount"] for c in pod["status"].get("containerStatuses", ()))


def last_end(pod: Document) -> Document:
    return pod["status"]["containerStatuses"][0].get("lastState", {}).get("terminated", {})


def test_an_image_that_cannot_start_leaves_the_champion_alone(quiet: Seat) -> None:
    before = {p["metadata"]["uid"] for p in quiet.pods()}
    with quiet.load.watched() as window:
        quiet.change(serving={"image": "registry.invalid/no-such-image:1"})
        said = wait_until("the condition", lambda: quiet.holds("Ready", "False", "PodsFailing"), seconds=60)
        assert "registry.invalid/no-such-image:1 can't be pulled" in said["message"]
        assert quiet.holds("ChampionAvailable", "True")
        assert before <= {p["metadata"]["uid"] for p in quiet.pods()}
        quiet.change(serving={"image": None})
        quiet.wait_ready()
    assert told("an image that can't be pulled", window).failed == 0
    assert {p["metadata"]["uid"] for p in quiet.pods()} == before


def test_a_quota_keeps_a_challenger_out_and_the_champion_in(quiet: Seat) -> None:
    # A quota does not count pods that have ended.
    in_use = sum(pod["status"]["phase"] == "Running" for pod in quiet.cluster.find("pods", NAMESPACE))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": NAMESPACE},
        "spec": {"hard": {"pods": str(in_use)}},
    }
    quiet.cluster.apply(quota)
    try:
        with quiet.load.watched() as window:
            quiet.change(challengers=[{"name": "b", "modelRef": {"name": CHALLENGER}, "weight": 20}])
            said = wait_until(
                "the condition", lambda: quiet.holds("ContestInProgress", "False", "PodsRefused"), seconds=60
            )
            assert "exceeded quota: full" in said["message"]
            assert quiet.holds("Ready", "True")
            assert not quiet.pods(CHALLENGER)
        assert told("a quota is exceeded", window).failed == 0
        assert set(window.by_model) == {CHAMPION}
    finally:
        quiet.kubectl("delete", "resourcequota", "full")
    with quiet.load.watched() as window:
        wait_until("the challenger serves", lambda: "/20" in quiet.read()["status"].get("traffic", ""), seconds=120)
        quiet.change(challengers=[])
        wait_until("the challenger is gone", lambda: not quiet.pods(CHALLENGER), seconds=60)
    assert told("the quota is raised, the challenger enters and leaves", window).failed == 0
    assert window.by_model[CHALLENGER] > 0


def test_a_challenger_that_admission_denies_does_not_touch_the_champion(quiet: Seat) -> None:
    name = "deny-the-challenger"
    model = "object.metadata.?labels['kingmaker.dev/model'].orValue('')"
    rule = f"!({model} in ['{CHALLENGER}', 'probe'])"
    resources = ["pods", "configmaps"]
    matched = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": resources}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [matched]},
            "validations": [{"expression": rule, "message": "this model is not welcome here"}],
        },
    }
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    spec = {"policyName": name, "validationActions": ["Deny"], "matchResources": selector}
    kind = "ValidatingAdmissionPolicyBinding"
    binding = {"apiVersion": policy["apiVersion"], "kind": kind, "metadata": {"name": name}, "spec": spec}
    probe = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"kingmaker.dev/model": "probe"}},
    }
    quiet.cluster.apply(policy, binding)
    try:
        wait_until("the policy is in force", lambda: refused(quiet, probe), seconds=60)
        with quiet.load.watched() as window:
            quiet.change(challengers=[{"name": "b", "modelRef": {"name": CHALLENGER}, "weight": 20}])
            said = wait_until(
                "the condition", lambda: quiet.holds("ContestInProgress", "False", "PodsRefused"), seconds=60
            )
            assert "this model is not welcome here" in said["message"]
            assert quiet.holds("Ready", "True")
            quiet.change(challengers=[])
            wait_until(
                "its Deployment is gone",
                lambda: CHALLENGER not in quiet.kubectl("get", "deployments", "-o", "name"),
                seconds=60,
            )
        assert told("admission denies a challenger", window).failed == 0
    finally:
        quiet.cluster.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def test_pod_security_denies_whoever_is_less_restricted_than_we_are(quiet: Seat) -> None:
    """The policy under which all of this runs is in force."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "c", "image": "docker.io/none:1"}]},
    }
    done = subprocess.run(
        ["kubectl", "apply", "-f", "-"], input=json.dumps(pod), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'violates PodSecurity "restricted' in done.stderr


def test_children_that_are_deleted_by_hand_come_back(quiet: Seat) -> None:
    kinds = "deployments,services,networkpolicies,poddisruptionbudgets,configmaps,serviceaccounts"
    mine = "app.kubernetes.io/managed-by=kingmaker"
    named = ("get", kinds, "--selector", mine, "-o", "name")
    before = set(quiet.kubectl(*named).split())
    # The endpoint itself is the one thing that clients hold in their hands.
    doomed = sorted(before - {f"service/{NAME}"})
    assert len(doomed) >= 8
    with quiet.load.watched() as window:
        quiet.kubectl("delete", "--wait=false", *doomed)
        wait_until("all are back", lambda: set(quiet.kubectl(*named).split()) >= before, seconds=60)
        quiet.wait_ready()
    assert told(f"{len(doomed)} children deleted by hand", window).failed == 0


def test_the_endpoint_comes_back_within_seconds(quiet: Seat) -> None:
    old = quiet.cluster.get("service", NAME, NAMESPACE)["metadata"]["uid"]
    quiet.kubectl("delete", "service", NAME)
    began = time.monotonic()

    def is_new() -> bool:
        return quiet.cluster.get("service", NAME, NAMESPACE)["metadata"]["uid"] != old

    wait_until("the Service is back", is_new, seconds=15, pause=0.1)
    print(f"\nthe endpoint's Service was back after {time.monotonic() - began:.1f} s")
    # It has a new address. Clients look the name up when they connect anew, and not before they forgot the old one.
    wait_until("clients have found it", lambda: _is_calm(quiet, LOOKUP_SECONDS), seconds=90)


def test_a_drain_takes_one_pod_at_a_time(quiet: Seat) -> None:
    node = quiet.pods()[0]["spec"]["nodeName"]
    selector = "app.kubernetes.io/managed-by=kingmaker"
    drain = ("drain", node, f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=20s")
    alone = len(quiet.cluster.kubectl("get", "nodes", "-o", "name").split()) == 1
    with quiet.load.watched() as window:
        command = ["kubectl", *drain, "--ignore-daemonsets"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        try:
            if alone:
                # Nowhere to go: the budgets keep the last pod of each kind where it is.
                assert "disruption budget" in done.stderr, done.stderr
                assert any(map(is_ready, quiet.pods()))
                assert any(map(is_ready, quiet.routers()))
        finally:
            quiet.cluster.kubectl("uncordon", node)
        quiet.wait_ready()
    assert told("the node is drained and comes back", window).failed == 0


def test_a_champion_out_of_memory_has_a_second_pod(quiet: Seat, fault_pod: FaultPod) -> None:
    victim = quiet.pods()[0]
    with quiet.load.watched() as window:
        began = time.monotonic()
        fault_pod.exhaust_memory(victim)
        wait_until("it is started again", lambda: _restarted(quiet, victim), seconds=60)
        quiet.wait_ready()
        for_the_rest_of(KILLED_SECONDS, began)
    _assert_oom_killed(quiet, victim)
    assert told("one of two champions is OOM-killed", window).failed <= KILLED_SHARE * window.sent


def test_a_champions_only_pod_out_of_memory_is_waited_for(quiet: Seat, fault_pod: FaultPod) -> None:
    quiet.change(serving={"replicas": 1})
    quiet.wait_ready(1)
    victim = quiet.pods()[0]
    try:
        with quiet.load.watched() as window:
            began = time.monotonic()
            fault_pod.exhaust_memory(victim)
            wait_until("it is started again", lambda: _restarted(quiet, victim), seconds=60)
            quiet.wait_ready(1)
            for_the_rest_of(KILLED_SECONDS, began)
        _assert_oom_killed(quiet, victim)
        assert told("a champion's only pod is OOM-killed", window).failed <= KILLED_SHARE * window.sent
    finally:
        quiet.change(serving={"replicas": 2})


def test_a_router_out_of_memory_has_a_second_pod(quiet: Seat, fault_pod: FaultPod) -> None:
    victim = quiet.routers()[0]
    with quiet.load.watched() as window:
        began = time.monotonic()
        fault_pod.exhaust_memory(victim)
        quiet.wait_ready()
        for_the_rest_of(KILLED_SECONDS, began)
    told("one of two routers is OOM-killed", window)
    assert window.failed <= ROUTER_KILLED_SHARE * window.sent
    assert window.by_status.keys() <= {"200", "none"}, "a router said so itself"


def test_operators_are_killed_in_turn(quiet: Seat, release: Release, fault_pod: FaultPod) -> None:
    with quiet.load.watched() as window:
        for pod in release.operators():
            fault_pod.signal(pod, signal.SIGKILL)
            quiet.change(routing={"affinity": {"header": f"x-after-{pod['metadata']['name']}"[:60]}})
            generation = quiet.read()["metadata"]["generation"]

            def carried_out(wanted: int = generation) -> bool:
                status = quiet.read()["status"]
                return status["observedGeneration"] == wanted and quiet.holds("Ready", "True") is not None

            wait_until("the change is carried out", carried_out, seconds=90)
        quiet.change(routing={"affinity": None})
        quiet.wait_ready()
    assert told("operators are killed in turn", window).failed == 0


def test_a_paused_leader_is_replaced_and_writes_nothing_more(
    quiet: Seat, release: Release, fault_pod: FaultPod
) -> None:
    leader = release.leader()
    pod = next(p for p in release.operators() if leader.startswith(p["metadata"]["name"]))
    with quiet.load.watched() as window:
        fault_pod.signal(pod, signal.SIGSTOP)
        began = time.monotonic()
        successor = wait_until("another one leads", lambda: _other_than(release, leader), seconds=60)
        taken_over = time.monotonic() - began
        quiet.change(serving={"maxRequestBytes": 1 << 20})

        def carried_out() -> bool:
            return "--max-request-bytes" in quiet.kubectl("get", "deployment", f"{NAME}-{CHAMPION}", "-o", "json")

        wait_until("the successor carries a change out", carried_out, seconds=60)
        before = restarts(pod)
        fault_pod.signal(pod, signal.SIGCONT)
        name = pod["metadata"]["name"]
        wait_until(
            "the paused one ends",
            lambda: restarts(quiet.cluster.get("pod", name, "kingmaker-system")) > before,
            seconds=60,
        )
        quiet.wait_ready()
        assert release.leader() == successor
        quiet.change(serving={"maxRequestBytes": None})
        quiet.wait_ready()
    print(f"\nafter a SIGSTOP another replica led after {taken_over:.1f} s")
    assert told("the leader is paused, and goes on later", window).failed == 0


def _is_calm(seat: Seat, seconds: float) -> bool:
    with seat.load.watched() as window:
        for_the_rest_of(seconds, time.monotonic())
    return window.failed == 0


def _other_than(release: Release, leader: str) -> str | None:
    found = release.leader()
    return found if found and found != leader else None


def _restarted(world: Seat, victim: Document) -> bool:
    return restarts(world.cluster.get("pod", victim["metadata"]["name"], NAMESPACE)) > restarts(victim)


def _assert_oom_killed(world: Seat, victim: Document) -> None:
    ended = last_end(world.cluster.get("pod", victim["metadata"]["name"], NAMESPACE))
    assert ended.get("reason") == "OOMKilled", ended
