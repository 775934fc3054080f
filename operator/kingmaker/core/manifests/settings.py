"""What the operator was started with and its manifests depend on: read once, passed down, never changed."""

from dataclasses import dataclass
from typing import Final, Literal

PullPolicy = Literal["Always", "IfNotPresent", "Never"]

LINK_LOCAL: Final = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")
"""Where clouds hand out credentials to whoever runs on a machine: metadata and pod identity, IPv4 and IPv6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Images, addresses and times. The defaults suit a cluster; a laptop lowers replicas and times."""

    serving_image: str
    """Image of fetch, verify and serve; a process node only takes the command from it."""
    router_image: str
    """Image of Envoy."""
    operator_namespace: str
    """Namespace that the operator's pods run in: the only ones outside that may read counts."""
    xds_host: str
    """Name or address at which routers find the operator."""
    xds_port: int
    """Port of the same, 1..65535."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets, in the namespace of the workload, for a private registry."""
    router_replicas: int = 2
    """Router pods per namespace; with one, a node's end is an outage."""
    pre_stop_seconds: int = 10
    """How long an ending pod goes on answering, so that everybody has stopped sending before it stops listening."""
    drain_seconds: int = 45
    """How long a server may finish what is in flight after SIGTERM."""
    startup_seconds: int = 300
    """How long a server may take to load its model and warm up before it is started anew."""
    verify_deadline_seconds: int = 900
    """How long a verify Job may take, downloads included."""
    verify_memory: str = "8Gi"
    """Most memory that verifying a Model may take, as a Kubernetes quantity; `verify` gives a small file less."""
    model_size_limit: str = "10Gi"
    """Most disk that one Model's files may take, as a Kubernetes quantity."""
    blocked_egress: tuple[str, ...] = LINK_LOCAL
    """Networks that servers and Jobs may not reach where policies are enforced: cloud metadata, the API server."""
    store_namespaces: tuple[str, ...] = ()
    """Namespaces whose pods servers and Jobs may reach whatever is blocked: those with stores of models."""
    monitoring_namespaces: tuple[str, ...] = ()
    """Namespaces whose pods may scrape /metrics."""

    @property
    def grace_seconds(self) -> int:
        """Grace period of a server: the sleep, the drain, and time for the process to go."""
        return self.pre_stop_seconds + self.drain_seconds + 20
