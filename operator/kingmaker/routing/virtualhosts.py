"""The route table: which host is which ModelDeployment, and how its requests are split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2, route_pb2

from kingmaker.routing.clusters import cluster_name
from kingmaker.routing.messages import message, serialise
from kingmaker.routing.model import Backend, Route

ROUTE_TABLE: Final = "requests"
DECISION_HEADER: Final = "kingmaker-decision"
MODEL_HEADER: Final = "kingmaker-model"
SHADOW_HEADER: Final = "kingmaker-shadow"

TIMEOUT_SECONDS: Final = 60
"""From the request's last byte to the reply's last byte."""

_RETRIES: Final = {
    # Asking a model changes nothing, so a request whose server died is asked again. Should the request be what killed
    # it, it kills a few more: a server bounds what a request may ask for, and the tries are few.
    "retryOn": "connect-failure,refused-stream,reset",
    # Together about 5 s: what a server that was killed needs to be started again. Elsewhere the first few suffice.
    "numRetries": 9,
    "retryHostPredicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "hostSelectionRetryMaxAttempts": "5",
    "retryBackOff": {"baseInterval": "0.050s", "maxInterval": "2s"},
}

_RETRY_BUFFER_BYTES: Final = 1024 * 1024
"""A larger request can't be sent a second time, because its beginning is gone."""


def route_table(routes: Sequence[Route]) -> bytes:
    """Build the `RouteConfiguration` of a namespace; `routes` are sorted by name."""
    table = route_pb2.RouteConfiguration(
        name=ROUTE_TABLE,
        ignore_port_in_host_matching=True,
        request_headers_to_remove=[SHADOW_HEADER],
    )
    taken: set[str] = set()
    for route in routes:
        host = table.virtual_hosts.add()
        host.CopyFrom(_virtual_host(route))
        # Two hosts with one domain make Envoy refuse the table, so everybody's: whoever comes later does without.
        host.domains.extend(d for d in _domains(route) if d not in taken)
        taken.update(host.domains)
    table.virtual_hosts.append(_nobody())
    return serialise(table)


def _domains(route: Route) -> list[str]:
    name, namespace = route.deployment, route.namespace
    found = [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"]
    if route.cluster_ip:
        found.append(f"[{route.cluster_ip}]" if ":" in route.cluster_ip else route.cluster_ip)
    return found


@lru_cache(maxsize=4096)
def _virtual_host(route: Route) -> Any:  # noqa: ANN401  # a message
    """Build everything of the host but its domains. The result is shared: copy it, never change it."""
    body = {
        "name": route.deployment,
        "retryPolicy": _RETRIES,
        "requestBodyBufferLimit": str(_RETRY_BUFFER_BYTES),
        "routes": [*(_preview(route, b) for b in route.backends), _split(route)],
    }
    return message(route_components_pb2.VirtualHost, body)


def _preview(route: Route, backend: Backend) -> dict[str, Any]:
    """Send requests that ask for a variant by name to it. They carry decision 0: who chooses is no evidence."""
    exact = {"name": MODEL_HEADER, "stringMatch": {"exact": backend.model}}
    return {
        "match": {"prefix": "/", "headers": [exact]},
        "route": _action(route) | {"cluster": cluster_name(route, backend.model)},
        "requestHeadersToAdd": [_stamp(0)],
    }


def _split(route: Route) -> dict[str, Any]:
    weights = [(b.model, b.weight) for b in _layout(route.backends) if b.weight]
    if not weights:
        text = f"model deployment {route.deployment} has no variant that can answer now; try again"
        return {"match": {"prefix": "/"}, "directResponse": {"status": 503, "body": {"inlineString": text}}}
    clusters: dict[str, Any] = {"clusters": [{"name": cluster_name(route, m), "weight": w} for m, w in weights]}
    if route.affinity_header:
        clusters["useHashPolicy"] = True
    return {
        "match": {"prefix": "/"},
        "route": _action(route) | {"weightedClusters": clusters},
        "requestHeadersToAdd": [_stamp(route.decision)],
    }


def _layout(backends: tuple[Backend, ...]) -> Iterable[Backend]:
    """Order the shares over the hash's range so that growth takes from the champion alone: others at both ends."""
    if len(backends) < 2:
        return backends
    champion, first, *rest = backends
    return (first, champion, *reversed(rest))


def _action(route: Route) -> dict[str, Any]:
    action: dict[str, Any] = {"timeout": f"{TIMEOUT_SECONDS}s"}
    if route.affinity_header:
        action["hashPolicy"] = [{"header": {"headerName": route.affinity_header}}]
    return action


def _stamp(decision: int) -> dict[str, Any]:
    return {"header": {"key": DECISION_HEADER, "value": str(decision)}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _nobody() -> Any:  # noqa: ANN401  # a message
    text = "no model deployment answers to this host; use http://<model deployment>.<namespace>"
    body = {
        "name": "*",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "directResponse": {"status": 404, "body": {"inlineString": text}}}],
    }
    return message(route_components_pb2.VirtualHost, body)
