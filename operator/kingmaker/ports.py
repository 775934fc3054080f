"""What the operator needs of the world, declared by who needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from typing_extensions import override

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.observed import Answer, ObservedRouter, Question, RouterPod
from kingmaker.core.plan import RoutePlan
from kingmaker.kube import errors

Body = Mapping[str, Any]


ClusterError = errors.ApiError
NotFoundError = errors.NotFoundError
ConflictError = errors.ConflictError
RefusedError = errors.RefusedError
UnavailableError = errors.UnavailableError


@dataclass(frozen=True, slots=True)
class Key:
    """What one reconcile is about."""

    kind: str
    namespace: str
    name: str = ""
    """Empty for a namespace as a whole."""

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}".removesuffix("/")


class Cluster(Protocol):
    """The API server. Kinds are those of `adapters.kinds.RESOURCES`. What is given is shared: nobody changes it.

    `get` and `list` cost nothing: they give what the watches have told, and never an object older than this operator's
    own last write to it. They raise UnavailableError as long as a namespace is not read completely. Before a step that
    can't be undone the object that it depends on is read by `get_live`.
    """

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Give one object as far as known; None when it does not exist."""

    async def get_live(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read one object from the API server; None when it does not exist."""

    async def holder(self, kind: str, namespace: str, name: str) -> Body | None:
        """Give who has a name, whoever made it: from memory where everybody's objects are known, else live."""

    async def users_of(self, namespace: str, model: str) -> list[Body]:
        """Give the ModelDeployments that refer to a Model, in spec or in status, as far as known."""

    async def list_live(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Body]:
        """Read all objects that have these labels from the API server."""

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Body]:
        """Give all objects that have these labels, as far as known."""

    async def create(self, body: Body) -> Body:
        """Create an object.

        Raises:
            ConflictError: It exists already.
        """

    async def create_unread(self, body: Body) -> None:
        """Create an object that the operator may not read, now or later.

        Raises:
            ConflictError: It exists already.
        """

    async def apply(self, body: Body) -> Body:
        """Server-side apply as field manager `kingmaker`, by force."""

    async def scale(self, namespace: str, name: str, uid: str, replicas: int) -> object:
        """Write the number of pods of exactly the Deployment with this uid, as field manager `kingmaker`.

        Raises:
            ConflictError: It is gone, or another one.
        """

    async def apply_aside(self, body: Body) -> Body:
        """Server-side apply as field manager `kingmaker-handover`, of exactly the object with the body's uid.

        Raises:
            ConflictError: Somebody gave a field another value meanwhile, or the object is another one.
        """

    async def apply_status(self, body: Body) -> Body:
        """Server-side apply the status subresource."""

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> object:
        """Delete exactly the object with this uid, children in the background; gone already is fine."""

    async def emit(self, about: Body, *, type_: str, reason: str, message: str, now: datetime) -> None:
        """Write a Kubernetes Event about an object."""


@dataclass(frozen=True, slots=True)
class PodAddress:
    """A serving pod that may have counts. Without a `name`, whose counts the address gives is not checked."""

    uid: str
    ip: str
    name: str = ""


class Profiles(Protocol):
    """The serving pods' counts."""

    async def scrape(self, pods: Iterable[PodAddress], baselines: Mapping[str, Baseline]) -> list[ProcessCounts]:
        """Read the counts of these pods; who does not answer in time is left out.

        Args:
            pods: Whom to ask.
            baselines: By digest; cells of other baselines are not read.
        """

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        """Read the baseline with this digest from any of these pods; None when none gives it."""


class Queries(Protocol):
    """The Prometheus servers that the operator was started with."""

    async def ask(self, question: Question) -> Answer:
        """Ask one question; it takes seconds at most, and whatever is wrong the answer says so."""


class Routing(Protocol):
    """What a snapshot needs of the routers."""

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        """Say of each router pod of the namespace what it acknowledged for a deployment, by pod name."""


class Routers(Routing, Protocol):
    """The router pods of all namespaces."""

    def set_namespace(self, namespace: str, *, deployments: frozenset[str], pods: tuple[RouterPod, ...]) -> None:
        """Say which deployments a namespace has, and which pods are its routers.

        Nobody else is given a configuration. After a restart of the operator a router keeps what it has of a deployment
        until its route is known, and one that is new takes no requests before something was said about every one.
        """

    def forget(self, namespace: str) -> None:
        """Drop a namespace that has neither deployments nor routers any more."""

    def set_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Say what routers shall do with a deployment's requests; None: nothing yet."""

    def keep_route(self, namespace: str, deployment: str, route: RoutePlan | None) -> None:
        """Leave a deployment's route as it is; where none was said yet, say this one, or None: routers keep theirs."""

    def drop_route(self, namespace: str, deployment: str) -> None:
        """Drop a deployment that is gone."""


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The present, UTC, whole seconds are not rounded."""
