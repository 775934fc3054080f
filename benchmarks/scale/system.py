"""What the steps need of the system that is measured: an adapter for each, Kingmaker's own in `kingmaker_system`."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kingmaker.kube.client import KubeClient
from support.controlplane import ControlPlane

Document = dict[str, Any]

REPLICAS = 2
"""Pods of each deployment that the steps create."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the deployments that are measured; numbers begin at 0 and go through all namespaces."""

    namespace: str
    number: int

    @property
    def name(self) -> str:
        """Name of its object."""
        return f"seat-{self.number:04d}"


def seats(count: int, namespaces: int) -> list[Seat]:
    """Spread deployments over namespaces `scale-0` and so on."""
    return [Seat(f"scale-{number % namespaces}", number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Collection:
    """Objects of one kind, in all namespaces: path of the list and its label selector."""

    path: str
    selector: str = ""

    @property
    def params(self) -> dict[str, str]:
        """The query that selects them."""
        return {"labelSelector": self.selector} if self.selector else {}

    def object(self, namespace: str, name: str) -> str:
        """Path of one of them."""
        root, _, plural = self.path.rpartition("/")
        return f"{root}/namespaces/{namespace}/{plural}/{name}"


class Controller(Protocol):
    """The running controller of the system."""

    pid: int
    started: float
    """Monotonic seconds."""
    xds_port: int
    """Where stand-in routers connect; 0 where the system has none."""

    def check(self) -> None:
        """Raise with the end of its log when it has ended."""

    def log_tail(self) -> str:
        """Give the end of its log."""

    async def is_up(self) -> bool:
        """Whether it has started."""

    async def kill(self) -> None:
        """Kill it as the kernel would; return when it is gone."""

    async def gone_through(self) -> int:
        """Count the deployments that it has reconciled since its start."""


class System(Protocol):
    """A system under test. Everything else is seen at the API server."""

    name: str
    user: str
    """By which its controller is known to the API server."""
    interval: float
    """Seconds within which the controller looks at each deployment again when nothing happens."""
    manager: str
    """The field manager of what it writes."""
    deployments: Collection
    """What people create, one per seat."""
    child: Collection
    """The kind of child that is written first when `edit` changed the number of pods, labelled `label`."""
    records: Collection
    """Where it commits a change of a route before it tells the routers; `record_of` says whose."""
    children: Sequence[Collection]
    """Everything that it creates."""

    async def install(self, plane: ControlPlane, client: KubeClient) -> None:
        """Put into an empty API server what the controller needs: definitions, account, rights."""

    def parents(self, seat: Seat) -> list[tuple[str, Document]]:
        """Give what people create for a seat: path of the collection and body, in order."""

    def is_ready(self, body: Document) -> bool:
        """Whether a deployment says that it is ready for requests."""

    def edit(self, replicas: int) -> Document:
        """Give the merge patch of a deployment that changes its number of pods."""

    def parent_of(self, child: Document) -> str:
        """Give the name of the deployment that a child belongs to."""

    def record_of(self, record: Document) -> tuple[str, str]:
        """Give namespace and name of the deployment that a record is about."""

    def challenge(self, seat: Seat, weight: int, *, fixed: bool) -> tuple[str, list[tuple[str, Document]], Document]:
        """Give what makes a second version of a seat answer `weight` percent of its requests, as long as it is well.

        Args:
            seat: Which.
            weight: Percent.
            fixed: Whether people say the weight, and may change it by another patch; else it is a stage's.

        Returns:
            Name of the version, what to create for it, and the merge patch of the deployment.
        """

    def running(self, plane: ControlPlane, client: KubeClient, folder: Path) -> AbstractAsyncContextManager[Controller]:
        """Run the controller while the block runs."""
