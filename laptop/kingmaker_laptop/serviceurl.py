"""Where a Service answers on a laptop: pure, from the Service object."""

from typing import Any, Final

from kingmaker_laptop.errors import LocalError

LOW_PORTS_END: Final = 1024
"""Ports below it can't be bound without root."""

LOW_PORTS_SHIFT: Final = 8000


def service_url(service: dict[str, Any]) -> str:
    """Give the base URL of a Service's port `http`, else of its first port.

    >>> service_url({"metadata": {"name": "churn"}, "spec": {"clusterIP": "127.100.4.2", "ports": [{"port": 80}]}})
    'http://127.100.4.2:8080'

    Raises:
        LocalError: It has no address of its own, or no port.
    """
    name, spec = service["metadata"]["name"], service.get("spec", {})
    address, ports = spec.get("clusterIP", ""), spec.get("ports") or []
    if address in {"", "None"} or not ports:
        raise LocalError(f"Service {name} has no cluster IP or no port; a ModelDeployment's Service has both")
    chosen = next((port for port in ports if port.get("name") == "http"), ports[0])
    return f"http://{address}:{served_port(int(chosen['port']))}"


def served_port(port: int) -> int:
    """Give the port at which the node serves a Service's port."""
    return port + LOW_PORTS_SHIFT if port < LOW_PORTS_END else port
