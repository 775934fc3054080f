"""The pods that serve one model for one ModelDeployment, and the Service that other servers reach them by.

Nothing here may depend on the model's role. Whoever is champion today was challenger yesterday, and a promotion that
changed a pod template would restart the very servers that just proved themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from kingmaker.api import Model, ModelDeployment
from kingmaker.core.manifests.model_files import (
    MODEL_DIR,
    canonical,
    fetch_container,
    model_arguments,
    model_mount,
    model_volumes,
)
from kingmaker.core.manifests.names import bounded, keys_name, shadow_name, variant_name
from kingmaker.core.manifests.objects import MODEL, Manifest, deployment_labels, manifest, owner, serving_selector
from kingmaker.core.manifests.pods import (
    POD_IP,
    TERMINATION_LOG,
    confined,
    default_resources,
    field_env,
    http_probe,
    literal,
    option,
    pod_defaults,
    resources,
    scratch_env,
    scratch_mount,
    scratch_volume,
    sleep_before_stop,
    spread,
)
from kingmaker.core.manifests.scheduling import scheduling_fields
from kingmaker.core.manifests.settings import Settings

PORT: Final = 8080
GRPC_PORT: Final = 8081
MANAGEMENT_PORT: Final = 8082
_PORTS: Final = {"http": PORT, "grpc": GRPC_PORT, "management": MANAGEMENT_PORT}
SHADOW_DIR: Final = "/etc/kingmaker/shadow"
TARGETS: Final = "targets.json"
KEYS_DIR: Final = "/etc/kingmaker/ids"
KEYS_COMPONENT: Final = "ids"


@dataclass(frozen=True, slots=True)
class ShadowTarget:
    """A challenger that gets copies of `percent` (1..100) of the champion's requests, at the URL of its Service."""

    model: str
    digest: str
    url: str
    percent: int


def keys_secret(mdep: ModelDeployment) -> Manifest:
    """Build the Secret with the keys of the request ids, but for the keys.

    Every pod of the deployment has the same ones, and nobody else: who knows one can say what was predicted.
    """
    meta = mdep.metadata
    head = manifest(
        "v1",
        "Secret",
        name=keys_name(meta.name, meta.uid),
        namespace=meta.namespace,
        labels=deployment_labels(mdep, KEYS_COMPONENT),
        owners=owner(mdep),
    )
    return head | {"type": "Opaque"}


def variant_labels(mdep: ModelDeployment, model: str) -> dict[str, str]:
    """Give the labels of what belongs to one model of one ModelDeployment."""
    return deployment_labels(mdep, "serving", name="kingmaker-serving") | {MODEL: bounded(model)}


def variant_deployment(mdep: ModelDeployment, model: Model, *, replicas: int | None, settings: Settings) -> Manifest:
    """Build the Deployment that serves one model.

    Args:
        mdep: The owner.
        model: What is served; already verified.
        replicas: Pods wanted, >= 0; None when an autoscaler says how many.
        settings: How the operator was started.
    """
    name = model.metadata.name
    selector = serving_selector(mdep, name)
    head = _head(mdep, name, "apps/v1", "Deployment")
    pod = {"metadata": {"labels": variant_labels(mdep, name)}, "spec": _pod(mdep, model, settings)}
    fixed = {} if replicas is None else {"replicas": replicas}
    return head | {
        "spec": fixed
        | {
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": pod,
        }
    }


def variant_service(mdep: ModelDeployment, model: str) -> Manifest:
    """Build the Service by which the champion reaches a challenger, and people reach either to debug."""
    ports = [_service_port(name, port) for name, port in _PORTS.items()]
    spec = {"type": "ClusterIP", "selector": serving_selector(mdep, model), "ports": ports}
    return _head(mdep, model, "v1", "Service") | {"spec": spec}


def shadow_config_map(
    mdep: ModelDeployment,
    *,
    decision: int,
    champion: str,
    targets: Sequence[ShadowTarget],
    peers: Mapping[str, Sequence[str]] | None = None,
) -> Manifest:
    """Build the ConfigMap that names others to a deployment's servers.

    Args:
        mdep: The owner.
        decision: Under which copies are counted.
        champion: The model whose servers send them.
        targets: Who gets them.
        peers: Addresses of pods by model, which feedback may be passed on to.
    """
    content: Manifest = {"decision": decision, "champion": champion, "targets": [asdict(target) for target in targets]}
    if peers:
        content["peers"] = {model: list(pods) for model, pods in peers.items()}
    head = manifest(
        "v1",
        "ConfigMap",
        name=shadow_name(mdep.metadata.name),
        namespace=mdep.metadata.namespace,
        labels=deployment_labels(mdep, "shadow"),
        owners=owner(mdep),
    )
    return head | {"data": {TARGETS: canonical(content)}}


def _head(mdep: ModelDeployment, model: str, api_version: str, kind: str) -> Manifest:
    return manifest(
        api_version,
        kind,
        name=variant_name(mdep.metadata.name, model),
        namespace=mdep.metadata.namespace,
        labels=variant_labels(mdep, model),
        owners=owner(mdep),
    )


def _pod(mdep: ModelDeployment, model: Model, settings: Settings) -> Manifest:
    image = mdep.spec.serving.image or settings.serving_image
    meta = mdep.metadata
    shadow = {"name": "shadow", "configMap": {"name": shadow_name(meta.name), "optional": True}}
    # Not optional: a server without the key would make ids that no other one reads.
    keys = {"name": "ids", "secret": {"secretName": keys_name(meta.name, meta.uid)}}
    return (
        scheduling_fields(mdep.spec.serving)
        | pod_defaults()
        | spread(serving_selector(mdep, model.metadata.name))
        | {
            "terminationGracePeriodSeconds": settings.grace_seconds,
            "initContainers": [fetch_container(model, image=image, settings=settings)],
            "containers": [_serve_container(mdep, model, image, settings)],
            "volumes": [*model_volumes(model, settings), scratch_volume(), shadow, keys],
        }
    )


def _serve_container(mdep: ModelDeployment, model: Model, image: str, settings: Settings) -> Manifest:
    serving = mdep.spec.serving
    folders = [settings.model_size_limit]
    defaults = default_resources(cpu="100m", memory="256Mi", memory_limit="2Gi", folders=folders)
    identity = field_env(POD_IP="status.podIP", KINGMAKER_POD_IP="status.podIP", KINGMAKER_POD_NAME="metadata.name")
    return {
        "name": "serve",
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["kingmaker-serving", "serve"],
        "args": [
            *("--dir", MODEL_DIR, "--model-name", literal(mdep.metadata.name)),
            *("--model-version", literal(model.metadata.name)),
            *model_arguments(model, signature=False),
            # gRPC's port is the default one and no argument: servers of an earlier release, which an upgrade may keep
            # for a while, don't know the option.
            *("--host", POD_IP, "--port", str(PORT), "--management-port", str(MANAGEMENT_PORT)),
            *("--shadow-targets", f"{SHADOW_DIR}/{TARGETS}", "--id-keys", KEYS_DIR),
            *option("--max-request-bytes", serving.max_request_bytes),
            *("--drain-seconds", str(settings.drain_seconds), "--termination-log", TERMINATION_LOG),
        ],
        "env": [*identity, *scratch_env()],
        "ports": [_container_port(name, port) for name, port in _PORTS.items()],
        "resources": resources(serving.resources, defaults),
        "volumeMounts": [
            model_mount(),
            scratch_mount(),
            {"name": "shadow", "mountPath": SHADOW_DIR, "readOnly": True},
            {"name": "ids", "mountPath": KEYS_DIR, "readOnly": True},
        ],
        "securityContext": confined(),
        # Loading may take minutes and is nobody's fault; only then does silence mean that the server hangs.
        "startupProbe": http_probe("/livez", period_seconds=1, failure_threshold=settings.startup_seconds),
        "livenessProbe": http_probe("/livez", period_seconds=10, failure_threshold=3, timeout_seconds=5),
        "readinessProbe": http_probe("/readyz", period_seconds=2, failure_threshold=2),
    } | sleep_before_stop(settings.pre_stop_seconds)


def _container_port(name: str, port: int) -> Manifest:
    return {"name": name, "containerPort": port, "protocol": "TCP"}


def _service_port(name: str, port: int) -> Manifest:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
