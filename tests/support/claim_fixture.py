"""A folder of a node that a claim gives to pods, and a privileged pod that fills it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster import Cluster, Document
from support.fault_pod import NAMESPACE as PRIVILEGED
from support.release import Images
from support.store import copy_into

NAME = "shelf"
_FOLDER = "/var/tmp/kingmaker-shelf"  # On the node; emptied at the end.


class Shelf:
    """The claim `shelf` of a namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def fill(self, folder: Path) -> None:
        """Put a folder's files there, below its name, for everybody to read."""
        copy_into(self._cluster, folder, PRIVILEGED, NAME, f"{_FOLDER}/{folder.name}")

    def clear(self) -> None:
        """Take everything away."""
        self._cluster.execute(PRIVILEGED, NAME, "sh", "-c", f"rm -rf {_FOLDER}/*")


@contextmanager
def shelf(cluster: Cluster, images: Images, namespace: str) -> Iterator[Shelf]:
    """Give a namespace the claim, while the block runs."""
    cluster.create_namespace(PRIVILEGED, **{"pod-security.kubernetes.io/enforce": "privileged"})
    cluster.apply(_filler(images.training))
    try:
        cluster.kubectl("wait", "-n", PRIVILEGED, f"pod/{NAME}", "--for=condition=Ready", "--timeout=90s")
        node = cluster.get("pod", NAME, PRIVILEGED)["spec"]["nodeName"]
        cluster.apply(*_claim(namespace, node))
        cluster.kubectl("wait", "-n", namespace, f"pvc/{NAME}", "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
        found = Shelf(cluster)
        yield found
        found.clear()
    finally:
        cluster.kubectl("delete", "pvc", NAME, "-n", namespace, "--ignore-not-found", "--timeout=60s")
        cluster.kubectl("delete", "pv", f"{namespace}-{NAME}", "--ignore-not-found", "--timeout=60s")
        cluster.kubectl("delete", "pod", NAME, "-n", PRIVILEGED, "--now", "--ignore-not-found")


def _filler(image: str) -> Document:
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "86400"],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": NAME, "mountPath": _FOLDER}],
    }
    volume = {"name": NAME, "hostPath": {"path": _FOLDER, "type": "DirectoryOrCreate"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": PRIVILEGED},
        "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0},
    }


def _claim(namespace: str, node: str) -> list[Document]:
    """Build a volume that is the folder on that node, and the claim that it is bound to."""
    volume = f"{namespace}-{NAME}"
    size = {"storage": "1Gi"}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    spec = common | {
        "capacity": size,
        "hostPath": {"path": _FOLDER},
        "claimRef": {"namespace": namespace, "name": NAME},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    wanted = common | {"volumeName": volume, "resources": {"requests": size}}
    metadata = {"name": NAME, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted},
    ]
