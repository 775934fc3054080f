"""Route tables: one per ModelDeployment, how its requests are split; and which hosts lead to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from envoy.config.route.v3 import route_pb2, scoped_route_pb2

from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.buckets import BUCKET_HEADER, affinity_metadata
from kingmaker.routing.clusters import ClusterNames, cluster_names, labels_cluster
from kingmaker.routing.messages import message, serialise

DECISION_HEADER: Final = "kingmaker-decision"
MODEL_HEADER: Final = "kingmaker-model"
SHADOW_HEADER: Final = "kingmaker-shadow"
REQUEST_ID_HEADER: Final = "kingmaker-request-id"

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

_LABELS_RETRIES: Final = {
    "retryOn": "connect-failure,refused-stream",
    **{name: _RETRIES[name] for name in ("numRetries", "retryHostPredicate", "hostSelectionRetryMaxAttempts")},
}
"""Labels that may have been taken are not sent again: another server would not know that they count once."""

_REQUESTS: Final[dict[str, Any]] = {"prefix": "/"}
_GRPC_CALLS: Final[dict[str, Any]] = {"prefix": "/", "grpc": {}}
"""By their content type: inference, health and reflection alike."""

_RETRY_BUFFER_BYTES: Final = 1024 * 1024
"""A larger request can't be sent a second time, because its beginning is gone."""


def route_table(deployment: str, route: RoutePlan) -> bytes:
    """Build the `RouteConfiguration` of a ModelDeployment. It takes any host: who gets here was led by `scope`."""
    names = cluster_names(deployment, route)
    host = {
        "name": deployment,
        "domains": ["*"],
        "retryPolicy": _RETRIES,
        "requestBodyBufferLimit": str(_RETRY_BUFFER_BYTES),
        # What a client wants decides, then which protocol it speaks.
        "routes": [
            _labels(deployment),
            *(preview for b in route.backends for preview in _previews(b.model, names[b.model])),
            *_splits(deployment, route, names),
        ],
    }
    table = {"name": deployment, "virtualHosts": [host], "requestHeadersToRemove": [SHADOW_HEADER]}
    return serialise(message(route_pb2.RouteConfiguration, table))


def scope(domain: str, deployment: str) -> bytes:
    """Build the `ScopedRouteConfiguration` by which requests to a host follow a ModelDeployment's route table."""
    body = {"name": domain, "routeConfigurationName": deployment, "key": {"fragments": [{"stringKey": domain}]}}
    return serialise(message(scoped_route_pb2.ScopedRouteConfiguration, body))


def domains(namespace: str, deployment: str, cluster_ip: str | None) -> tuple[str, ...]:
    """Give the values of `Host`, without a port, that are a ModelDeployment's own.

    >>> domains("team", "churn", "fd00::1")
    ('churn', 'churn.team', 'churn.team.svc', 'churn.team.svc.cluster.local', '[fd00::1]')
    """
    name = deployment
    found = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")
    if not cluster_ip:
        return found
    return (*found, f"[{cluster_ip}]" if ":" in cluster_ip else cluster_ip)


def _labels(deployment: str) -> dict[str, Any]:
    """Send labels to any pod of any variant. What has the same request id in its header finds the same pod again."""
    return {
        "match": {"path": f"/v2/models/{deployment}/feedback"},
        "route": {
            "timeout": f"{TIMEOUT_SECONDS}s",
            "cluster": labels_cluster(deployment),
            "hashPolicy": [{"header": {"headerName": REQUEST_ID_HEADER}}],
            "retryPolicy": _LABELS_RETRIES,
        },
    }


def _previews(model: str, names: ClusterNames) -> list[dict[str, Any]]:
    """Send requests that ask for a variant by name to it. They carry decision 0: who chooses is no evidence."""
    exact = {"name": MODEL_HEADER, "stringMatch": {"exact": model}}
    return [
        {
            "match": match | {"headers": [exact]},
            "route": {"timeout": f"{TIMEOUT_SECONDS}s", "cluster": cluster},
            "requestHeadersToAdd": [_stamp(0)],
        }
        for match, cluster in ((_GRPC_CALLS, names.grpc), (_REQUESTS, names.rest))
    ]


def _splits(deployment: str, route: RoutePlan, names: Mapping[str, ClusterNames]) -> list[dict[str, Any]]:
    weights = [(b.model, b.weight) for b in _layout(route.backends) if b.weight]
    if not weights:
        text = f"model deployment {deployment} has no variant that can answer now; try again"
        return [{"match": _REQUESTS, "directResponse": {"status": 503, "body": {"inlineString": text}}}]
    return [
        _split(deployment, route, _GRPC_CALLS, [(names[model].grpc, weight) for model, weight in weights]),
        _split(deployment, route, _REQUESTS, [(names[model].rest, weight) for model, weight in weights]),
    ]


def _split(deployment: str, route: RoutePlan, match: dict[str, Any], weights: list[tuple[str, int]]) -> dict[str, Any]:
    """Split by the same shares of the same buckets, whatever the protocol: affinity does not depend on it."""
    clusters: dict[str, Any] = {"clusters": [{"name": name, "weight": weight} for name, weight in weights]}
    split: dict[str, Any] = {"match": match, "requestHeadersToAdd": [_stamp(route.decision)]}
    if route.affinity_header:
        clusters["headerName"] = BUCKET_HEADER
        split["metadata"] = affinity_metadata(route.affinity_header, f"{deployment}/{route.draw}")
    return split | {"route": _action(route) | {"weightedClusters": clusters}}


def _layout(backends: tuple[Backend, ...]) -> Iterable[Backend]:
    """Order the shares over the buckets so that growth takes from the champion alone: others at both ends."""
    if len(backends) < 2:
        return backends
    champion, first, *rest = backends
    return (first, champion, *reversed(rest))


def _action(route: RoutePlan) -> dict[str, Any]:
    action: dict[str, Any] = {"timeout": f"{TIMEOUT_SECONDS}s"}
    if route.affinity_header:
        action["hashPolicy"] = [{"header": {"headerName": route.affinity_header}}]
    return action


def _stamp(decision: int) -> dict[str, Any]:
    return {"header": {"key": DECISION_HEADER, "value": str(decision)}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"}
