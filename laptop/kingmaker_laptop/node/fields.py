"""`fieldRef` and `resourceFieldRef`: what a pod may ask about itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kingmaker_laptop.node.podspec import PodSpec
from kingmaker_laptop.node.quantity import divide_quantity

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class UnknownFieldError(ValueError):
    """A field path that this node can't answer."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the node knows about a pod besides its spec.

    Attributes:
        allocatable: The node's resources, which stand in for limits that aren't set.
    """

    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, str]


def field_value(path: str, pod: PodSpec, facts: PodFacts) -> str:
    """Answer a `fieldPath`.

    Raises:
        UnknownFieldError: Not one of the fields that Kubernetes offers here.
    """
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        mapping = pod.labels if subscript.group(1) == "labels" else pod.annotations
        return mapping.get(subscript.group(2), "")
    spec = pod.document["spec"]
    answers = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "metadata.labels": _format_map(pod.labels),
        "metadata.annotations": _format_map(pod.annotations),
        "spec.nodeName": str(spec.get("nodeName", "")),
        "spec.serviceAccountName": str(spec.get("serviceAccountName", "")),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path not in answers:
        raise UnknownFieldError(f"fieldPath {path!r} isn't one that this node can answer")
    return answers[path]


def resource_value(reference: Mapping[str, Any], pod: PodSpec, facts: PodFacts, *, container: str) -> str:
    """Answer a `resourceFieldRef`; `container` is the one that asks, unless the reference names another."""
    asked = pod.container(reference.get("containerName") or container)
    kind, _, resource = str(reference["resource"]).partition(".")
    limits, requests = asked.limits or {}, asked.requests or {}
    if kind == "limits":
        amount = limits.get(resource) or facts.allocatable.get(resource)
    else:
        amount = requests.get(resource) or limits.get(resource) or "0"
    if amount is None:
        raise UnknownFieldError(f"resource {reference['resource']!r} has no limit and the node doesn't count it")
    return divide_quantity(amount, str(reference.get("divisor", "1")))


def _format_map(mapping: Mapping[str, str]) -> str:
    escaped = (
        (key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in mapping.items()
    )
    return "\n".join(f'{key}="{value}"' for key, value in sorted(escaped))
