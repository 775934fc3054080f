"""Find what a pod asks for that this node can't give. Refused here means: a Warning event, and a pod that says why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kingmaker_laptop.node.podspec import PodSpec

Document = dict[str, Any]

VOLUME_SOURCES: Final = (
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "hostPath",
    "persistentVolumeClaim",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that can't be given, in words for the person who wrote the pod."""

    reason: str
    message: str


def find_problem(pod: PodSpec) -> Problem | None:
    """The first thing that this node can't give, None when it can give all."""
    return next(_problems(pod), None)


def is_replaced_when_failed(pod: PodSpec) -> bool:
    """Whether a controller would replace the failed pod at once, for ever.

    Such a pod stays waiting instead, as one whose image can't be pulled: a ReplicaSet makes thousands of failed pods an
    hour. A Job counts failures, and a bare pod stays alone.
    """
    owners = pod.document["metadata"].get("ownerReferences") or []
    return any(owner.get("controller") and owner["kind"] != "Job" for owner in owners)


def _problems(pod: PodSpec) -> Iterator[Problem]:
    spec = pod.document["spec"]
    for container in pod.containers:
        if not container.command:
            yield Problem("ErrImageNeverPull", f"image {container.image} can't be pulled here; name the command")
        for mount in container.mounts:
            if mount.path == "/":
                yield _unsupported(f"container {container.name}: mountPath / can't be given to a process")
    for item in [*(spec.get("initContainers") or []), *spec["containers"]]:
        yield from _container_problems(item)
        if not pod.is_host_network:
            yield from _host_port_problems(item)
    yield from _volume_problems(pod)
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        yield _unsupported("os.name: this node runs linux processes only")
    if spec.get("runtimeClassName"):
        yield _unsupported(f"runtimeClassName: {spec['runtimeClassName']} is no runtime for processes; leave it out")
    if spec.get("resourceClaims"):
        yield _unsupported("resourceClaims: this node has no devices")


def _volume_problems(pod: PodSpec) -> Iterator[Problem]:
    for name, volume in pod.volumes.items():
        if not any(source in volume for source in VOLUME_SOURCES):
            kinds = sorted(set(volume) - {"name"})
            yield _unsupported(f"volume {name}: {', '.join(kinds)} isn't one of {', '.join(VOLUME_SOURCES)}")


def _container_problems(item: Document) -> Iterator[Problem]:
    where = f"container {item['name']}"
    if (item.get("securityContext") or {}).get("privileged"):
        yield _unsupported(f"{where}: privileged can't be given to a process of an ordinary user")
    if item.get("volumeDevices"):
        yield _unsupported(f"{where}: volumeDevices aren't supported")
    if item.get("restartPolicy"):
        yield _unsupported(f"{where}: restartPolicy of a single container (sidecars) isn't supported")


def _host_port_problems(item: Document) -> Iterator[Problem]:
    for port in item.get("ports") or []:
        if port.get("hostPort"):
            yield _unsupported(f"container {item['name']}: hostPort {port['hostPort']} isn't forwarded; use a Service")


def _unsupported(message: str) -> Problem:
    return Problem("Unsupported", message)
