"""Prometheus and prometheus-adapter with the configuration that examples/ shows, for autoscaling by concurrency."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.cluster import Cluster
from support.program import Extension, Program
from support.store import WORK

NAMESPACE = "monitoring"
CHOSEN = "KINGMAKER_TEST_CONCURRENCY"
"""Set to 1, the two are built, and the test that needs them runs."""
PROGRAMS = ("prometheus", "prometheus-adapter")
"""Images are called so."""
EXAMPLE = Path(__file__).parents[2] / "examples" / "autoscaling"
GROUP, VERSION = "custom.metrics.k8s.io", "v1beta1"
GAUGE = "kingmaker_requests_in_flight"

_CONFIGURATION = EXAMPLE / "monitoring"
_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}


def is_chosen() -> bool:
    """Whether the test shall run."""
    return os.environ.get(CHOSEN) == "1"


class Monitoring:
    """Both of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.prometheus = _prometheus()
        self.adapter = Extension(_adapter(self.prometheus.url), GROUP, VERSION)

    def start(self) -> None:
        """Start Prometheus and the adapter, each in place."""
        self._cluster.create_namespace(NAMESPACE)
        self._cluster.apply(*self.prometheus.documents())
        self._cluster.kubectl("rollout", "status", "deployment/prometheus", "-n", NAMESPACE, "--timeout=90s")
        self.adapter.start(self._cluster)

    def remove(self) -> None:
        """Delete them."""
        self.adapter.remove(self._cluster)
        for kind in ("clusterrolebinding", "clusterrole"):
            self._cluster.kubectl("delete", kind, self.prometheus.name, "--ignore-not-found")
        self._cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")

    def query(self, expression: str) -> dict[str, float]:
        """Ask Prometheus, and give its figure for each pod."""
        place = f"/api/v1/namespaces/{NAMESPACE}/services/http:prometheus:{self.prometheus.port}/proxy"
        answer = self._read(f"{place}/api/v1/query?query={quote(expression)}")
        return {one["metric"].get("pod", ""): float(one["value"][1]) for one in answer["data"]["result"]}

    def metric(self, namespace: str) -> dict[str, str]:
        """Ask Kubernetes for the gauge of each pod, as its autoscaler does."""
        found = self._read(f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/pods/*/{GAUGE}")
        return {item["describedObject"]["name"]: item["value"] for item in found["items"]}

    def _read(self, path: str) -> Any:
        return json.loads(self._cluster.kubectl("get", "--raw", path))


def _prometheus() -> Program:
    name, file = "prometheus", "prometheus.yml"
    return Program(
        name,
        NAMESPACE,
        _image(name),
        port=9090,
        scheme="HTTP",
        ready="/-/ready",
        args=[f"--config.file=/etc/{name}/{file}", f"--storage.tsdb.path={WORK}"],
        rules=[_PODS],
        files={file: _CONFIGURATION / file},
        memory="512Mi",
    )


def _adapter(url: str) -> Program:
    name, file = "prometheus-adapter", "adapter.yml"
    paths = [f"--cert-dir={WORK}", f"--config=/etc/{name}/{file}"]
    return Program(
        name,
        NAMESPACE,
        _image(name),
        port=6443,
        ready="/readyz",
        args=["--secure-port=6443", *paths, f"--prometheus-url={url}", "--metrics-relist-interval=30s"],
        # To tell which pods a selector means.
        rules=[_PODS, {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]}],
        files={file: _CONFIGURATION / file},
    )


def _image(part: str) -> str:
    return os.environ.get("KINGMAKER_IMAGES", "{}").format(part)
