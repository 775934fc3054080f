"""Pods follow the requests in flight, as Prometheus and prometheus-adapter tell them with the shown configuration."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from support import enforcer, monitoring
from support.clients import NAMESPACE as CLIENTS
from support.clients import POD, Clients
from support.cluster import Cluster, KubectlError, wait_until
from support.load import Load
from support.monitoring import GAUGE, Monitoring
from support.release import TENANTS, Images, Release
from support.scaled import Scaled
from support.slowmodel import write_slow_model
from support.store import PREFIX, SECRET, Store, pod

NAMESPACE = "other"
NAME = "busy"
MODEL = "slow-1"
FEWEST, MOST = 2, 4
SCALING = {"minReplicas": FEWEST, "maxReplicas": MOST, "targetConcurrency": 1, "scaleDownDelay": "15s"}
RESOURCES = {"requests": {"cpu": "200m"}, "limits": {"cpu": "200m"}}
ROUNDS = 240
"""40 ms of a processor per request, of which a pod has a fifth: more than 4 requests a second wait in its queue."""
LIGHT, STEP, MOST_STEPS = 1.0, 1.5, 9
"""Requests per second: those that are always there, and by how much they become more and more."""
STEP_SECONDS = 40.0
READER = "reader"
SERVING, MANAGEMENT = 8080, 8082

_KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"


@pytest.fixture(scope="module")
def watching(cluster: Cluster, release: Release, images: Images) -> Iterator[Monitoring]:
    if not monitoring.is_chosen():
        pytest.skip(f"needs {monitoring.CHOSEN}=1 and two more images; see docs/testing.md")
    watching = Monitoring(cluster)
    is_bare = os.environ.get("KINGMAKER_TEST_POLICIES") == "nftables"
    try:
        with enforcer.running() if is_bare else nullcontext():
            cluster.create_namespace(monitoring.NAMESPACE)
            container = {"image": images.training, "command": ["sleep", "86400"]}
            cluster.apply(pod(READER, monitoring.NAMESPACE, container))
            yield watching
    finally:
        watching.remove()
        release.install(*TENANTS)


@pytest.fixture(scope="module")
def scaled(cluster: Cluster, clients: Clients, images: Images, built: Path) -> Iterator[Scaled]:
    del clients
    folder = write_slow_model(built, MODEL, rounds=ROUNDS, uri_prefix=f"{PREFIX}/{MODEL}")
    Store(cluster, images).upload(folder.parent, namespace=CLIENTS, by=POD)
    model = yaml.safe_load((folder / "model.yaml").read_text())
    model["metadata"]["namespace"] = NAMESPACE
    model["spec"]["artifact"]["credentialsSecretRef"] = {"name": SECRET}
    scaled = Scaled(cluster, NAMESPACE, NAME, MODEL)
    cluster.apply(model, scaled.document(scaling=SCALING, resources=RESOURCES))
    yield scaled
    scaled.delete()


@pytest.fixture(scope="module")
def loads(scaled: Scaled) -> Iterator[list[Load]]:
    """What runs, the light one first."""
    wait_until("the seat is ready", scaled.is_ready, seconds=180)
    running = [Load(url=scaled.url, model=NAME, rate=LIGHT, name="light")]
    yield running
    for load in running:
        load.stop()


def says(scaled: Scaled, status: str, reason: str, *, seconds: float = 120) -> None:
    wait_until(f"{status} {reason}", lambda: (scaled.status(), scaled.reason()) == (status, reason), seconds=seconds)


def opens(cluster: Cluster, namespace: str, by: str, address: str, port: int) -> bool:
    try:
        cluster.execute(namespace, by, "python", "-c", _KNOCK, address, str(port))
    except KubectlError:
        return False
    return True


@pytest.mark.timeout(600)
def test_prometheus_reads_the_gauge_once_the_release_names_its_namespace(
    cluster: Cluster, watching: Monitoring, scaled: Scaled, loads: list[Load], release: Release
) -> None:
    del loads
    says(scaled, "False", "MetricsUnavailable")
    watching.start()
    up = f'up{{namespace="{NAMESPACE}"}}'
    wait_until("its pods are found", lambda: len(watching.query(up)) >= FEWEST, seconds=60)
    address = scaled.pods()[0]["status"]["podIP"]
    is_enforced = not opens(cluster, CLIENTS, POD, address, MANAGEMENT)
    if is_enforced:
        assert set(watching.query(up).values()) == {0.0}
        assert (scaled.status(), scaled.reason()) == ("False", "MetricsUnavailable")
    release.install(*TENANTS, monitoring={"namespaces": [monitoring.NAMESPACE]})
    wait_until("its pods are read", lambda: set(watching.query(up).values()) == {1.0}, seconds=90)
    wait_until("Kubernetes has the figures", lambda: len(watching.metric(NAMESPACE)) == FEWEST, seconds=120)
    says(scaled, "True", "FollowingLoad")
    print(f"\npolicies enforced: {is_enforced}; {GAUGE} as the autoscaler sees it: {watching.metric(NAMESPACE)}")
    assert opens(cluster, monitoring.NAMESPACE, READER, address, MANAGEMENT)
    if is_enforced:
        assert not opens(cluster, monitoring.NAMESPACE, READER, address, SERVING)
        assert not opens(cluster, CLIENTS, POD, address, MANAGEMENT)


@pytest.mark.timeout(900)
def test_pods_follow_the_concurrency_and_stay_while_it_cannot_be_read(
    watching: Monitoring, scaled: Scaled, loads: list[Load]
) -> None:
    climb(scaled, loads, watching)
    wait_until(f"{MOST} pods", lambda: scaled.has(MOST), seconds=120)
    says(scaled, "True", "AtMaximum")
    assert scaled.owners() == {"kube-controller-manager"}
    watching.adapter.remove(scaled.cluster)
    says(scaled, "False", "MetricsUnavailable")
    reports = [load.stop() for load in loads[1:]]
    with pytest.raises(AssertionError, match="fewer pods"):
        wait_until("fewer pods", lambda: not scaled.has(MOST), seconds=90)
    assert scaled.is_ready()
    watching.adapter.start(scaled.cluster)
    wait_until(f"{FEWEST} pods", lambda: scaled.has(FEWEST), seconds=300)
    says(scaled, "True", "FollowingLoad")
    assert scaled.is_ready()
    reports.append(loads[0].stop())
    sums = {key: sum(report[key] for report in reports) for key in ("sent", "answered", "failed")}
    print(f"\npods wanted: {scaled.seen}; requests: {sums}")
    for report in reports:
        assert report["answered"] > 0
        assert report["failures"] == {}


def climb(scaled: Scaled, loads: list[Load], watching: Monitoring) -> None:
    """Let the load rise step by step until as many pods are wanted as may be."""
    for step in range(1, MOST_STEPS + 1):
        loads.append(Load(url=scaled.url, model=NAME, rate=STEP, name=f"step-{step}"))
        try:
            wait_until("pods are added", lambda: scaled.wanted() == MOST, seconds=STEP_SECONDS)
        except AssertionError:
            print(f"{LIGHT + step * STEP:g}/s: {watching.metric(NAMESPACE)}, {scaled.wanted()} pods wanted")
        else:
            return
    pytest.fail(f"{LIGHT + MOST_STEPS * STEP:g} requests a second are answered by {scaled.wanted()} pods")
