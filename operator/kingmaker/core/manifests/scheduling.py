"""Where a pod runs: what people chose, as fields of the pod."""

from kingmaker.api import Scheduling
from kingmaker.core.manifests.objects import Manifest


def scheduling_fields(wanted: Scheduling) -> Manifest:
    """Give the fields of a pod's spec that people chose; whatever the operator says of the pod is merged over them."""
    fields: Manifest = {
        "nodeSelector": dict(wanted.node_selector or {}),
        "tolerations": [toleration.manifest() for toleration in wanted.tolerations],
        "runtimeClassName": str(wanted.runtime_class_name or ""),
        "priorityClassName": str(wanted.priority_class_name or ""),
    }
    return {name: value for name, value in fields.items() if value}
