"""Addresses outside of the cluster and where clouds hand out credentials, made on the nodes themselves.

A test can't rely on either, so a pod in the host's network gives the node two addresses that mean nothing anywhere,
listens at them, and takes them back when it ends.
"""

from support.cluster import Cluster, Document
from support.release import Images

NAMESPACE = "reach-nodes"
PORT = 8079
OUTSIDE = "192.0.2.77"
"""Of a network that is reserved for documentation."""
LINK_LOCAL = "169.254.77.77"
"""Beside the metadata address, in the same network."""

_SCRIPT = """
import select, signal, socket, struct, sys
PORT, ADDRESSES = int(sys.argv[1]), sys.argv[2:]
def change(kind, flags):
    index = socket.if_nametoindex("lo")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        for address in map(socket.inet_aton, ADDRESSES):
            body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, index) + struct.pack("=HH4s", 8, 2, address)
            link.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            error = struct.unpack_from("=i", link.recv(4096), 16)[0]
            if error not in (0, -17):
                sys.exit(f"cannot change an address: {error}")
def end(*_):
    change(21, 0x5)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
change(20, 0x405)
servers = [socket.create_server((address, PORT)) for address in ADDRESSES]
while True:
    for server in select.select(servers, [], [])[0]:
        server.accept()[0].close()
"""


def start(cluster: Cluster, images: Images) -> None:
    """Start one on every node and wait for all."""
    label = {"pod-security.kubernetes.io/enforce": "privileged"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": label}})
    cluster.apply(_daemon_set(images))
    cluster.kubectl("rollout", "status", "daemonset/standin", "-n", NAMESPACE, "--timeout=60s")


def stop(cluster: Cluster) -> None:
    """End all and wait until the nodes are as they were."""
    cluster.kubectl("delete", "daemonset/standin", "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground")


def _daemon_set(images: Images) -> Document:
    container = {
        "name": "standin",
        "image": images.serving,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", _SCRIPT, str(PORT), OUTSIDE, LINK_LOCAL],
        "securityContext": {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}},
        "readinessProbe": {"tcpSocket": {"host": OUTSIDE, "port": PORT}, "periodSeconds": 1},
    }
    pod = {"hostNetwork": True, "terminationGracePeriodSeconds": 5, "containers": [container]}
    labels = {"app": "standin"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "standin", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
