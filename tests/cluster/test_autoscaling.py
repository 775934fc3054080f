"""Load comes and goes, pods come and go with it, and no request fails on the way."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker.cli.demo.client import Traffic
from support import metricsserver
from support.clients import Clients, StoredProps
from support.cluster import Cluster, condition, wait_until
from support.release import Images, Release
from support.store import WORK

NAMESPACE = "other"
NAME = "scaled"
MODEL = "screening-1"
FEWEST, MOST = 2, 4
LIGHT, HEAVY = 5.0, float(os.environ.get("KINGMAKER_TEST_LOAD", "80"))
"""Requests per second; the heavy ones use several times the CPU that two pods request."""


def a_deployment() -> dict[str, Any]:
    scaling = {"minReplicas": FEWEST, "maxReplicas": MOST, "targetCPUPercent": 60, "scaleDownDelay": "15s"}
    serving = {"autoscaling": scaling, "resources": {"requests": {"cpu": "50m"}}}
    return {
        "apiVersion": "kingmaker.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"championRef": {"name": MODEL}, "serving": serving},
    }


class Scaled:
    """The deployment as kubectl shows it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.seen: list[int] = []

    def reason(self) -> str:
        return str(condition(self._get("modeldeployment", NAME), "AutoscalingActive").get("reason", ""))

    def is_ready(self) -> bool:
        return condition(self._get("modeldeployment", NAME), "Ready").get("status") == "True"

    def has(self, pods: int) -> bool:
        """Whether it has as many ready pods as wanted, and that is the number."""
        found = self._get("deployment", f"{NAME}-{MODEL}")
        wanted, ready = int(found["spec"]["replicas"]), int(found["status"].get("readyReplicas", 0))
        if self.seen[-1:] != [wanted]:
            self.seen.append(wanted)
        return wanted == ready == pods == int(found["status"]["replicas"])

    def owners(self) -> set[str]:
        fields = self._get("deployment", f"{NAME}-{MODEL}", "--show-managed-fields")["metadata"]["managedFields"]
        return {e["manager"] for e in fields if "f:replicas" in e["fieldsV1"].get("f:spec", {})}

    def _get(self, kind: str, name: str, *flags: str) -> dict[str, Any]:
        return yaml.safe_load(self._cluster.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json", *flags))


@pytest.mark.timeout(600)
async def test_pods_follow_the_load_there_and_back_without_a_failed_request(
    cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path, tmp_path: Path
) -> None:
    image = metricsserver.image()
    if not metricsserver.is_available(cluster) and not image:
        pytest.skip("needs metrics-server, or its image in KINGMAKER_METRICS_IMAGE")
    props = StoredProps(Path(), built, images.training)
    model = yaml.safe_load(props.model(MODEL))
    model["metadata"]["namespace"] = NAMESPACE
    scaled = Scaled(cluster)
    cluster.apply(model, a_deployment())
    running: list[Traffic] = []

    async def load(rate: float) -> Traffic:
        log = tmp_path / f"load-{rate:g}.log"
        url = f"http://{NAME}.{NAMESPACE}"
        running.append(await clients.traffic(url=url, model=NAME, rate=rate, fresh=f"{WORK}/{rate:g}.csv", log=log))
        return running[-1]

    try:
        wait_until("the seat is ready", scaled.is_ready, seconds=120)
        if not metricsserver.is_available(cluster):
            wait_until("no metrics: said", lambda: scaled.reason() == "MetricsUnavailable", seconds=90)
            assert scaled.is_ready()
            metricsserver.start(cluster, str(image))
        wait_until("metrics: said", lambda: scaled.reason() == "FollowingLoad", seconds=120)
        light, heavy = await load(LIGHT), await load(HEAVY)
        wait_until(f"{MOST} pods", lambda: scaled.has(MOST), seconds=180)
        assert scaled.owners() == {"kube-controller-manager"}
        wait_until("the maximum: said", lambda: scaled.reason() == "AtMaximum", seconds=30)
        reports = [await heavy.stop()]
        wait_until(f"{FEWEST} pods", lambda: scaled.has(FEWEST), seconds=240)
        reports.append(await light.stop())
        assert scaled.is_ready()
    finally:
        for traffic in running:
            traffic.kill()
        cluster.kubectl("delete", "modeldeployment,model", "--all", "-n", NAMESPACE)
    print(f"\npods wanted: {scaled.seen}; load: {reports}")
    for report in reports:
        assert report["answered"] > 100
        assert report["failures"] == {}
