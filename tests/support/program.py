"""A program that runs beside Kingmaker in a cluster of the tests: a Deployment with a Service and rights of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.cluster import Cluster, Document, KubectlError, condition
from support.store import CONTAINER_SECURITY, POD_SECURITY, WORK

_RBAC = "rbac.authorization.k8s.io"
_AUTHENTICATION = "extension-apiserver-authentication"
_SYSTEM = "kube-system"


@dataclass(frozen=True)
class Program:
    """What runs, and what it may read everywhere."""

    name: str
    namespace: str
    image: str
    port: int
    ready: str
    """Path that answers when it is ready."""
    args: Sequence[str]
    rules: Sequence[Document] = ()
    """Of its ClusterRole."""
    scheme: str = "HTTPS"
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files by their name below `folder`."""
    memory: str = "256Mi"

    @property
    def folder(self) -> str:
        """Where the files are in its container."""
        return f"/etc/{self.name}"

    @property
    def url(self) -> str:
        """Its address in the cluster."""
        return f"{self.scheme.lower()}://{self.name}.{self.namespace}:{self.port}"

    def documents(self) -> list[Document]:
        """Give the objects that make it run."""
        texts = {name: path.read_text(encoding="utf-8") for name, path in self.files.items()}
        port = {"name": self.scheme.lower(), "port": self.port, "targetPort": self.port}
        spec = {"selector": {"app": self.name}, "ports": [port]}
        return [
            self.head("v1", "ServiceAccount"),
            self.head("v1", "ConfigMap") | {"data": texts},
            _head(f"{_RBAC}/v1", "ClusterRole", self.name) | {"rules": list(self.rules)},
            self.binding("ClusterRole", self.name),
            self._deployment(),
            self.head("v1", "Service") | {"spec": spec},
        ]

    def head(self, api_version: str, kind: str) -> Document:
        """Begin an object of its name in its namespace."""
        return _head(api_version, kind, self.name, self.namespace)

    def binding(self, kind: str, role: str) -> Document:
        """Bind a role of the whole cluster, or one of kube-system's, to it."""
        place = "" if kind == "ClusterRole" else _SYSTEM
        name = self.name if role == self.name else f"{self.name}-{role.removeprefix('system:')}"
        head = _head(f"{_RBAC}/v1", f"{kind}Binding", name, place)
        account = {"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}
        return head | {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role}, "subjects": [account]}

    def _deployment(self) -> Document:
        probe = {"path": self.ready, "port": self.port, "scheme": self.scheme}
        container = {
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "args": list(self.args),
            "ports": [{"containerPort": self.port}],
            "readinessProbe": {"httpGet": probe, "periodSeconds": 2},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": self.memory}},
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [{"name": "work", "mountPath": WORK}, {"name": "files", "mountPath": self.folder}],
        }
        pod = {
            "serviceAccountName": self.name,
            "securityContext": POD_SECURITY,
            "terminationGracePeriodSeconds": 5,
            "containers": [container],
            "volumes": [
                {"name": "work", "emptyDir": {"sizeLimit": "256Mi"}},
                {"name": "files", "configMap": {"name": self.name}},
            ],
        }
        template = {"metadata": {"labels": {"app": self.name}}, "spec": pod}
        spec = {"selector": {"matchLabels": {"app": self.name}}, "template": template}
        return self.head("apps/v1", "Deployment") | {"spec": spec}


@dataclass(frozen=True)
class Extension:
    """A program that answers for a part of the Kubernetes API."""

    program: Program
    group: str
    version: str

    def start(self, cluster: Cluster) -> None:
        """Start it; it answers a little later."""
        cluster.apply(*self._documents(cluster))

    def remove(self, cluster: Cluster) -> None:
        """Delete all of it, its part of the API first: discovery complains of one that nobody answers for."""
        for document in reversed(self._documents(cluster)):
            meta = document["metadata"]
            place = ["-n", meta["namespace"]] if "namespace" in meta else []
            cluster.kubectl("delete", document["kind"], meta["name"], *place, "--ignore-not-found")

    def _documents(self, cluster: Cluster) -> list[Document]:
        program, delegate = self.program, "system:auth-delegator"
        if _says_who_asks(cluster):
            rights = [program.binding("Role", f"{_AUTHENTICATION}-reader")]
        else:
            program = replace(program, args=[*program.args, "--authentication-skip-lookup"])
            rights = self._rights_of_strangers()
        return [*program.documents(), program.binding("ClusterRole", delegate), *rights, self._registration()]

    def _rights_of_strangers(self) -> list[Document]:
        name = f"{self.program.name}-strangers"
        rules = [
            {"apiGroups": [self.group], "resources": ["*"], "verbs": ["get", "list"]},
            {"nonResourceURLs": ["/apis", "/apis/*", "/openapi/*"], "verbs": ["get"]},
        ]
        group = {"apiGroup": _RBAC, "kind": "Group", "name": "system:unauthenticated"}
        role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
        return [
            _head(f"{_RBAC}/v1", "ClusterRole", name) | {"rules": rules},
            _head(f"{_RBAC}/v1", "ClusterRoleBinding", name) | {"roleRef": role, "subjects": [group]},
        ]

    def _registration(self) -> Document:
        program = self.program
        spec: dict[str, Any] = {
            "service": {"name": program.name, "namespace": program.namespace, "port": program.port},
            "group": self.group,
            "version": self.version,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        }
        return _head("apiregistration.k8s.io/v1", "APIService", f"{self.version}.{self.group}") | {"spec": spec}


def is_offered(cluster: Cluster, api: str) -> bool:
    """Whether somebody answers for a part of the API, such as `v1beta1.metrics.k8s.io`."""
    try:
        found = cluster.get("apiservice", api, _SYSTEM)
    except KubectlError:
        return False
    return condition(found, "Available").get("status") == "True"


def _says_who_asks(cluster: Cluster) -> bool:
    """Whether the API server has a certificate by which it can tell others on whose behalf it asks."""
    try:
        cluster.get("configmap", _AUTHENTICATION, _SYSTEM)
    except KubectlError:
        return False
    return True


def _head(api_version: str, kind: str, name: str, namespace: str = "") -> Document:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
