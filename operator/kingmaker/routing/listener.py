"""The listener that clients reach: what a request may be before anybody looks at its host."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2

from kingmaker.routing.buckets import SCRIPT
from kingmaker.routing.messages import message, serialise

LISTENER: Final = "requests"
PORT: Final = 8080

_TYPES: Final = "type.googleapis.com/envoy.extensions.filters"
_MANAGER: Final = f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = f"{_TYPES}.http.router.v3.Router"
_LUA: Final = f"{_TYPES}.http.lua.v3.Lua"
_ADS: Final = {"ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s"}
_BUFFER_BYTES: Final = 32 * 1024
_NOBODY: Final = "no model deployment answers to this host; use http://<model deployment>.<namespace>"


_ON_REQUEST: Final = f"""
{SCRIPT}
function envoy_on_request(handle)
  local headers = handle:headers()
  local host = headers:get(":authority")
  if host and host:find("%u") then
    headers:replace(":authority", host:lower())
    handle:clearRouteCache()
  end
  stamp(handle, headers)
end
"""
"""Scopes are found by the host's exact text, and nothing but a script makes its letters small. It costs less than can
be measured beside the 70 µs that a request takes. Source: RFC 9110, 4.2.3, "host is case-insensitive". Buckets come
second: the route says whether there are any."""


def connection_manager(
    stat_prefix: str, routes: dict[str, Any], filters: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    """Give the network filter that speaks HTTP.

    Args:
        stat_prefix: Begins the names of its statistics.
        routes: Its route table, or where to get it.
        filters: HTTP filters that requests pass before they are routed.

    Source: Envoy, "Configuring Envoy as an edge proxy".
    """
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typedConfig": {
            "@type": _MANAGER,
            "statPrefix": stat_prefix,
            **routes,
            "httpFilters": [
                *filters,
                {"name": "envoy.filters.http.router", "typedConfig": {"@type": _ROUTER, "suppressEnvoyHeaders": True}},
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
    """Give what the router answers itself the form of a server's errors: JSON for REST, a sentence for gRPC."""
    text = {"body": {"inlineString": _NOBODY}}
    plain = {"bodyFormatOverride": {"textFormatSource": {"inlineString": "%LOCAL_REPLY_BODY%"}}}
    nobody = {"responseFlagFilter": {"flags": ["NR"]}}
    calls = {
        "headerFilter": {"header": {"name": "content-type", "stringMatch": {"prefix": "application/grpc"}}},
    }
    unavailable = {
        "statusCodeFilter": {
            "comparison": {"op": "EQ", "value": {"defaultValue": 503, "runtimeKey": "kingmaker.unavailable"}}
        }
    }
    return {
        # The first that fits.
        "mappers": [
            {"filter": {"andFilter": {"filters": [calls, nobody]}}, **text, **plain},
            {"filter": calls, **plain},
            {"filter": nobody, **text},
            {"filter": unavailable, "headersToAdd": [{"header": {"key": "retry-after", "value": "1"}}]},
        ],
        "bodyFormat": {"jsonFormat": {"error": "%LOCAL_REPLY_BODY%"}, "contentType": "application/json"},
    }


@lru_cache(maxsize=1024)
def listener(address: str) -> bytes:
    """Build the `Listener` of the router pod with this IP address.

    It binds to the pod's own address, because on a laptop pods share the machine and differ by address only.
    """
    scopes = {
        "name": LISTENER,
        "scopeKeyBuilder": {"fragments": [{"headerValueExtractor": {"name": ":authority", "index": 0}}]},
        "rdsConfigSource": _ADS,
        "scopedRds": {"scopedRdsConfigSource": _ADS},
    }
    routes = {"scopedRoutes": scopes, "stripAnyHostPort": True}
    script = {
        "name": "kingmaker.on-request",
        "typedConfig": {"@type": _LUA, "defaultSourceCode": {"inlineString": _ON_REQUEST}},
    }
    body = {
        "name": LISTENER,
        "address": {"socketAddress": {"address": address, "portValue": PORT}},
        "perConnectionBufferLimitBytes": _BUFFER_BYTES,
        "filterChains": [{"filters": [connection_manager(LISTENER, routes, (script,))]}],
    }
    return serialise(message(listener_pb2.Listener, body))
