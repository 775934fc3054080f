"""The listener that clients reach: what a request may be before anybody looks at its host."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2

from kingmaker.routing.messages import message, serialise
from kingmaker.routing.virtualhosts import ROUTE_TABLE

LISTENER: Final = "requests"
PORT: Final = 8080

_TYPES: Final = "type.googleapis.com/envoy.extensions.filters"
_MANAGER: Final = f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = f"{_TYPES}.http.router.v3.Router"
_ADS: Final = {"ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s"}
_BUFFER_BYTES: Final = 32 * 1024


def connection_manager(stat_prefix: str, routes: dict[str, Any]) -> dict[str, Any]:
    """Give the network filter that speaks HTTP; `routes` is its route table or where to get it.

    Source: Envoy, "Configuring Envoy as an edge proxy".
    """
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typedConfig": {
            "@type": _MANAGER,
            "statPrefix": stat_prefix,
            **routes,
            "httpFilters": [
                {"name": "envoy.filters.http.router", "typedConfig": {"@type": _ROUTER, "suppressEnvoyHeaders": True}}
            ],
            "commonHttpProtocolOptions": {"idleTimeout": "300s", "maxHeadersCount": 100},
            "http2ProtocolOptions": {
                "maxConcurrentStreams": 100,
                "initialStreamWindowSize": 64 * 1024,
                "initialConnectionWindowSize": 1024 * 1024,
            },
            "maxRequestHeadersKb": 60,
            "requestHeadersTimeout": "10s",
            "requestTimeout": "60s",
            "streamIdleTimeout": "75s",
            "useRemoteAddress": True,
            # Nobody is internal, so nobody's x-envoy-* headers count: they can have a request run more than once.
            # No client has this address, and an empty list would mean Envoy's own idea of what is internal.
            "internalAddressConfig": {"cidrRanges": [{"addressPrefix": "255.255.255.255", "prefixLen": 32}]},
            "normalizePath": True,
            "mergeSlashes": True,
            "pathWithEscapedSlashesAction": "REJECT_REQUEST",
            "generateRequestId": False,
            "serverHeaderTransformation": "PASS_THROUGH",
            "localReplyConfig": _local_replies(),
        },
    }


def _local_replies() -> dict[str, Any]:
    """Give what the router answers itself the form of a server's errors."""
    unavailable = {"comparison": {"op": "EQ", "value": {"defaultValue": 503, "runtimeKey": "kingmaker.unavailable"}}}
    return {
        "mappers": [
            {
                "filter": {"statusCodeFilter": unavailable},
                "headersToAdd": [{"header": {"key": "retry-after", "value": "1"}}],
            }
        ],
        "bodyFormat": {"jsonFormat": {"error": "%LOCAL_REPLY_BODY%"}, "contentType": "application/json"},
    }


@lru_cache(maxsize=1024)
def listener(address: str) -> bytes:
    """Build the `Listener` of the router pod with this IP address.

    It binds to the pod's own address, because on a laptop pods share the machine and differ by address only.
    """
    ads = {"rds": {"routeConfigName": ROUTE_TABLE, "configSource": _ADS}}
    body = {
        "name": LISTENER,
        "address": {"socketAddress": {"address": address, "portValue": PORT}},
        "perConnectionBufferLimitBytes": _BUFFER_BYTES,
        "filterChains": [{"filters": [connection_manager("requests", ads)]}],
    }
    return serialise(message(listener_pb2.Listener, body))
