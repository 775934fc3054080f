"""Metrics of pods for Kubernetes' autoscaler: metrics-server itself, where a cluster of the tests has none."""

import os

from support.cluster import Cluster, wait_until
from support.program import Extension, Program, is_offered
from support.store import WORK

NAME = "metrics-server"
GROUP = "metrics.k8s.io"
PORT = 10250
_FLAGS = (
    f"--secure-port={PORT}",
    f"--cert-dir={WORK}",
    "--metric-resolution=15s",
    "--kubelet-insecure-tls",
    "--kubelet-preferred-address-types=InternalIP",
)
_RULES = (
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
)


def image() -> str | None:
    """Name its image: $KINGMAKER_METRICS_IMAGE, else by the pattern of the other images; None without either."""
    pattern = os.environ.get("KINGMAKER_IMAGES", "")
    return os.environ.get("KINGMAKER_METRICS_IMAGE") or (pattern.format(NAME) if pattern else None)


def is_available(cluster: Cluster) -> bool:
    """Whether somebody offers the metrics of pods."""
    return is_offered(cluster, f"v1beta1.{GROUP}")


def start(cluster: Cluster, image: str) -> None:
    """Start it and wait until it knows what the nodes use."""
    program = Program(NAME, "kube-system", image, port=PORT, ready="/readyz", args=_FLAGS, rules=_RULES)
    Extension(program, GROUP, "v1beta1").start(cluster)
    wait_until("metrics of the nodes", lambda: _nodes(cluster), seconds=120)


def _nodes(cluster: Cluster) -> bool:
    return '"usage"' in cluster.kubectl("get", "--raw", f"/apis/{GROUP}/v1beta1/nodes")
