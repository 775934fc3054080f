"""How a router's Envoy is started: one argument holds its whole bootstrap, so it needs no file and no ConfigMap."""

from __future__ import annotations

import ipaddress
import json
from typing import Any, Final

from kingmaker.core.manifests.router import RouterContainer
from kingmaker.routing.listener import connection_manager

MANAGEMENT_PORT: Final = 8082
_POD_IP: Final = "$(POD_IP)"
_ADMIN: Final = "admin"
_XDS: Final = "kingmaker"
_STARTUP_SECONDS: Final = 7 * 24 * 3600
_MAX_CONNECTIONS: Final = 10_000


def router_container(
    *,
    xds_host: str,
    xds_port: int,
    concurrency: int = 2,
    drain_seconds: int = 10,
    max_heap_bytes: int | None = None,
) -> RouterContainer:
    """Build what the router's container needs.

    Args:
        xds_host: IP address or name of the operator.
        xds_port: Its port.
        concurrency: Envoy's worker threads, >= 1.
        drain_seconds: How long clients are asked to close their connections before Envoy ends; >= 1.
        max_heap_bytes: Near this Envoy refuses work (at 95 and 98 percent) instead of being killed for its memory.
    """
    bootstrap = _bootstrap(xds_host, xds_port, max_heap_bytes)
    args = (
        # A parent is never taken over: pods are replaced. So Envoys that share a machine need no base id.
        "--disable-hot-restart",
        "--concurrency",
        str(concurrency),
        "--log-level",
        "warning",
        "--drain-time-s",
        str(drain_seconds),
        "--drain-strategy",
        "immediate",
        "--config-yaml",
        json.dumps(bootstrap, separators=(",", ":")),
    )
    startup = {
        "httpGet": {"path": "/ready", "port": MANAGEMENT_PORT},
        "periodSeconds": 1,
        "failureThreshold": _STARTUP_SECONDS,
    }
    return RouterContainer(args, _lifecycle(drain_seconds), startup, drain_seconds + 10)


def _lifecycle(drain_seconds: int) -> dict[str, Any]:
    """Ask Envoy to drain, then wait until it has: only bash, which Envoy's image has, is needed for it."""
    request = r"POST /drain_listeners?graceful&skip_exit HTTP/1.1\r\nHost: drain\r\n\r\n"
    script = (
        f"exec 3<>/dev/tcp/$POD_IP/{MANAGEMENT_PORT} && printf '{request}' >&3 && read -r -t 5 <&3; "
        f"sleep {drain_seconds + 1}"
    )
    return {"preStop": {"exec": {"command": ["bash", "-c", script]}}}


def _bootstrap(xds_host: str, xds_port: int, max_heap_bytes: int | None) -> dict[str, Any]:
    grpc = {
        "apiType": "DELTA_GRPC",
        "transportApiVersion": "V3",
        "setNodeOnFirstMessageOnly": True,
        "grpcServices": [
            {
                "envoyGrpc": {
                    "clusterName": _XDS,
                    "retryPolicy": {"retryBackOff": {"baseInterval": "0.250s", "maxInterval": "2s"}},
                }
            }
        ],
    }
    # 0: wait for ever. A router that was told nothing yet must not become ready, and lets requests wait nowhere.
    source = {"ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s"}
    return {
        "node": {"id": "$(POD_NAME)", "cluster": "$(POD_NAMESPACE)"},
        # An abstract socket: free again when Envoy dies, and no path that a read-only root or a long name forbids.
        "admin": {"address": {"pipe": {"path": f"@kingmaker-envoy-{_POD_IP}"}}},
        "dynamicResources": {"adsConfig": grpc, "cdsConfig": source, "ldsConfig": source},
        "staticResources": {
            "clusters": [_xds_cluster(xds_host, xds_port), _admin_cluster()],
            "listeners": [_management()],
        },
        "overloadManager": _overload(max_heap_bytes),
        # Most clusters of a large namespace are idle, and their counters are most of what a cluster takes.
        "deferredStatOptions": {"enableDeferredCreationStats": True},
    }


def _xds_cluster(host: str, port: int) -> dict[str, Any]:
    address = {"socketAddress": {"address": host, "portValue": port}}
    return {
        "name": _XDS,
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "connectTimeout": "1s",
        "loadAssignment": {
            "clusterName": _XDS,
            "endpoints": [{"lbEndpoints": [{"endpoint": {"address": address}}]}],
        },
        # The operator knows routers by their pods' addresses; a machine's many loopback addresses look alike otherwise.
        "upstreamBindConfig": {"sourceAddress": {"address": _POD_IP, "portValue": 0}},
        "typedExtensionProtocolOptions": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                # An operator that is paused keeps its connections open; its successor waits for the routers.
                "explicitHttpConfig": {
                    "http2ProtocolOptions": {"connectionKeepalive": {"interval": "5s", "timeout": "3s"}}
                },
            }
        },
    }


def _admin_cluster() -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": f"@kingmaker-envoy-{_POD_IP}"}}}}
    return {
        "name": _ADMIN,
        "type": "STATIC",
        "connectTimeout": "1s",
        "loadAssignment": {"clusterName": _ADMIN, "endpoints": [{"lbEndpoints": [endpoint]}]},
    }


def _management() -> dict[str, Any]:
    """Let the network see two pages of the admin interface, and the pod itself one more: the drain."""
    pages = [_page("GET", "/ready"), _page("GET", "/stats/prometheus")]
    # On a laptop a process that connects to any loopback address comes from 127.0.0.1.
    own = [{"addressPrefix": a, "prefixLen": 128 if ":" in a else 32} for a in ("127.0.0.1", "::1")]
    own.append({"addressPrefix": _POD_IP, "prefixLen": 128})
    return {
        "name": "management",
        "address": {"socketAddress": {"address": _POD_IP, "portValue": MANAGEMENT_PORT}},
        "ignoreGlobalConnLimit": True,
        "filterChains": [
            {
                "name": "pod",
                "filterChainMatch": {"sourcePrefixRanges": own},
                "filters": [_pages([*pages, _page("POST", "/drain_listeners")])],
            },
            {"name": "network", "filters": [_pages(pages)]},
        ],
    }


def _page(method: str, path: str) -> dict[str, Any]:
    exact = {"name": ":method", "stringMatch": {"exact": method}}
    return {"match": {"path": path, "headers": [exact]}, "route": {"cluster": _ADMIN, "timeout": "10s"}}


def _pages(routes: list[dict[str, Any]]) -> dict[str, Any]:
    missing = {"match": {"prefix": "/"}, "directResponse": {"status": 404, "body": {"inlineString": "no such page"}}}
    table = {"name": _ADMIN, "virtualHosts": [{"name": _ADMIN, "domains": ["*"], "routes": [*routes, missing]}]}
    return connection_manager("management", {"routeConfig": table})


def _overload(max_heap_bytes: int | None) -> dict[str, Any]:
    connections = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
            ".DownstreamConnectionsConfig",
            "maxActiveDownstreamConnections": str(_MAX_CONNECTIONS),
        },
    }
    if max_heap_bytes is None:
        return {"resourceMonitors": [connections]}
    heap = {
        "name": "envoy.resource_monitors.fixed_heap",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            "maxHeapSizeBytes": str(max_heap_bytes),
        },
    }
    actions = (("envoy.overload_actions.shrink_heap", 0.95), ("envoy.overload_actions.stop_accepting_requests", 0.98))
    return {
        "refreshInterval": "0.25s",
        "resourceMonitors": [connections, heap],
        "actions": [
            {"name": name, "triggers": [{"name": heap["name"], "threshold": {"value": value}}]}
            for name, value in actions
        ],
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
