"""The router pods of all namespaces, told over ADS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kingmaker.core.observed import ObservedRouter, RouterPod
from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer, RouterState
from kingmaker.routing.snapshot import Backend, Endpoint, Route, build_snapshot


@dataclass(slots=True)
class _Namespace:
    """What is known of one namespace.

    Attributes:
        deployments: Who is there; None before it was said.
        pods: The routers.
        routes: Has an entry for every deployment whose route is known.
        told: What was said last of the routers, by deployment.
    """

    deployments: frozenset[str] | None = None
    pods: tuple[RouterPod, ...] = ()
    routes: dict[str, RoutePlan | None] = field(default_factory=dict)
    told: dict[str, tuple[ObservedRouter, ...]] = field(default_factory=dict)


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

    def set_namespace(self, namespace: str, *, deployments: frozenset[str], pods: tuple[RouterPod, ...]) -> None:
        """Say who is there; deployments whose routers changed by that are told."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        self.server.set_routers(namespace, {pod.address: pod.pod for pod in pods})
        if known.deployments != deployments:
            known.deployments = deployments
            known.routes = {name: route for name, route in known.routes.items() if name in deployments}
            known.told = {name: told for name, told in known.told.items() if name in deployments}
            self._push(namespace, known)
        if known.pods != pods:
            known.pods = pods
            self._compare(namespace)

    def forget(self, namespace: str) -> None:
        """Drop a namespace that is empty: an address of its routers may be anybody's from now on."""
        if self._namespaces.pop(namespace, None):
            self.server.forget(namespace)

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Say what routers shall do; pushed when it differs from what was said before."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        if deployment not in known.routes or known.routes[deployment] != route:
            known.routes[deployment] = route
            self._push(namespace, known)

    def keep_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Leave the route as it is; where none was said yet, say this one."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        if deployment not in known.routes:
            self.set_route(namespace, deployment, route)

    def drop_route(self, namespace: str, deployment: str) -> None:
        """Drop a deployment that is gone."""
        known = self._namespaces.get(namespace)
        if known is None:
            return
        known.deployments = known.deployments - {deployment} if known.deployments is not None else None
        known.told.pop(deployment, None)
        if known.routes.pop(deployment, None) is not None:
            self._push(namespace, known)

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        """Say what each router pod acknowledged: nothing, while it is not connected."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        found = known.told[deployment] = _look(known.pods, self._connected(namespace), deployment)
        return found

    def _compare(self, namespace: str) -> None:
        """Call whom a change of the routers concerns: an answer to one deployment's route is no news to all."""
        known = self._namespaces.get(namespace, _Namespace())
        connected = self._connected(namespace)
        for deployment, told in sorted(known.told.items()):
            if _look(known.pods, connected, deployment) != told:
                self._on_change(namespace, deployment)

    def _connected(self, namespace: str) -> dict[str, RouterState]:
        return {state.pod: state for state in self.server.routers(namespace) if state.connected}

    def _push(self, namespace: str, known: _Namespace) -> None:
        if known.deployments is None or not known.deployments <= known.routes.keys():
            # After a restart an incomplete configuration would take the others' traffic away.
            return
        routes = [_route(namespace, name, route) for name, route in sorted(known.routes.items()) if route]
        self.server.set_snapshot(namespace, build_snapshot(routes))


def _look(
    pods: tuple[RouterPod, ...], connected: Mapping[str, RouterState], deployment: str
) -> tuple[ObservedRouter, ...]:
    """Give what is known of each pod: nothing was acknowledged by one that is not connected."""
    found = []
    for pod in pods:
        state = connected.get(pod.pod)
        told = state.acknowledged.get(deployment) if state else None
        found.append(
            ObservedRouter(
                pod=pod.pod,
                ready=pod.ready,
                decision=told.decision if told else None,
                weights=dict(told.weights) if told else {},
                error=state.error if state else None,
            )
        )
    return tuple(found)


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
