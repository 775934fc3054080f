"""A real S3 server in the cluster, where models are downloaded from and trainers upload to."""

import io
import json
import tarfile
from pathlib import Path

from support.cluster import Cluster, Document, wait_until
from support.release import Images

NAMESPACE = "store"
BUCKET = "models"
PREFIX = f"s3://{BUCKET}"
SECRET = "store"

_ENDPOINT = f"http://s3.{NAMESPACE}.svc:7070"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "kingmaker",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
    "AWS_ENDPOINT_URL": _ENDPOINT,
    "AWS_REGION": "us-east-1",
}

CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
WORK = "/work"

_PUT = """
import fsspec, json, sys
files, _ = fsspec.core.url_to_fs(sys.argv[1])
for local, remote in json.loads(sys.argv[2]).items():
    with open(local, "rb") as source, files.open(remote, "wb") as target:
        target.write(source.read())
"""


def pod(name: str, namespace: str, container: Document, **labels: str) -> Document:
    """Build a restricted pod with one container and a folder to write to."""
    mount = {"name": "work", "mountPath": WORK}
    full = {
        "name": name,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [mount],
        **container,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name, **labels}},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": POD_SECURITY,
            "terminationGracePeriodSeconds": 1,
            "containers": [full],
            "volumes": [{"name": "work", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    }


def secret(namespace: str) -> Document:
    """Build the Secret that Models name."""
    metadata = {"name": SECRET, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": CREDENTIALS}


class Store:
    """The S3 server."""

    def __init__(self, cluster: Cluster, images: Images) -> None:
        self._cluster = cluster
        self._images = images

    def start(self) -> None:
        """Start it, with its bucket."""
        self._cluster.create_namespace(NAMESPACE)
        names = {"ROOT_ACCESS_KEY": "AWS_ACCESS_KEY_ID", "ROOT_SECRET_KEY": "AWS_SECRET_ACCESS_KEY"}
        server = {
            "image": self._images.store,
            "command": ["sh", "-c", f"mkdir -p {WORK}/{BUCKET} && exec versitygw --port :7070 posix {WORK}"],
            "env": [{"name": name, "value": CREDENTIALS[key]} for name, key in names.items()],
            "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
        }
        port = {"name": "s3", "port": 7070, "targetPort": 7070}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "s3"}, "ports": [port]},
        }
        self._cluster.apply(pod("s3", NAMESPACE, server), service)
        self._cluster.kubectl("wait", "-n", NAMESPACE, "pod/s3", "--for=condition=Ready", "--timeout=90s")

    def upload(self, folder: Path, *, namespace: str, by: str) -> None:
        """Upload a folder's files below the bucket, through a pod that has the credentials and fsspec."""
        copy_into(self._cluster, folder, namespace, by, f"{WORK}/{folder.name}")
        names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
        files = {f"{WORK}/{folder.name}/{name}": f"{BUCKET}/{name}" for name in names}
        wait_until("the bucket answers", lambda: self._put(namespace, by, files), seconds=60)

    def _put(self, namespace: str, by: str, files: dict[str, str]) -> bool:
        self._cluster.execute(namespace, by, "python", "-c", _PUT, PREFIX, json.dumps(files))
        return True


def copy_into(cluster: Cluster, folder: Path, namespace: str, pod_name: str, target: str) -> None:
    """Copy a folder into a pod."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.add(file, arcname=str(file.relative_to(folder)))
    unpack = ["sh", "-c", f"mkdir -p {target} && tar -xf - -C {target} --no-same-owner --no-same-permissions"]
    cluster.execute(namespace, pod_name, *unpack, stdin=buffer.getvalue())
