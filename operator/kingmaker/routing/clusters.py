"""Clusters and their endpoints: two Envoy clusters per variant, for REST and gRPC, and one of all pods, for labels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from kingmaker.core.manifests.serving import GRPC_PORT, PORT
from kingmaker.core.plan import RoutePlan
from kingmaker.routing.messages import message, serialise

_GRPC: Final = "grpc"
_STICKY: Final = "sticky"
_LABELS: Final = "labels"

_LABELS_RING: Final = 128
"""Places on the ring of a cluster for labels: enough to send the same ones to the same pod, and small, for there is one
per deployment."""

IDLE_SECONDS: Final = 4
"""The router closes idle connections to serving pods before they do: a request that meets a connection which the server
is just closing is lost, since it can't be known whether it was read."""

_GRPC_OPTIONS: Final = {
    # A server says GOAWAY before it ends, so nothing is lost however long a connection is kept.
    "commonHttpProtocolOptions": {"idleTimeout": "300s"},
    "explicitHttpConfig": {
        "http2ProtocolOptions": {
            "maxConcurrentStreams": 100,
            "initialStreamWindowSize": 64 * 1024,
            "initialConnectionWindowSize": 1024 * 1024,
        }
    },
}
_REST_OPTIONS: Final = {
    "commonHttpProtocolOptions": {"idleTimeout": f"{IDLE_SECONDS}s"},
    "explicitHttpConfig": {"httpProtocolOptions": {}},
}

_SILENCE_MILLISECONDS: Final = 5_000
_TCP, _TCP_USER_TIMEOUT = 6, 18  # IPPROTO_TCP; <linux/tcp.h>
_SILENT_PEERS_END: Final = {
    "socketOptions": [{"level": str(_TCP), "name": str(_TCP_USER_TIMEOUT), "intValue": str(_SILENCE_MILLISECONDS)}]
}
"""A node that is gone acknowledges nothing: its connections end, and what was sent is asked elsewhere. The kernel of a
server that thinks acknowledges for it, however long. Keep-alive does not help: nobody is probed who owes an answer."""

_PASS_OVER_THE_UNREACHABLE: Final = {
    "splitExternalLocalOriginErrors": True,
    "consecutiveLocalOriginFailure": 3,
    "interval": "1s",
    "baseEjectionTime": "5s",
    "maxEjectionTime": "10s",
    "maxEjectionPercent": 50,
    # What a server answers is never held against it.
    "enforcingConsecutive5xx": 0,
    "enforcingConsecutiveGatewayFailure": 0,
    "enforcingSuccessRate": 0,
    "enforcingLocalOriginSuccessRate": 0,
}
"""Kubernetes takes 40 to 50 s to see that a node is gone; till then, who asks one of its pods first loses a second.
So who could not be reached three times in a row is passed over for some seconds, an only pod never."""

_UNLIMITED: Final = 100_000
"""Serving pods bound their queues themselves and answer 503 with a reason; the router's own bounds would hide that."""


class ClusterNames(NamedTuple):
    """The clusters of one variant."""

    rest: str
    grpc: str


def cluster_names(deployment: str, route: RoutePlan) -> dict[str, ClusterNames]:
    """Name the clusters of a deployment's variants, by model.

    All that a cluster is follows from its name. So a cluster never changes under requests (a new kind is a new cluster,
    made before the old one is dropped), and can be told again to a router that has it when nobody remembers why.
    """
    sticky = f"/{_STICKY}" if route.affinity_header else ""
    variants = {b.model: f"{deployment}/{b.model}" for b in route.backends}
    return {model: ClusterNames(f"{name}{sticky}", f"{name}/{_GRPC}{sticky}") for model, name in variants.items()}


def labels_cluster(deployment: str) -> str:
    """Name the cluster of all pods of a deployment, whatever their model: each of them judges labels of all."""
    return f"{deployment}//{_LABELS}/{_STICKY}"


def all_clusters(deployment: str, route: RoutePlan) -> frozenset[str]:
    """Name every cluster that a deployment's route table may name."""
    variants = cluster_names(deployment, route).values()
    return frozenset({labels_cluster(deployment), *(name for names in variants for name in names)})


def deployment_of(cluster_name: str) -> str:
    """Give the deployment whose variant a cluster is.

    >>> deployment_of("churn/churn-7/sticky")
    'churn'
    """
    return cluster_name.partition("/")[0]


@lru_cache(maxsize=8192)
def cluster(name: str) -> bytes:
    """Build the `Cluster` with this name."""
    built = cluster_pb2.Cluster()
    built.CopyFrom(_nameless(sticky=_is(_STICKY, name), grpc=_is(_GRPC, name)))
    built.name = built.eds_cluster_config.service_name = name
    if _is(_LABELS, name):
        built.ring_hash_lb_config.minimum_ring_size.value = _LABELS_RING
    return serialise(built)


@lru_cache
def _nameless(*, sticky: bool, grpc: bool) -> Any:  # noqa: ANN401  # generated classes have no types
    """Build what clusters of a kind have in common, all but the name: reading it from its JSON form takes a while."""
    body: dict[str, Any] = {
        "type": "EDS",
        "edsClusterConfig": {"edsConfig": {"ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s"}},
        "connectTimeout": "1s",
        "lbPolicy": "RING_HASH" if sticky else "LEAST_REQUEST",
        # All pods that are told are ready: when each of them is passed over, each is asked all the same.
        "commonLbConfig": {"healthyPanicThreshold": {"value": 1}},
        "perConnectionBufferLimitBytes": 32 * 1024,
        "circuitBreakers": {
            "thresholds": [
                {
                    "maxConnections": _UNLIMITED,
                    "maxPendingRequests": _UNLIMITED,
                    "maxRequests": _UNLIMITED,
                    "maxRetries": _UNLIMITED,
                }
            ]
        },
        "outlierDetection": _PASS_OVER_THE_UNREACHABLE,
        "upstreamBindConfig": _SILENT_PEERS_END,
        "upstreamConnectionOptions": {
            "tcpKeepalive": {"keepaliveProbes": 3, "keepaliveTime": 5, "keepaliveInterval": 2}
        },
        "typedExtensionProtocolOptions": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                **(_GRPC_OPTIONS if grpc else _REST_OPTIONS),
            }
        },
    }
    return message(cluster_pb2.Cluster, body)


@lru_cache(maxsize=8192)
def assignment(name: str, addresses: tuple[str, ...]) -> bytes:
    """Build the `ClusterLoadAssignment` of a cluster; the order of its pods' IP addresses does not matter."""
    port = GRPC_PORT if _is(_GRPC, name) else PORT
    body = {
        "clusterName": name,
        "endpoints": [
            {
                "lbEndpoints": [
                    {"endpoint": {"address": {"socketAddress": {"address": address, "portValue": port}}}}
                    for address in sorted(set(addresses))
                ]
            }
        ],
    }
    return serialise(message(endpoint_pb2.ClusterLoadAssignment, body))


def _is(kind: str, cluster_name: str) -> bool:
    """Whether a cluster is of a kind; deployment and model may be called like one."""
    return kind in cluster_name.split("/")[2:]
