"""How a container's health is asked for: probes and lifecycle hooks, read from the API's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HttpGet:
    """GET; 200 to 399 is healthy. An empty host is the pod's own address."""

    port: int
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TcpConnect:
    """A connection that is accepted is healthy."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """`grpc.health.v1.Health/Check`; SERVING is healthy."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class Exec:
    """A command in the container's environment; exit code 0 is healthy."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sleep:
    """A hook that only waits."""

    seconds: int


Check = HttpGet | TcpConnect | GrpcCheck | Exec
Hook = HttpGet | TcpConnect | Exec | Sleep


@dataclass(frozen=True, slots=True)
class Probe:
    """A check with its timing; all times in seconds."""

    check: Check
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: int | None = None


def parse_probe(item: Document | None, ports: Mapping[str, int]) -> Probe | None:
    """Read a probe; `ports` maps the container's port names to numbers."""
    check = _parse_check(item, ports) if item else None
    if item is None or check is None:
        return None
    return Probe(
        check=check,
        initial_delay=item.get("initialDelaySeconds", 0),
        period=item.get("periodSeconds", 10),
        timeout=item.get("timeoutSeconds", 1),
        success_threshold=item.get("successThreshold", 1),
        failure_threshold=item.get("failureThreshold", 3),
        grace=item.get("terminationGracePeriodSeconds"),
    )


def parse_hook(item: Document | None, ports: Mapping[str, int]) -> Hook | None:
    """Read a `postStart` or `preStop` handler."""
    if not item:
        return None
    if "sleep" in item:
        return Sleep(int(item["sleep"]["seconds"]))
    check = _parse_check(item, ports)
    return None if isinstance(check, GrpcCheck) else check


def _parse_check(item: Document, ports: Mapping[str, int]) -> Check | None:
    if "exec" in item:
        return Exec(tuple(item["exec"].get("command") or ()))
    if "httpGet" in item:
        http = item["httpGet"]
        headers = tuple((header["name"], header["value"]) for header in http.get("httpHeaders") or [])
        path = http.get("path") or "/"
        return HttpGet(
            port=_port(http["port"], ports),
            path=path if path.startswith("/") else f"/{path}",
            host=http.get("host", ""),
            scheme=http.get("scheme", "HTTP"),
            headers=headers,
        )
    if "tcpSocket" in item:
        return TcpConnect(port=_port(item["tcpSocket"]["port"], ports), host=item["tcpSocket"].get("host", ""))
    if "grpc" in item:
        return GrpcCheck(port=int(item["grpc"]["port"]), service=item["grpc"].get("service") or "")
    return None


def _port(port: int | str, ports: Mapping[str, int]) -> int:
    # An unknown name becomes port 0, which fails each probe with a message that names the port.
    return port if isinstance(port, int) else ports.get(port, 0)
