"""What every pod of the operator's making has in common: nobody's permissions, a read-only root, literal arguments."""

from collections.abc import Sequence
from typing import Final

from kingmaker.api import Resources
from kingmaker.core.manifests.names import WORKLOAD
from kingmaker.core.manifests.objects import Manifest
from kingmaker.core.manifests.quantities import add_quantities, canonical_quantity

USER: Final = 65532
"""Numeric, so that `runAsNonRoot` can be checked without looking into an image; owns nothing in ours."""

POD_IP: Final = "$(POD_IP)"
"""In a command, the pod's own address: the one thing that Kubernetes shall fill in there."""

TERMINATION_LOG: Final = "/dev/termination-log"

SCRATCH_DIR: Final = "/run/kingmaker/scratch"
_SCRATCH: Final = "kingmaker-scratch"
_SCRATCH_SIZE: Final = "1Gi"

_LOGS_SIZE: Final = "1Gi"
"""Disk for what a container prints, beside its folders; the kubelet keeps 50 MiB of it where nobody says otherwise."""

DISK: Final = "ephemeral-storage"


def literal(value: str) -> str:
    """Escape `$(NAME)`, which Kubernetes would expand, in text that a person or a Job wrote.

    Without it a Model could carry `http://collector/$(AWS_SECRET_ACCESS_KEY)` as its address, and the init
    container, which holds the credentials, would send them there.

    >>> literal("s3://models/$(POD_IP)")
    's3://models/$$(POD_IP)'
    """
    return value.replace("$", "$$")


def option(flag: str, value: str | int | None) -> list[str]:
    """Give `--flag value`, or nothing where there is no value."""
    return [] if value is None else [flag, literal(str(value))]


def env(**values: str) -> list[Manifest]:
    """Give environment variables with the values as they are."""
    # An empty value is no field to the API server; what is not there can't differ.
    return [{"name": name} | ({"value": literal(value)} if value else {}) for name, value in values.items()]


def field_env(**paths: str) -> list[Manifest]:
    """Give environment variables from fields of the pod."""
    return [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for name, path in paths.items()
    ]


def scratch_env() -> list[Manifest]:
    """Point what libraries write, caches and temporary files, at the one folder that takes it."""
    return env(HOME=SCRATCH_DIR, TMPDIR=SCRATCH_DIR)


def scratch_volume() -> Manifest:
    """Give the folder for what libraries write; it ends with the pod."""
    return {"name": _SCRATCH, "emptyDir": {"sizeLimit": _SCRATCH_SIZE}}


def scratch_mount() -> Manifest:
    """Mount the folder for what libraries write."""
    return {"name": _SCRATCH, "mountPath": SCRATCH_DIR}


def default_resources(*, cpu: str, memory: str, memory_limit: str, folders: Sequence[str] = ()) -> Manifest:
    """Give what a container requests and gets at most, where nobody says otherwise.

    There is no limit on CPU: who is throttled in the middle of a request is slow although the node has time to spare,
    and the request alone keeps neighbours from being starved.

    Args:
        cpu: Requested.
        memory: Requested.
        memory_limit: At most.
        folders: Size limits of the pod's other folders than scratch. The kubelet counts what all of them hold against
            the limit, so a full folder is still within it and says itself which one is full.
    """
    disk = add_quantities(_SCRATCH_SIZE, _LOGS_SIZE, *folders)
    return {
        "requests": {"cpu": cpu, "memory": memory, DISK: "256Mi"},
        "limits": {"memory": memory_limit, DISK: disk},
    }


def resources(wanted: Resources, defaults: Manifest) -> Manifest:
    """Fill in what a person left open about CPU, memory and disk.

    A default is used only where the person says nothing at all about that resource: a default limit beside a higher
    request would make the pod invalid. Memory and disk are always limited, so that a bad model harms itself alone.

    Args:
        wanted: The API's choice; may be empty.
        defaults: `{"requests": {...}, "limits": {...}}`.
    """
    given = wanted.manifest()
    requests, limits = (
        {name: canonical_quantity(amount) for name, amount in given.get(part, {}).items()}
        for part in ("requests", "limits")
    )
    named = requests.keys() | limits.keys()
    for target, part in ((requests, "requests"), (limits, "limits")):
        target.update({key: value for key, value in defaults.get(part, {}).items() if key not in named})
    for name in ("memory", DISK):
        if name in requests:
            limits.setdefault(name, requests[name])
    return {"requests": requests, "limits": limits}


def confined() -> Manifest:
    """Give a container's security context under the restricted profile of Pod Security."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def pod_defaults() -> Manifest:
    """Give the fields of a pod's spec that no template may override."""
    return {
        "serviceAccountName": WORKLOAD,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def http_probe(path: str, *, period_seconds: int, failure_threshold: int, timeout_seconds: int = 2) -> Manifest:
    """Probe the management port; the address is the pod's own, which is what the servers bind to.

    Args:
        path: What is asked for.
        period_seconds: Time between two probes, >= 1.
        failure_threshold: Failures in a row that count, >= 1.
        timeout_seconds: Of one probe, >= 1.
    """
    return {
        "httpGet": {"path": path, "port": "management", "scheme": "HTTP"},
        "periodSeconds": period_seconds,
        "failureThreshold": failure_threshold,
        "timeoutSeconds": timeout_seconds,
        "successThreshold": 1,
    }


def sleep_before_stop(seconds: int) -> Manifest:
    """Give the lifecycle of a container that answers for a while yet; empty for 0 seconds.

    Kubernetes takes a pod out of its Services while it ends it, not before: who stops at once loses requests.
    """
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds > 0 else {}


def spread(selector: dict[str, str]) -> Manifest:
    """Give the fields of a pod that spread its like over nodes and zones where possible, and never hold one back.

    Zones are not a second constraint beside the nodes: at a node that lacks the label of one soft constraint the
    scheduler heeds none, so where there are no zones pods would gather on one node.
    """
    # Pods of an older template do not count: a rollout's last pod would join its first where one of them left.
    like = {"labelSelector": {"matchLabels": selector}, "matchLabelKeys": ["pod-template-hash"]}
    nodes = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    zones = {"weight": 100, "podAffinityTerm": {"topologyKey": "topology.kubernetes.io/zone"} | like}
    return {
        "topologySpreadConstraints": [nodes | like],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [zones]}},
    }
