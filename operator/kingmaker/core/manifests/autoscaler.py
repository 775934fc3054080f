"""The autoscaler of one variant: how many pods it has follows the load, within bounds that the operator sets."""

from typing import Final

from kingmaker.api import Autoscaling, ModelDeployment
from kingmaker.core.manifests.names import variant_name
from kingmaker.core.manifests.objects import Manifest, manifest, owner
from kingmaker.core.manifests.quantities import canonical_quantity
from kingmaker.core.manifests.serving import variant_labels

IN_FLIGHT: Final = "kingmaker_requests_in_flight"
"""Gauge of a serving pod that `targetConcurrency` speaks of; an adapter offers it as a custom metric of the pod."""

_UP: Final = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 4, "periodSeconds": 15},
    ],
}
"""Load that is there is answered at once: twice the pods, or four more, every 15 seconds. Kubernetes' own default."""


def autoscaler(mdep: ModelDeployment, model: str, scaling: Autoscaling, *, floor: int, may_shrink: bool) -> Manifest:
    """Build the HorizontalPodAutoscaler of a variant.

    Args:
        mdep: The owner.
        model: Name of the Model that the variant serves.
        scaling: `spec.serving.autoscaling`.
        floor: Fewest pods now, minReplicas..maxReplicas.
        may_shrink: Whether pods may be removed for want of load.
    """
    name = variant_name(mdep.metadata.name, model)
    head = manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        name=name,
        namespace=mdep.metadata.namespace,
        labels=variant_labels(mdep, model),
        owners=owner(mdep),
    )
    return head | {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": floor,
            "maxReplicas": scaling.max_replicas,
            "metrics": [_metric(scaling)],
            "behavior": {"scaleUp": _UP, "scaleDown": _down(scaling, may_shrink=may_shrink)},
        }
    }


def _down(scaling: Autoscaling, *, may_shrink: bool) -> Manifest:
    # Half of the pods a minute at most: those that stay take over what the others carried, and show how that is.
    return {
        "stabilizationWindowSeconds": scaling.scale_down_delay.seconds,
        "selectPolicy": "Max" if may_shrink else "Disabled",
        "policies": [
            {"type": "Percent", "value": 50, "periodSeconds": 60},
            {"type": "Pods", "value": 1, "periodSeconds": 60},
        ],
    }


def _metric(scaling: Autoscaling) -> Manifest:
    if scaling.target_cpu_percent is not None:
        target = {"type": "Utilization", "averageUtilization": scaling.target_cpu_percent}
        return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    average = {"type": "AverageValue", "averageValue": canonical_quantity(str(scaling.target_concurrency))}
    return {"type": "Pods", "pods": {"metric": {"name": IN_FLIGHT}, "target": average}}
