"""Load comes and goes, pods come and go with it, and no request fails on the way."""

import os
from pathlib import Path

import pytest
import yaml

from support import metricsserver
from support.clients import Clients, StoredProps
from support.cluster import Cluster, wait_until
from support.load import Load
from support.release import Images, Release
from support.scaled import Scaled

NAMESPACE = "other"
NAME = "scaled"
MODEL = "screening-1"
FEWEST, MOST = 2, 4
LIGHT, HEAVY = 5.0, float(os.environ.get("KINGMAKER_TEST_LOAD", "200"))
"""Requests per second; the heavy ones use several times the CPU that two pods request."""
SCALING = {"minReplicas": FEWEST, "maxReplicas": MOST, "targetCPUPercent": 60, "scaleDownDelay": "15s"}


@pytest.mark.timeout(900)
def test_pods_follow_the_load_there_and_back_without_a_failed_request(
    cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path
) -> None:
    del release, clients
    image = metricsserver.image()
    if not metricsserver.is_available(cluster) and not image:
        pytest.skip("needs metrics-server, or its image in KINGMAKER_METRICS_IMAGE")
    model = yaml.safe_load(StoredProps(Path(), built, images.training).model(MODEL))
    model["metadata"]["namespace"] = NAMESPACE
    scaled = Scaled(cluster, NAMESPACE, NAME, MODEL)
    cluster.apply(model, scaled.document(scaling=SCALING, resources={"requests": {"cpu": "50m"}}))
    running: list[Load] = []

    def load(rate: float) -> Load:
        running.append(Load(url=scaled.url, model=NAME, rate=rate, name=f"fresh-{rate:g}"))
        return running[-1]

    try:
        wait_until("the seat is ready", scaled.is_ready, seconds=120)
        if not metricsserver.is_available(cluster):
            wait_until("no metrics: said", lambda: scaled.reason() == "MetricsUnavailable", seconds=90)
            assert scaled.is_ready()
            metricsserver.start(cluster, str(image))
        wait_until("metrics: said", lambda: scaled.reason() == "FollowingLoad", seconds=120)
        light, heavy = load(LIGHT), load(HEAVY)
        wait_until(f"{MOST} pods", lambda: scaled.has(MOST), seconds=300)
        assert scaled.owners() == {"kube-controller-manager"}
        wait_until("the maximum: said", lambda: scaled.reason() == "AtMaximum", seconds=30)
        reports = [heavy.stop()]
        wait_until(f"{FEWEST} pods", lambda: scaled.has(FEWEST), seconds=240)
        reports.append(light.stop())
        assert scaled.is_ready()
    finally:
        for one in running:
            one.stop()
        scaled.delete()
    print(f"\npods wanted: {scaled.seen}; load: {reports}")
    for report in reports:
        assert report["answered"] > 100
        assert report["failures"] == {}
