"""The programs of a laptop cluster and how each is started: pure, from paths, ports and addresses to command lines."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kingmaker_laptop.addresses import Addresses
from kingmaker_laptop.credentials import NODE_NAME
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import Ports

IMAGES: Final = {"serving": "kingmaker/serving", "router": "kingmaker/router"}
"""Names of images whose commands are installed beside this program; the process node pulls nothing."""

GRACE_SECONDS: Final = {
    "operator": 5.0,  # It begins each pass anew from what it reads, so it can be killed anywhere.
    "node": 60.0,  # Its pods have theirs within it.
    "kube-scheduler": 3.0,
    "kube-controller-manager": 3.0,
    "kube-apiserver": 3.0,  # It would wait a minute for anybody's open watch, and keeps nothing that could be lost.
    "etcd": 10.0,
}
"""How long each program may take to end when it is asked to; then it is killed."""


@dataclass(frozen=True, slots=True)
class Component:
    """One program under the supervisor.

    Attributes:
        name: Of its log and its process record.
        command: Program and arguments.
        environment: Variables that differ from the supervisor's own.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def grace_seconds(self) -> float:
        """How long it may take to end when it is asked to."""
        return GRACE_SECONDS[self.name]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the command lines of one cluster are made of.

    Attributes:
        binary: The control plane's.
        is_durable: Whether etcd waits for the disk; without, a power failure may lose the last writes.
        operator_arguments: Passed to the operator as they are.
    """

    home: Home
    binary: Path
    ports: Ports
    addresses: Addresses
    is_durable: bool = True
    operator_arguments: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.ports.apiserver}"

    def etcd(self) -> Component:
        """Give etcd: on loopback, and nobody gets in without this cluster's certificate."""
        client, peer = (f"https://127.0.0.1:{port}" for port in (self.ports.etcd, self.ports.etcd_peer))
        flags = {
            "name": "kingmaker",
            "data-dir": self.home.etcd,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"kingmaker={peer}",
            **self._tls("cert-file", "key-file", "trusted-ca-file"),
            "client-cert-auth": "true",
            **self._tls("peer-cert-file", "peer-key-file", "peer-trusted-ca-file"),
            "peer-client-cert-auth": "true",
            "auto-compaction-retention": "1",
            "log-level": "warn",
            **({} if self.is_durable else {"unsafe-no-fsync": "true"}),
        }
        return self._program("etcd", flags)

    def api_server(self) -> Component:
        """Give the API server, with RBAC, the Node authorizer and admission as in any cluster."""
        accounts = self.home.credentials / "service-accounts.key"
        flags = {
            "etcd-servers": f"https://127.0.0.1:{self.ports.etcd}",
            **self._tls("etcd-certfile", "etcd-keyfile", "etcd-cafile"),
            "bind-address": "127.0.0.1",
            "secure-port": self.ports.apiserver,
            **self._tls("tls-cert-file", "tls-private-key-file", "client-ca-file"),
            "token-auth-file": self.home.credentials / "tokens.csv",
            "anonymous-auth": "false",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": accounts,
            "service-account-signing-key-file": accounts,
            "service-cluster-ip-range": self.addresses.services,
            # Endpoints may not be loopback addresses, and every address here is one.
            "endpoint-reconciler-type": "none",
            "kubelet-preferred-address-types": "InternalIP",
            **self._tls("kubelet-client-certificate", "kubelet-client-key"),
            "enable-priority-and-fairness": "false",
            "profiling": "false",
        }
        return self._program("kube-apiserver", flags)

    def controller_manager(self) -> Component:
        """Give the controllers, without those that write endpoints: EndpointSlices refuse loopback addresses."""
        off = ("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller")
        flags = {
            **self._client("kube-controller-manager", self.ports.controller_manager),
            "controllers": ",".join(["*", *(f"-{name}" for name in off)]),
            "service-account-private-key-file": self.home.credentials / "service-accounts.key",
            "root-ca-file": self.home.credentials / "ca.crt",
            "use-service-account-credentials": "true",
        }
        return self._program("kube-controller-manager", flags)

    def scheduler(self) -> Component:
        """Give the scheduler."""
        return self._program("kube-scheduler", self._client("kube-scheduler", self.ports.scheduler))

    def node(self) -> Component:
        """Give the process node. Asked to end, it ends its pods first; killed, it leaves them running."""
        flags = {
            "kubeconfig": self.home.user_kubeconfig("node"),
            "dir": self.home.node,
            "name": NODE_NAME,
            "pod-cidr": self.addresses.pods,
            "port": self.ports.node,
            "client-ca": self.home.credentials / "ca.crt",
        }
        command = (sys.executable, "-m", "kingmaker_laptop.node", *_flags(flags))
        return Component("node", command, _installed_commands_first())

    def operator(self) -> Component:
        """Give the operator, as its ServiceAccount."""
        flags = {
            "kubeconfig": self.home.user_kubeconfig("operator"),
            "xds-host": "127.0.0.1",
            "xds-port": self.ports.xds,
            "bind-address": "127.0.0.1",
            "metrics-port": self.ports.metrics,
            "serving-image": IMAGES["serving"],
            "router-image": IMAGES["router"],
            # One machine: a second router guards nothing, and nobody else's load balancer has to notice an ending pod.
            "router-replicas": 1,
            "pre-stop-seconds": 1,
            "drain-seconds": 5,
            # Servers and operator end together here, whenever the laptop does.
            "ledger-interval": 5,
        }
        command = (sys.executable, "-m", "kingmaker", "run", *_flags(flags), *self.operator_arguments)
        # Without this gRPC hooks into every fork, and once stopped answering after one.
        environment = _installed_commands_first() | {"GRPC_ENABLE_FORK_SUPPORT": "0"}
        return Component("operator", command, environment)

    def _client(self, user: str, port: int) -> dict[str, object]:
        return {
            "kubeconfig": self.home.user_kubeconfig(user),
            # The default of 20 to 50 requests a second makes a burst of a hundred deployments wait.
            "kube-api-qps": 1000,
            "kube-api-burst": 2000,
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": port,
            **self._tls("tls-cert-file", "tls-private-key-file"),
            "profiling": "false",
        }

    def _tls(self, certificate: str, key: str, authority: str | None = None) -> dict[str, object]:
        folder = self.home.credentials
        files: dict[str, object] = {certificate: folder / "server.crt", key: folder / "server.key"}
        return {**files, authority: folder / "ca.crt"} if authority else files

    def _program(self, name: str, flags: dict[str, object]) -> Component:
        return Component(name, (str(self.binary), name, *_flags(flags)))


def _flags(flags: dict[str, object]) -> Iterator[str]:
    return (f"--{name}={value}" for name, value in flags.items())


def _installed_commands_first() -> dict[str, str]:
    here = str(Path(sys.executable).parent)
    return {"PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)])}
