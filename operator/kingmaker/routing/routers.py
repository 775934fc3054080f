"""The router pods of all namespaces, told over ADS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kingmaker.core.observed import ObservedRouter
from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer
from kingmaker.routing.snapshot import Backend, Endpoint, Route, build_snapshot


@dataclass(slots=True)
class _Namespace:
    """What is known of one namespace.

    Attributes:
        deployments: Who is there.
        routes: Has an entry for every deployment whose route is known.
        told: What was said last of the routers, by deployment.
    """

    deployments: frozenset[str] = frozenset()
    routes: dict[str, RoutePlan | None] = field(default_factory=dict)
    told: dict[str, Mapping[str, ObservedRouter]] = field(default_factory=dict)


class AdsRouters:
    """Implements the port `Routers`."""

    def __init__(self, on_change: Callable[[str, str], None], *, permit: Callable[[], None] = lambda: None) -> None:
        """Create them.

        Args:
            on_change: Called with a namespace and a deployment of which `routers` says something else than last time.
            permit: Called before routers are told anything; who may tell them nothing any more does not return from it.
        """
        self.server = AdsServer(on_change=self._compare, permit=permit)
        self._on_change = on_change
        self._namespaces: dict[str, _Namespace] = {}

    def set_namespace(self, namespace: str, *, deployments: frozenset[str], routers: Mapping[str, str]) -> None:
        """Say who is there."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        self.server.set_routers(namespace, routers)
        if known.deployments != deployments:
            known.deployments = deployments
            known.routes = {name: route for name, route in known.routes.items() if name in deployments}
            known.told = {name: told for name, told in known.told.items() if name in deployments}
            self._push(namespace, known)

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Say what routers shall do; pushed when it differs from what was said before."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        if deployment not in known.routes or known.routes[deployment] != route:
            known.routes[deployment] = route
            self._push(namespace, known)

    def keep_route(self, namespace: str, deployment: str) -> None:
        """Leave the route as it is; where none is known, have none."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        if deployment not in known.routes:
            self.set_route(namespace, deployment, None)

    def forget(self, namespace: str, deployment: str) -> None:
        """Drop a deployment that is gone."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        known.deployments -= {deployment}
        known.told.pop(deployment, None)
        if known.routes.pop(deployment, None) is not None:
            self._push(namespace, known)

    def routers(self, namespace: str, deployment: str) -> Mapping[str, ObservedRouter]:
        """Say what each connected router acknowledged."""
        found = self._look(namespace, deployment)
        self._namespaces.setdefault(namespace, _Namespace()).told[deployment] = found
        return found

    def _compare(self, namespace: str) -> None:
        """Call whom a change of the routers concerns: an answer to one deployment's route is no news to all."""
        known = self._namespaces.get(namespace, _Namespace())
        for deployment in sorted(known.deployments):
            if self._look(namespace, deployment) != known.told.get(deployment):
                self._on_change(namespace, deployment)

    def _look(self, namespace: str, deployment: str) -> dict[str, ObservedRouter]:
        found = {}
        for state in self.server.routers(namespace):
            if not state.connected:
                continue
            told = state.acknowledged.get(deployment)
            found[state.pod] = ObservedRouter(
                pod=state.pod,
                ready=True,
                decision=told.decision if told else None,
                weights=dict(told.weights) if told else {},
                error=state.error,
            )
        return found

    def _push(self, namespace: str, known: _Namespace) -> None:
        if not known.deployments <= known.routes.keys():
            # After a restart an incomplete configuration would take the others' traffic away.
            return
        routes = [_route(namespace, name, route) for name, route in sorted(known.routes.items()) if route]
        self.server.set_snapshot(namespace, build_snapshot(routes))


def _route(namespace: str, deployment: str, plan: RoutePlan) -> Route:
    backends = tuple(Backend(b.model, b.weight, tuple(Endpoint(ip) for ip in b.endpoints)) for b in plan.backends)
    return Route(
        namespace=namespace,
        deployment=deployment,
        decision=plan.decision,
        cluster_ip=plan.cluster_ip,
        backends=backends,
        affinity_header=plan.affinity_header,
    )
