"""Which address leads to which pods. Pure: Services and Pods in, routes out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]

Address = tuple[str, int]

PRIVILEGED_PORTS: Final = 1024
SHIFT: Final = 8000


@dataclass(frozen=True, slots=True)
class Route:
    """One Service port.

    Attributes:
        listen: Cluster IP and port; ports below 1024 are shifted by 8000.
        targets: Addresses of the pods that take connections, in a stable order.
        is_sticky: Connections from one address go to one pod (`sessionAffinity: ClientIP`).
    """

    service: str
    listen: Address
    targets: tuple[Address, ...]
    is_sticky: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A Service port that can't be served."""

    service: Document
    message: str


def served_port(port: int) -> int:
    """The port that stands for a Service's port.

    >>> served_port(80), served_port(8080)
    (8080, 8080)
    """
    return port + SHIFT if port < PRIVILEGED_PORTS else port


def build_routes(services: Iterable[Document], pods: Iterable[Document]) -> tuple[list[Route], list[Problem]]:
    """Route every Service of one namespace to its pods there."""
    routes: dict[Address, Route] = {}
    problems: list[Problem] = []
    candidates = [pod for pod in pods if _can_be_reached(pod)]
    # Ports that need no shift come first: they may not be taken by one that does.
    for service, port in sorted(_ports(services), key=lambda item: item[1]["port"] < PRIVILEGED_PORTS):
        name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        if port.get("protocol", "TCP") != "TCP":
            problems.append(Problem(service, f"port {port['port']}: {port['protocol']} isn't forwarded here, only TCP"))
            continue
        listen = (service["spec"]["clusterIP"], served_port(port["port"]))
        if listen in routes:
            message = f"port {port['port']} would be served at {listen[1]}, which is another port of the Service"
            problems.append(Problem(service, message))
            continue
        is_sticky = service["spec"].get("sessionAffinity") == "ClientIP"
        routes[listen] = Route(name, listen, tuple(_targets(service, port, candidates)), is_sticky)
    return list(routes.values()), problems


def _ports(services: Iterable[Document]) -> Iterable[tuple[Document, Document]]:
    for service in services:
        spec = service["spec"]
        if spec.get("clusterIP") in {None, "", "None"} or not spec.get("selector"):
            continue
        for port in spec.get("ports") or []:
            yield service, port


def _targets(service: Document, port: Document, pods: list[Document]) -> Iterable[Address]:
    spec = service["spec"]
    accepts_unready = bool(spec.get("publishNotReadyAddresses"))
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        if not _matches(spec["selector"], pod["metadata"].get("labels") or {}):
            continue
        if not accepts_unready and not _is_ready(pod):
            continue
        number = _target_port(port, pod)
        if number is not None:
            yield pod["status"]["podIP"], number


def _target_port(port: Document, pod: Document) -> int | None:
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    for container in pod["spec"]["containers"]:
        for offered in container.get("ports") or []:
            if offered.get("name") == wanted:
                return int(offered["containerPort"])
    return None


def _matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _can_be_reached(pod: Document) -> bool:
    status = pod.get("status") or {}
    is_over = status.get("phase") in {"Succeeded", "Failed"}
    return bool(status.get("podIP")) and not is_over and not pod["metadata"].get("deletionTimestamp")


def _is_ready(pod: Document) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
