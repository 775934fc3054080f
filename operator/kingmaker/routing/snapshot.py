"""Everything that the routers of one namespace shall know, as a value. A pure function of the routes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kingmaker.routing.clusters import assignment, cluster, cluster_name
from kingmaker.routing.errors import InvalidRouteError
from kingmaker.routing.listener import LISTENER, listener
from kingmaker.routing.model import Backend, Endpoint, Route
from kingmaker.routing.virtualhosts import ROUTE_TABLE, route_table

__all__ = ["CDS", "EDS", "LDS", "RDS", "Backend", "Endpoint", "Resources", "Route", "Snapshot", "build_snapshot"]

CDS: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
RDS: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources of one type: serialised messages by name, and a version that is their content's hash."""

    items: Mapping[str, bytes]
    version: str

    @staticmethod
    def of(items: Mapping[str, bytes]) -> Resources:
        """Take the resources in any order."""
        digest = hashlib.sha256()
        for name in sorted(items):
            for part in (name.encode(), items[name]):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
        return Resources({name: items[name] for name in sorted(items)}, digest.hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the routers of one namespace shall know, and the routes that it was built from, by deployment."""

    routes: Mapping[str, Route]
    clusters: Resources
    endpoints: Resources
    table: Resources

    def for_router(self, address: str) -> Mapping[str, Resources]:
        """Give the resources by type URL for the router pod with this IP address."""
        listeners = Resources.of({LISTENER: listener(address)})
        return {CDS: self.clusters, EDS: self.endpoints, LDS: listeners, RDS: self.table}


def build_snapshot(routes: Iterable[Route]) -> Snapshot:
    """Build what the routers of one namespace shall know; the order of `routes` does not matter.

    Raises:
        InvalidRouteError: The routes are of several namespaces, or one deployment has two.
    """
    ordered = sorted(routes, key=lambda r: r.deployment)
    by_name = {r.deployment: r for r in ordered}
    namespaces = sorted({r.namespace for r in ordered})
    if len(namespaces) > 1:
        raise InvalidRouteError(f"routes of namespaces {namespaces} in one snapshot; build one snapshot per namespace")
    if len(by_name) != len(ordered):
        raise InvalidRouteError(f"a deployment has two routes in {[r.deployment for r in ordered]}; give one for each")
    backends = {cluster_name(r, b.model): b for r in ordered for b in r.backends}
    return Snapshot(
        routes=by_name,
        clusters=Resources.of({name: cluster(name) for name in backends}),
        endpoints=Resources.of({name: assignment(name, b.endpoints) for name, b in backends.items()}),
        table=Resources.of({ROUTE_TABLE: route_table(ordered)}),
    )
