"""What shall happen: actions as printable values, in the order in which they are safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.state import State


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object that must not exist; that it exists already means that another pass was faster."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CreateKeys:
    """Create the Secret of a deployment's request ids, with a key that nobody has seen.

    Nobody reads it but the servers, the operator least of all: that it exists already is fine, and all that it knows.
    """

    body: Mapping[str, Any]
    """All but the key, which is random and belongs into no plan."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply an object. `is_new`: it was not among one's own, so what has its name is looked at first."""

    body: Mapping[str, Any]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Change the number of pods of exactly this Deployment, which is otherwise as it should be.

    It ends as an apply of the whole would, for half the work: what people edit most is there sooner.
    """

    name: str
    uid: str
    replicas: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """Server-side apply a Deployment without its number of pods, which an autoscaler shall own from now on.

    Leaving out what one owns alone removes it, and a Deployment without a number has one pod. So the number that it has
    is applied under another name first; only when that succeeded the body follows.
    """

    body: Mapping[str, Any]
    uid: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly the object with this uid."""

    api_version: str
    kind: str
    name: str
    uid: str


Action = Create | CreateKeys | Apply | Scale | HandOver | Delete


@dataclass(frozen=True, slots=True)
class Backend:
    """One weighted target of the route. `endpoints` are addresses of ready pods."""

    model: str
    weight: int
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What every router of the namespace shall do with this deployment's requests.

    `decision` is 0 when the split is not the decided one, for want of ready pods: such requests are no evidence. With
    another `draw` entities fall to variants anew.
    """

    decision: int
    backends: tuple[Backend, ...]
    cluster_ip: str | None
    affinity_header: str | None
    draw: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on a transition."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Gauges:
    """Figures that change all the time: metrics, never status.

    `sequence` numbers the newest decision, `weights` are percent of the requests by model, `log_e` the natural
    logarithm of each check's e-value, by (model, check). `errors` are the champion's, by (model, figure), in the unit
    of the measure; `label_coverage` is the part of the requests, 0..1, whose labels came, by model.
    `remaining` are the seconds that a contest takes yet, infinite where it never ends by itself, by challenger.
    """

    sequence: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    log_e: Mapping[tuple[str, str], float] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], float] = field(default_factory=dict)
    label_coverage: Mapping[str, float] = field(default_factory=dict)
    remaining: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass's result. Executed in this order: record, route, actions, ledger, status, events.

    `record` is committed before anything else: when that fails, nothing of the plan happens but `route_before`, the
    route of the state without it. The route comes before slower things, so that a harmful model loses its requests at
    once. None means "as it is".
    """

    state: State
    route_before: RoutePlan | None = None
    record: Mapping[str, Any] | None = None
    actions: tuple[Action, ...] = ()
    route: RoutePlan | None = None
    ledger: Ledger | None = None
    """What was counted, to be remembered for the next pass; None when that is as it was."""
    store_ledger: bool = False
    """Whether the ledger has to be stored now."""
    status: Mapping[str, Any] | None = None
    events: tuple[Event, ...] = ()
    requeue_at: datetime | None = None
    quiet_until: datetime | None = None
    """Before that moment the same snapshot leads to nothing; None where this plan does something, or time may."""
    gauges: Gauges = Gauges()

    @property
    def does_nothing(self) -> bool:
        """Whether nothing is written because of it."""
        return not (self.record or self.actions or self.status or self.store_ledger)
