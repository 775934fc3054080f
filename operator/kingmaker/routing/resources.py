"""What routers are told about one ModelDeployment: named, versioned resources. A pure function of its route."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.clusters import assignment, cluster, cluster_names, labels_cluster
from kingmaker.routing.errors import InvalidRouteError
from kingmaker.routing.listener import LISTENER, listener
from kingmaker.routing.tables import domains, route_table, scope

CDS: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
SRDS: Final = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
RDS: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True, slots=True)
class Resource:
    """One serialised message that a router holds under a name.

    Attributes:
        name: Unique among the resources of its type.
        body: The message.
        version: A hash of `body`: equal exactly when the content is, in every process.
        deployment: The ModelDeployment that it belongs to; empty for the listener, which serves all.
        route: What route tables and endpoints were built from; None for all other types.
    """

    name: str
    body: bytes
    version: str
    deployment: str
    route: RoutePlan | None = None

    @staticmethod
    def of(name: str, body: bytes, *, deployment: str, route: RoutePlan | None = None) -> Resource:
        """Take a message and give it its version."""
        return Resource(name, body, hashlib.sha256(body).hexdigest()[:16], deployment, route)


@dataclass(frozen=True, slots=True)
class DeploymentResources:
    """All that routers are told about one ModelDeployment.

    Attributes:
        clusters: By cluster name, two per variant and one for labels.
        endpoints: By the same names.
        table: Its route table, named like the ModelDeployment.
        domains: The values of `Host` that are its own, without a port.
    """

    clusters: Mapping[str, Resource]
    endpoints: Mapping[str, Resource]
    table: Resource
    domains: tuple[str, ...]


def build_resources(namespace: str, deployment: str, route: RoutePlan) -> DeploymentResources:
    """Build what routers are told about a ModelDeployment.

    Raises:
        InvalidRouteError: No router may be told this route, because requests would be lost or miscounted.
    """
    _check(f"route {namespace}/{deployment}", route)
    names = cluster_names(deployment, route)
    told = {name: assignment(name, b.endpoints) for b in route.backends for name in names[b.model]}
    everybody = tuple(address for b in route.backends for address in b.endpoints)
    told[labels_cluster(deployment)] = assignment(labels_cluster(deployment), everybody)
    return DeploymentResources(
        clusters={name: Resource.of(name, cluster(name), deployment=deployment) for name in told},
        endpoints={name: Resource.of(name, body, deployment=deployment, route=route) for name, body in told.items()},
        table=Resource.of(deployment, route_table(deployment, route), deployment=deployment, route=route),
        domains=domains(namespace, deployment, route.cluster_ip),
    )


def build_scope(domain: str, deployment: str) -> Resource:
    """Build the resource by which requests to `domain` find a ModelDeployment's route table."""
    return Resource.of(domain, scope(domain, deployment), deployment=deployment)


def build_listener(address: str) -> Resource:
    """Build the listener of the router pod with this IP address."""
    return Resource.of(LISTENER, listener(address), deployment="")


def _check(name: str, route: RoutePlan) -> None:
    weights = {b.model: b.weight for b in route.backends}
    if len(weights) != len(route.backends):
        raise InvalidRouteError(
            f"{name}: a model is named twice in {[b.model for b in route.backends]}; name each once"
        )
    if any(not 0 <= w <= 100 for w in weights.values()) or sum(weights.values()) not in (0, 100):
        raise InvalidRouteError(f"{name}: weights are {weights}; expected integers 0-100 with the sum 100, or all 0")
    if route.decision < 0:
        raise InvalidRouteError(f"{name}: decision is {route.decision}; expected >= 0")
