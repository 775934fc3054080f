"""What the routers of a namespace shall do with requests: routes, their weighted backends, their endpoints."""

from __future__ import annotations

from dataclasses import dataclass

from kingmaker.routing.errors import InvalidRouteError


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One serving pod. `address` is an IP address."""

    address: str
    port: int = 8080


@dataclass(frozen=True, slots=True)
class Backend:
    """One variant. `weight` is a percent; with 0 it gets previews only, or what is still in flight while it drains."""

    model: str
    weight: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One ModelDeployment: which requests are its own, and who answers them.

    The first backend is the champion: the others' shares are cut from it. Where requests are sticky (`affinity_header`)
    the second backend grows from one end of the hash's range and the third from the other, so that who once got a
    challenger keeps it while its weight grows.

    Args:
        namespace: Of the ModelDeployment.
        deployment: Its name.
        decision: What the weights stem from, >= 0; stamped on requests.
        cluster_ip: Of its Service; None while it has none.
        backends: Weights sum up to 100, or are all 0 when nobody can answer.
        affinity_header: Requests with the same value go to the same variant and, while it lives, the same pod.

    Raises:
        InvalidRouteError: The weights are not 0-100, do not sum up to 100 (or 0), or a model is named twice.
    """

    namespace: str
    deployment: str
    decision: int
    cluster_ip: str | None
    backends: tuple[Backend, ...]
    affinity_header: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no router may ever be told."""
        name = f"route {self.namespace}/{self.deployment}"
        weights = {b.model: b.weight for b in self.backends}
        if len(weights) != len(self.backends):
            raise InvalidRouteError(
                f"{name}: a model is named twice in {[b.model for b in self.backends]}; name each once"
            )
        if any(not 0 <= w <= 100 for w in weights.values()) or sum(weights.values()) not in (0, 100):
            raise InvalidRouteError(
                f"{name}: weights are {weights}; expected integers 0-100 with the sum 100, or all 0"
            )
        if self.decision < 0:
            raise InvalidRouteError(f"{name}: decision is {self.decision}; expected >= 0")
