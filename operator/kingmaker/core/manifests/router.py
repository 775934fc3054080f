"""What a namespace has once: the router that its ModelDeployments share, and the ServiceAccount without permissions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kingmaker.api import ModelDeployment
from kingmaker.core.manifests.names import ROUTER, WORKLOAD
from kingmaker.core.manifests.objects import (
    ROUTER_SELECTOR,
    Manifest,
    deployment_labels,
    labels,
    manifest,
    owner,
)
from kingmaker.core.manifests.pods import (
    confined,
    default_resources,
    field_env,
    http_probe,
    pod_defaults,
    sleep_before_stop,
    spread,
)
from kingmaker.core.manifests.serving import GRPC_PORT, MANAGEMENT_PORT, PORT
from kingmaker.core.manifests.settings import Settings

_RESOURCES: Final = default_resources(cpu="100m", memory="128Mi", memory_limit="1Gi")


@dataclass(frozen=True, slots=True)
class RouterContainer:
    """How Envoy is started and stopped; the routing layer knows.

    Attributes:
        args: Of the command `envoy`; `$(POD_IP)`, `$(POD_NAME)` and `$(POD_NAMESPACE)` come from the environment.
        lifecycle: Lets connections end before Envoy gets SIGTERM, on which it exits at once; None only sleeps.
        startup_probe: Succeeds once the operator has configured the router. Until then no port is open, and a liveness
            probe would have routers die of the operator's absence.
        grace_seconds: What the pod's `terminationGracePeriodSeconds` must be at least.
    """

    args: tuple[str, ...]
    lifecycle: Mapping[str, Any] | None = None
    startup_probe: Mapping[str, Any] | None = None
    grace_seconds: int = 0


def deployment_service(mdep: ModelDeployment) -> Manifest:
    """Build the one endpoint that clients know: the ModelDeployment's own name, answered by the routers.

    Routers tell REST and gRPC apart, so both ports take both. The second one is where clients of gRPC look for it, and
    tells gateways to speak HTTP/2.
    """
    head = manifest(
        "v1",
        "Service",
        name=mdep.metadata.name,
        namespace=mdep.metadata.namespace,
        labels=deployment_labels(mdep, "endpoint"),
        owners=owner(mdep),
    )
    ports = [
        {"name": name, "port": port, "targetPort": "http", "protocol": "TCP", "appProtocol": protocol}
        for name, port, protocol in (("http", 80, "http"), ("grpc", GRPC_PORT, "kubernetes.io/h2c"))
    ]
    return head | {"spec": {"type": "ClusterIP", "selector": ROUTER_SELECTOR, "ports": ports}}


def router_deployment(namespace: str, *, settings: Settings, router: RouterContainer) -> Manifest:
    """Build the Deployment of the router that serves all ModelDeployments of a namespace.

    Args:
        namespace: Where.
        settings: Image, replicas and times.
        router: What its container is told: arguments and files.
    """
    own = labels(ROUTER, instance=ROUTER, component="router")
    container = {
        "name": "envoy",
        "image": settings.router_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["envoy"],
        "args": list(router.args),
        "env": field_env(POD_IP="status.podIP", POD_NAME="metadata.name", POD_NAMESPACE="metadata.namespace"),
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "management", "containerPort": MANAGEMENT_PORT, "protocol": "TCP"},
        ],
        "resources": _RESOURCES,
        "securityContext": confined(),
        # Ready needs a configuration from the operator; alive must not, or routers would die of the operator's absence.
        "readinessProbe": http_probe("/ready", period_seconds=2, failure_threshold=2),
        "livenessProbe": {"tcpSocket": {"port": "management"}, "periodSeconds": 10, "failureThreshold": 6},
    } | ({"lifecycle": dict(router.lifecycle)} if router.lifecycle else sleep_before_stop(settings.pre_stop_seconds))
    if router.startup_probe:
        container["startupProbe"] = dict(router.startup_probe)
    pod = (
        pod_defaults()
        | spread(ROUTER_SELECTOR)
        | {"terminationGracePeriodSeconds": settings.pre_stop_seconds + 20, "containers": [container]}
    )
    head = manifest("apps/v1", "Deployment", name=ROUTER, namespace=namespace, labels=own)
    return head | {
        "spec": {
            "replicas": settings.router_replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": ROUTER_SELECTOR},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": own}, "spec": pod},
        }
    }


def workload_service_account(namespace: str, *, settings: Settings) -> Manifest:
    """Build the ServiceAccount of all workloads of a namespace: it may do nothing, and no pod gets its token."""
    own = labels("kingmaker", instance=WORKLOAD, component="workload")
    body = manifest("v1", "ServiceAccount", name=WORKLOAD, namespace=namespace, labels=own)
    body["automountServiceAccountToken"] = False
    if settings.image_pull_secrets:
        body["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return body
