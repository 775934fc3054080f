"""Routers that do nothing but remember what they were told: the port `Routers` without a network."""

from dataclasses import dataclass, field

from kingmaker.core.observed import ObservedRouter, RouterPod
from kingmaker.core.plan import RoutePlan


@dataclass
class ToldRouters:
    """What the routers of all namespaces were told."""

    deployments: dict[str, frozenset[str]] = field(default_factory=dict)
    pods: dict[str, tuple[RouterPod, ...]] = field(default_factory=dict)
    routes: dict[str, RoutePlan | None] = field(default_factory=dict)
    """By deployment: tests have one namespace."""
    forgotten: list[str] = field(default_factory=list)

    def set_namespace(self, namespace: str, *, deployments: frozenset[str], pods: tuple[RouterPod, ...]) -> None:
        self.deployments[namespace], self.pods[namespace] = deployments, pods

    def forget(self, namespace: str) -> None:
        self.forgotten.append(namespace)

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        del namespace
        self.routes[deployment] = route

    def keep_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        del namespace
        self.routes.setdefault(deployment, route)

    def drop_route(self, namespace: str, deployment: str) -> None:
        del namespace
        self.routes.pop(deployment, None)

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        del deployment
        return tuple(ObservedRouter(pod.pod, pod.ready) for pod in self.pods.get(namespace, ()))
