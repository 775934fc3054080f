"""What the routers of one namespace shall know, kept by ModelDeployment: a change costs what it changes. No I/O."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass

from kingmaker.core.plan import RoutePlan
from kingmaker.routing.resources import DeploymentResources, Resource, build_resources, build_scope


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the target concerns.

    Attributes:
        deployments: Those of which routers shall know something else.
        domains: The values of `Host` that lead somewhere else.
        everything: Everything must be looked at again, what routers hold and nobody owns included.
    """

    deployments: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.deployments or self.domains or self.everything)


class Target:
    """What the routers of one namespace shall know.

    Until something was said about each ModelDeployment that there is, routers are told about the known ones and keep
    the rest: after a restart of the operator nobody's route is taken away because nobody looked at it yet.
    """

    def __init__(self, namespace: str) -> None:
        """Begin with nothing known."""
        self._namespace = namespace
        self._expected: set[str] | None = None
        self._routes: dict[str, RoutePlan | None] = {}
        self._resources: dict[str, DeploymentResources] = {}
        self._owners: dict[str, list[str]] = {}
        self._missing: set[str] = set()
        self._kept: set[str] = set()
        self.scopes: dict[str, Resource] = {}
        """By domain: which route table its requests follow."""
        self.is_complete = False
        """Whether everybody was heard once; then a router may take requests. Stays true."""

    @property
    def routed(self) -> Mapping[str, DeploymentResources]:
        """What routers shall know, by ModelDeployment; who has no route is absent."""
        return self._resources

    def set_deployments(self, names: frozenset[str]) -> Change:
        """Say which ModelDeployments there are. Those that are gone lose their routes."""
        if self._expected is not None and names == self._expected:
            return Change()
        gone = (self._routes.keys() | (self._expected or set())) - names
        self._expected = set(names)
        self._kept &= names
        self._missing = set(names - self._routes.keys() - self._kept)
        changes = [self._replace(name, None) for name in gone]
        for name in gone:
            self._routes.pop(name, None)
        domains = frozenset().union(*(c.domains for c in changes))
        return self._completed(Change(frozenset(gone), domains))

    def set_route(self, name: str, route: RoutePlan | None) -> Change:
        """Say what routers shall do with a ModelDeployment's requests; None: it has no route.

        Raises:
            InvalidRouteError: No router may be told this route. What was said before stays.
        """
        if name in self._routes and self._routes[name] == route:
            return Change()
        change = self._replace(name, route)
        self._routes[name] = route
        self._heard(name)
        return self._completed(change)

    def keep_route(self, name: str, route: RoutePlan | None) -> Change:
        """Leave a ModelDeployment's route as it is. Where none was said yet, say this one.

        None: nothing can be said, so routers keep what they have of it, and nobody waits for it.

        Raises:
            InvalidRouteError: No router may be told this route.
        """
        if name in self._routes:
            return Change()
        if route is not None:
            return self.set_route(name, route)
        self._kept.add(name)
        self._missing.discard(name)
        return self._completed(Change())

    def drop_route(self, name: str) -> Change:
        """Take a ModelDeployment for gone."""
        change = self._replace(name, None)
        self._routes.pop(name, None)
        self._heard(name)
        if self._expected is not None:
            self._expected.discard(name)
        return self._completed(change)

    def is_settled(self, name: str) -> bool:
        """Whether what a router holds of this ModelDeployment beyond what it shall know may be taken away."""
        if name in self._routes:
            return True
        return self.is_complete and self._expected is not None and name not in self._expected

    @property
    def is_all_settled(self) -> bool:
        """Whether that holds for all, whatever their names."""
        return self.is_complete and not self._missing and not self._kept

    def _heard(self, name: str) -> None:
        self._kept.discard(name)
        self._missing.discard(name)

    def _completed(self, change: Change) -> Change:
        if self.is_complete or self._missing or self._expected is None:
            return change
        self.is_complete = True
        return Change(change.deployments, change.domains, everything=True)

    def _replace(self, name: str, route: RoutePlan | None) -> Change:
        built = build_resources(self._namespace, name, route) if route else None
        before = self._resources.pop(name, None)
        if built:
            self._resources[name] = built
        old, new = frozenset(before.domains if before else ()), frozenset(built.domains if built else ())
        moved = [d for d in old - new if self._disown(d, name)] + [d for d in new - old if self._own(d, name)]
        return Change(frozenset({name}), frozenset(moved))

    def _own(self, domain: str, name: str) -> bool:
        """Two ModelDeployments may claim one address while it passes on: the first by name has it."""
        owners = self._owners.setdefault(domain, [])
        insort(owners, name)
        return self._lead(domain, owners)

    def _disown(self, domain: str, name: str) -> bool:
        owners = self._owners[domain]
        owners.remove(name)
        if owners:
            return self._lead(domain, owners)
        del self._owners[domain], self.scopes[domain]
        return True

    def _lead(self, domain: str, owners: list[str]) -> bool:
        known = self.scopes.get(domain)
        if known and known.deployment == owners[0]:
            return False
        self.scopes[domain] = build_scope(domain, owners[0])
        return True
