"""Somebody with rights on the node who does harm: signals to processes in containers, memory filled to the limit."""

import json

from support.cluster import Cluster, Document, KubectlError
from support.release import Images

NAMESPACE = "fault-pod"

_SIGNAL = """
import os, pathlib, sys
wanted, number = sys.argv[1], int(sys.argv[2])
found = []
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit():
        try:
            if wanted in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except OSError:
            pass
for pid in sorted(found):
    os.kill(pid, number)
print(len(found))
"""

# Pages of a memfd count for the container and for no process, so the kernel kills the largest process: the server.
_FILL = """
import os
fd = os.memfd_create("fill")
chunk = bytes(1 << 20)
while True:
    os.write(fd, chunk)
"""


class FaultPod:
    """A privileged pod on the node of a pod."""

    def __init__(self, cluster: Cluster, images: Images) -> None:
        self._cluster = cluster
        self._images = images

    def start(self) -> None:
        """Start a pod per node."""
        self._cluster.create_namespace(NAMESPACE, **{"pod-security.kubernetes.io/enforce": "privileged"})
        pod = {
            "hostPID": True,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "fault-pod",
                    "image": self._images.training,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "86400"],
                    "securityContext": {"privileged": True, "runAsUser": 0, "runAsGroup": 0},
                }
            ],
        }
        labels = {"app": "fault-pod"}
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": "fault-pod", "namespace": NAMESPACE}
        self._cluster.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec})
        self._cluster.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/fault-pod", "--timeout=90s")

    def signal(self, pod: Document, number: int) -> None:
        """Send a signal to all processes of a pod's first container."""
        container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("//")[2]
        node = pod["spec"]["nodeName"]
        helpers = self._cluster.find("pods", NAMESPACE, app="fault-pod")
        helper = next(p["metadata"]["name"] for p in helpers if p["spec"]["nodeName"] == node)
        said = self._cluster.execute(NAMESPACE, helper, "python", "-", container, str(number), stdin=_SIGNAL)
        assert int(said) > 0, f"no process of {pod['metadata']['name']} on {node}"

    def exhaust_memory(self, pod: Document) -> None:
        """Fill the memory of a pod's first container until the kernel kills its main process."""
        meta, name = pod["metadata"], pod["spec"]["containers"][0]["name"]
        try:
            self._cluster.execute(meta["namespace"], meta["name"], "python3", "-c", _FILL, container=name)
        except KubectlError:
            # It ends with the container.
            return
        raise AssertionError(f"{meta['name']} has no limit on its memory: {json.dumps(pod['spec']['containers'][0])}")
