"""What is known of a pod's containers at one moment: the input of `machine` and `status`. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kingmaker_laptop.node.podspec import PodSpec


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and why. An empty reason is the ordinary wait for its turn."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Its process is there."""

    started_at: datetime
    container_id: str


@dataclass(frozen=True, slots=True)
class Exited:
    """Its process has ended; `code` is 128 + signal when a signal ended it."""

    code: int
    started_at: datetime
    finished_at: datetime
    reason: str
    signal: int = 0
    message: str = ""
    container_id: str = ""


State = Waiting | Running | Exited


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container now.

    Attributes:
        restarts: Starts after the first.
        previous: How the run before this one ended.
        is_started: Running, and its startup probe (if any) has passed.
        is_ready: What its readiness probe says; without one, whether it is started.
        is_stopping: It has been told to end.
        retry_at: After a failed attempt to start: not before this time.
        restart_at: After an exit: not before this time.
    """

    state: State = Waiting()
    restarts: int = 0
    previous: Exited | None = None
    is_started: bool = False
    is_ready: bool = False
    is_stopping: bool = False
    retry_at: datetime | None = None
    restart_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the pod as a whole ends, and in which words its status says so.

    Attributes:
        is_failure: The phase becomes Failed whatever the containers say.
    """

    reason: str = ""
    message: str = ""
    is_failure: bool = False


DELETED = Ending()


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod now.

    Attributes:
        containers: By name; those never looked at may be absent.
        ip: Its address, None before it has one.
        ending: Set once it can't go on.
        blocked: Set when the pod can't start but isn't ended, e.g. a volume that isn't there yet.
    """

    spec: PodSpec
    started_at: datetime
    ip: str | None = None
    host_ip: str = "127.0.0.1"
    containers: Mapping[str, ContainerView] = field(default_factory=dict)
    ending: Ending | None = None
    blocked: Waiting | None = None

    def view(self, name: str) -> ContainerView:
        """The container of that name."""
        return self.containers.get(name, ContainerView())
