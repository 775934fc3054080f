"""The router pods of all namespaces, told over ADS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kingmaker.core.observed import ObservedRouter, RouterPod
from kingmaker.core.plan import RoutePlan
from kingmaker.routing.ads import AdsServer, RouterState


@dataclass(slots=True)
class _Namespace:
    """What is known of one namespace.

    Attributes:
        pods: The routers.
        told: What was said last of the routers, by deployment.
    """

    pods: tuple[RouterPod, ...] = ()
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
        if self.server.set_deployments(namespace, deployments):
            known.told = {name: told for name, told in known.told.items() if name in deployments}
        if known.pods != pods:
            known.pods = pods
            self._compare(namespace, None)

    def forget(self, namespace: str) -> None:
        """Drop a namespace that is empty: an address of its routers may be anybody's from now on."""
        self._namespaces.pop(namespace, None)
        self.server.forget(namespace)

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Say what routers shall do; pushed when it differs from what was said before."""
        self.server.set_route(namespace, deployment, route)

    def keep_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Leave the route as it is; where none was said yet, say this one, or None: routers keep what they have."""
        self.server.keep_route(namespace, deployment, route)

    def drop_route(self, namespace: str, deployment: str) -> None:
        """Drop a deployment that is gone."""
        if known := self._namespaces.get(namespace):
            known.told.pop(deployment, None)
        self.server.drop_route(namespace, deployment)

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        """Say what each router pod acknowledged: nothing, while it is not connected."""
        known = self._namespaces.setdefault(namespace, _Namespace())
        found = known.told[deployment] = self._look(namespace, known.pods, deployment)
        return found

    def _compare(self, namespace: str, deployments: frozenset[str] | None) -> None:
        """Call whom a change of the routers concerns: an answer to one deployment's route is no news to all."""
        known = self._namespaces.get(namespace, _Namespace())
        for deployment in sorted(known.told.keys() if deployments is None else deployments & known.told.keys()):
            if self._look(namespace, known.pods, deployment) != known.told[deployment]:
                self._on_change(namespace, deployment)

    def _look(self, namespace: str, pods: tuple[RouterPod, ...], deployment: str) -> tuple[ObservedRouter, ...]:
        states = {state.pod: state for state in self.server.routers(namespace, deployment) if state.connected}
        return tuple(_observed(pod, states) for pod in pods)


def _observed(pod: RouterPod, connected: Mapping[str, RouterState]) -> ObservedRouter:
    """Give what is known of a pod: nothing was acknowledged by one that is not connected."""
    state = connected.get(pod.pod)
    told = state.acknowledged if state else None
    return ObservedRouter(
        pod=pod.pod,
        ready=pod.ready,
        decision=told.decision if told else None,
        weights=dict(told.weights) if told else {},
        error=state.error if state else None,
        settling=pod.settling and told is None,
    )
