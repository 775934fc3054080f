"""Metrics of pods for Kubernetes' autoscaler: metrics-server itself, where a cluster of the tests has none."""

import os
from typing import Any

from support.cluster import Cluster, Document, KubectlError, condition, wait_until
from support.store import CONTAINER_SECURITY, POD_SECURITY

NAMESPACE = "kube-system"
NAME = "metrics-server"
PACKAGE, VERSION = "sigs.k8s.io/metrics-server/cmd/metrics-server", "v0.9.0"
API = "v1beta1.metrics.k8s.io"
PORT = 10250
_LABELS = {"k8s-app": NAME}
_RBAC = "rbac.authorization.k8s.io"
_FLAGS = (
    f"--secure-port={PORT}",
    "--cert-dir=/work",
    "--metric-resolution=15s",
    "--kubelet-insecure-tls",
    "--kubelet-preferred-address-types=InternalIP",
)


def image() -> str | None:
    """Name its image: $KINGMAKER_METRICS_IMAGE, else by the pattern of the other images; None without either."""
    pattern = os.environ.get("KINGMAKER_IMAGES", "")
    return os.environ.get("KINGMAKER_METRICS_IMAGE") or (pattern.format(NAME) if pattern else None)


def is_available(cluster: Cluster) -> bool:
    """Whether somebody offers the metrics of pods."""
    try:
        found = cluster.get("apiservice", API, NAMESPACE)
    except KubectlError:
        return False
    return condition(found, "Available").get("status") == "True"


def start(cluster: Cluster, image: str) -> None:
    """Start it and wait until it knows what the nodes use."""
    says_who_asks = _says_who_asks(cluster)
    rights = [*_rights(), *([] if says_who_asks else _rights_of_strangers())]
    flags = [*_FLAGS, *([] if says_who_asks else ["--authentication-skip-lookup"])]
    cluster.apply(*rights, _deployment(image, flags), _service(), _registration())
    wait_until("metrics of the nodes", lambda: _nodes(cluster), seconds=120)


def _nodes(cluster: Cluster) -> bool:
    return '"usage"' in cluster.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")


def _says_who_asks(cluster: Cluster) -> bool:
    """Whether the API server has a certificate by which it can tell metrics-server on whose behalf it asks."""
    try:
        cluster.get("configmap", "extension-apiserver-authentication", NAMESPACE)
    except KubectlError:
        return False
    return True


def _rights() -> list[Document]:
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]

    return [
        _head("v1", "ServiceAccount", NAME),
        _head(f"{_RBAC}/v1", "ClusterRole", f"system:{NAME}") | {"rules": rules},
        _binding("ClusterRole", f"system:{NAME}", account),
        _binding("ClusterRole", "system:auth-delegator", account),
        _binding("Role", "extension-apiserver-authentication-reader", account),
    ]


def _rights_of_strangers() -> list[Document]:
    name = f"{NAME}-strangers"
    rules = [
        {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"]},
        {"nonResourceURLs": ["/apis", "/apis/*", "/openapi/*"], "verbs": ["get"]},
    ]
    group = {"apiGroup": _RBAC, "kind": "Group", "name": "system:unauthenticated"}
    return [_head(f"{_RBAC}/v1", "ClusterRole", name) | {"rules": rules}, _binding("ClusterRole", name, group)]


def _binding(kind: str, role: str, subject: Document) -> Document:
    head = _head(f"{_RBAC}/v1", f"{kind}Binding", f"{NAME}-{role.removeprefix('system:').removeprefix(f'{NAME}-')}")
    return head | {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role}, "subjects": [subject]}


def _deployment(image: str, flags: list[str]) -> Document:
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": flags,
        "ports": [{"name": "https", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
    }
    pod = {
        "serviceAccountName": NAME,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "work", "emptyDir": {"sizeLimit": "16Mi"}}],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    return _head("apps/v1", "Deployment", NAME) | {"spec": {"selector": {"matchLabels": _LABELS}, "template": template}}


def _service() -> Document:
    port = {"name": "https", "port": 443, "targetPort": "https"}
    return _head("v1", "Service", NAME) | {"spec": {"selector": _LABELS, "ports": [port]}}


def _registration() -> Document:
    spec: dict[str, Any] = {
        "service": {"name": NAME, "namespace": NAMESPACE},
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    return _head("apiregistration.k8s.io/v1", "APIService", API) | {"spec": spec}


def _head(api_version: str, kind: str, name: str) -> Document:
    is_everywhere = kind.startswith("Cluster") or kind == "APIService"
    metadata = {"name": name} if is_everywhere else {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
