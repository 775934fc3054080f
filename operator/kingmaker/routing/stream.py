"""One router's stream: what to send it next, so that requests always have somewhere to go. No I/O.

Make before break, for each ModelDeployment by itself. Its new clusters and their endpoints go first. Its route table
follows once the router accepted both: no table ever names a cluster that the router refused or does not know. Clusters
that no table names any more go last, once the router accepted the table that does without them. The listener comes
when everything else has: a router that takes requests knows every ModelDeployment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from kingmaker.routing.channel import Channel, Holding, Request, Response
from kingmaker.routing.clusters import ClusterNames, all_clusters, cluster_names, deployment_of
from kingmaker.routing.resources import CDS, EDS, LDS, RDS, SRDS, DeploymentResources, Resource, build_listener
from kingmaker.routing.target import Change, Target

_ORDER: Final = (CDS, EDS, LDS, SRDS, RDS)


@dataclass(frozen=True, slots=True)
class AcknowledgedRoute:
    """What a router certainly does with a deployment's requests.

    Attributes:
        decision: What it stamps on them.
        weights: Percent by model, zeros included.
        endpoints: Addresses by model; a model is absent while the router may have one set of endpoints or another.
    """

    decision: int
    weights: Mapping[str, int]
    endpoints: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Push:
    """One response to send."""

    type_url: str
    response: Response


class Stream:
    """The state of one router's stream."""

    def __init__(self, address: str, target: Target) -> None:
        """Begin with a router at this IP address that has said nothing yet."""
        self._target = target
        self._listener = build_listener(address)
        self._channels = {url: Channel(wildcard=url in {CDS, LDS, SRDS}, single=url == RDS) for url in _ORDER}
        self._cds, self._eds, self._lds, self._srds, self._rds = self._channels.values()
        self._nonces: Iterator[str] = map(str, count(1))
        self._clusters: dict[str, set[str]] = {}
        self._prepared: set[str] = set()
        self._unprepared: set[str] = set()
        self._deployments: set[str] = set()
        self._domains: set[str] = set()
        self._ownerless: set[str] = set()
        self._led: dict[str, set[str]] = {}
        self._blocked: set[str] = set()
        self._came_back = False

    def touch(self, change: Change) -> None:
        """Take note of a change of the target."""
        if change.everything and self._cds.asked:
            self._look_at_everything()
        self._deployments |= change.deployments
        self._domains |= change.domains | self._ownerless
        self._ownerless.clear()

    def receive(self, type_url: str, request: Request) -> frozenset[str] | None:
        """Take a request; give the deployments of which something else is known, None: maybe all.

        Unknown types are ignored.
        """
        channel = self._channels.get(type_url)
        if channel is None:
            return frozenset()
        is_first = not channel.asked
        names = channel.receive(request)
        if type_url == LDS:
            return None if request.nonce else frozenset()
        if is_first and type_url == CDS:
            self._came_back = bool(request.versions)
        if is_first and type_url in {CDS, EDS}:
            for name in names:
                # It may have clusters of which it does not tell, from a response that it refused in part.
                self._cds.suspect(name)
                self._clusters.setdefault(deployment_of(name), set()).add(name)
        if is_first and (type_url == CDS or self._came_back):
            self._look_at_everything()
        if type_url == SRDS:
            self._domains |= self._target.scopes.keys() if is_first else names
            self._deployments |= self._blocked
            self._blocked.clear()
            return frozenset(self._deployments_behind(names))
        concerned = names if type_url == RDS else {deployment_of(name) for name in names}
        self._deployments |= concerned
        return frozenset(concerned)

    @property
    def tells_more(self) -> bool:
        """Whether the router has yet to say which tables it has.

        A router that comes back says so right after its first request. Until then its clusters stay, since any table,
        unknown to this server, may name any of them.
        """
        has_no_tables = self._srds.asked and not self._srds.names
        return self._came_back and not self._rds.asked and not has_no_tables

    @property
    def is_refused(self) -> bool:
        """Whether the router refused something and has not accepted anything in its place."""
        return any(c.is_refused for c in self._channels.values())

    def insist(self) -> None:
        """Have what the router refused sent once more: what was in its way may be gone, a port in use for example.

        A router that has not said by now which tables it has, has none.
        """
        if self.tells_more:
            self._came_back = False
            self._look_at_everything()
        names = {url: channel.insist() for url, channel in self._channels.items()}
        self._domains |= names[SRDS]
        self._deployments |= names[RDS] | {deployment_of(n) for n in names[CDS] | names[EDS]}

    def next_pushes(self) -> list[Push]:
        """Take the responses that are to be sent now, in this order; each is given once."""
        if not self._cds.asked:
            return []
        while self._deployments:
            self._prepare(self._deployments.pop())
        for domain in self._take_domains():
            self._lead(domain)
        if self._target.is_complete and not (self._unprepared and self._lds.possible(self._listener.name) == (None,)):
            self._lds.want(self._listener.name, self._listener)
        complete = self._target.is_complete
        return [
            Push(url, response)
            for url, channel in self._channels.items()
            for response in channel.take(self._nonces, may_be_empty=complete)
        ]

    def acknowledged(self, deployment: str) -> AcknowledgedRoute | None:
        """Tell what the router certainly does with a deployment's requests; None when that is not certain."""
        possible = self._rds.possible(deployment)
        built = self._target.routed.get(deployment)
        table = _known(possible[0], built.table if built else None) if len(possible) == 1 else None
        if table is None or table.route is None or not self._is_led(deployment):
            return None
        route = table.route
        names = cluster_names(deployment, route)
        endpoints = {model: self._endpoints(pair, model, built) for model, pair in names.items()}
        weights = {b.model: b.weight for b in route.backends}
        certain = {model: found for model, found in endpoints.items() if found is not None}
        return AcknowledgedRoute(route.decision, weights, certain)

    def error(self, deployment: str) -> str | None:
        """Tell why the router refused something of a deployment, in its words; None when it has everything."""
        built = self._target.routed.get(deployment)
        clusters = self._clusters.get(deployment, set()) | (built.clusters.keys() if built else set())
        found = [self._lds.error(self._listener.name), self._rds.error(deployment)]
        found += [channel.error(name) for name in sorted(clusters) for channel in (self._cds, self._eds)]
        found += [self._srds.error(domain) for domain in (built.domains if built else ())]
        return next((error for error in found if error), None)

    def _look_at_everything(self) -> None:
        self._deployments |= self._target.routed.keys() | self._clusters.keys() | set(self._rds.names)
        self._domains |= self._target.scopes.keys() | set(self._srds.names)

    def _take_domains(self) -> set[str]:
        domains, self._domains = self._domains, set()
        return domains

    def _prepare(self, deployment: str) -> None:
        """Have the router prepared for a deployment's table, then told it, then rid of what no table needs."""
        built = self._target.routed.get(deployment)
        self._unprepared.discard(deployment)
        if built is None:
            self._prepared.discard(deployment)
        elif self._tell_clusters(deployment, built):
            if deployment not in self._prepared:
                self._prepared.add(deployment)
                self._domains.update(built.domains)
            self._rds.want(deployment, built.table)
        else:
            self._prepared.discard(deployment)
            if not any(self._cds.error(name) or self._eds.error(name) for name in built.clusters):
                self._unprepared.add(deployment)
        self._drop_clusters(deployment, built)

    def _tell_clusters(self, deployment: str, built: DeploymentResources) -> bool:
        """Tell a deployment's clusters and endpoints; whether the router accepted all of them."""
        for name, resource in built.clusters.items():
            self._clusters.setdefault(deployment, set()).add(name)
            self._cds.want(name, resource)
            self._eds.want(name, built.endpoints[name])
        return all(self._cds.has(n, r) and self._eds.has(n, built.endpoints[n]) for n, r in built.clusters.items())

    def _drop_clusters(self, deployment: str, built: DeploymentResources | None) -> None:
        if not self._target.is_settled(deployment):
            return
        known = self._clusters.get(deployment, set())
        for name in known - (built.clusters.keys() if built else set()):
            if name not in self._cds:
                known.discard(name)
            elif self._may_be_routed(deployment, name, built):
                self._blocked.add(deployment)
            else:
                self._cds.want(name, None)
                # With its cluster the router forgets them. Should it come back, it asks for them once more.
                self._eds.forget(name)
        if not known:
            self._clusters.pop(deployment, None)

    def _may_be_routed(self, deployment: str, cluster: str, built: DeploymentResources | None) -> bool:
        """Whether the router may have, or come to have, a table that names the cluster."""
        if self.tells_more:
            return True
        if deployment not in self._rds and not self._may_lead_to(deployment):
            return False
        for holding in self._rds.possible(deployment):
            # Nothing: a table that was sent before the router let go of it for a moment may be there all the same.
            table = _known(holding, built.table if built else None)
            if table is None or table.route is None:
                return True
            if cluster in all_clusters(deployment, table.route):
                return True
        return False

    def _may_lead_to(self, deployment: str) -> bool:
        """Whether requests may follow the deployment's table. The router asks for tables exactly while they may."""
        led = self._led.get(deployment, set())
        for domain in list(led):
            holdings = self._srds.possible(domain)
            if not any(isinstance(h, Resource) and h.deployment == deployment for h in holdings):
                led.discard(domain)
        if not led:
            self._led.pop(deployment, None)
        return bool(led)

    def _lead(self, domain: str) -> None:
        """Have requests to a domain follow its deployment's table, or none."""
        scope = self._target.scopes.get(domain)
        if scope is None:
            if self._is_left(domain):
                self._srds.want(domain, None)
            else:
                self._ownerless.add(domain)
        elif scope.deployment in self._prepared:
            self._srds.want(domain, scope)
            self._led.setdefault(scope.deployment, set()).add(domain)

    def _is_left(self, domain: str) -> bool:
        """Whether nobody can own a domain any more, whoever did."""
        if self._target.is_all_settled:
            return True
        holdings = [h for h in self._srds.possible(domain) if h is not None]
        return all(isinstance(h, Resource) and self._target.is_settled(h.deployment) for h in holdings)

    def _is_led(self, deployment: str) -> bool:
        """Whether the router certainly follows a deployment's table for its name: without that, it lets go of it."""
        scope = self._target.scopes.get(deployment)
        return scope is not None and self._srds.has(deployment, scope)

    def _deployments_behind(self, domains: set[str]) -> Iterator[str]:
        return (scope.deployment for d in domains if (scope := self._target.scopes.get(d)))

    def _endpoints(self, names: ClusterNames, model: str, built: DeploymentResources | None) -> frozenset[str] | None:
        """Give the endpoints that the router certainly has for a variant: the same ones for REST and gRPC."""
        rest, grpc = (self._endpoints_of(name, model, built) for name in names)
        return rest if rest == grpc else None

    def _endpoints_of(self, name: str, model: str, built: DeploymentResources | None) -> frozenset[str] | None:
        possible = self._eds.possible(name)
        told = _known(possible[0], built.endpoints.get(name) if built else None) if len(possible) == 1 else None
        backends = told.route.backends if told and told.route else ()
        return next((frozenset(b.endpoints) for b in backends if b.model == model), None)


def _known(holding: Holding, resource: Resource | None) -> Resource | None:
    """Give the resource that a router holds; one from an earlier process is known if it is what it shall be now."""
    if isinstance(holding, str):
        return resource if resource and resource.version == holding else None
    return holding
