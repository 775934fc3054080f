"""What the steps of the demo share: reading the cluster, telling each new Decision, waiting with a deadline."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop.demo.client import Traffic
from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.narration import condition, decision_line, evidence_lines, traffic_line
from kingmaker_laptop.demo.place import Place
from kingmaker_laptop.demo.screen import Screen

NAMESPACE: Final = "demo"
DEPLOYMENT: Final = "screening"

_API: Final = f"/apis/kingmaker.dev/v1alpha1/namespaces/{NAMESPACE}"
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """The cluster at one moment: the ModelDeployment, its Decisions (oldest first), the Models by name."""

    deployment: dict[str, Any] = field(default_factory=dict)
    decisions: tuple[dict[str, Any], ...] = ()
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def status(self) -> dict[str, Any]:
        """Status of the ModelDeployment."""
        status: dict[str, Any] = self.deployment.get("status", {})
        return status

    @property
    def champion(self) -> str:
        """Who holds the seat; empty before anybody does."""
        return str(self.status.get("champion", {}).get("name", ""))

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Models that have pods."""
        variants: list[dict[str, Any]] = self.status.get("variants", [])
        return variants

    def is_true(self, kind: str) -> bool:
        """Whether a condition of the ModelDeployment holds."""
        return condition(self.deployment, kind).get("status") == "True"

    def has(self, action: str, *, about: str = "", after: int = 0) -> bool:
        """Whether such a Decision was taken after the one of that sequence number."""
        return self.find(action, about=about, after=after) is not None

    def find(self, action: str, *, about: str = "", after: int = 0) -> dict[str, Any] | None:
        """Give the first such Decision's spec."""
        for decision in self.decisions:
            names = {(decision.get(side) or {}).get("name") for side in ("from", "to")}
            if decision["action"] == action and decision["sequence"] > after and (not about or about in names):
                return decision
        return None

    @property
    def sequence(self) -> int:
        """Number of the newest Decision; 0 before the first."""
        return int(self.decisions[-1]["sequence"]) if self.decisions else 0


class MissedDeadlineError(DemoError):
    """A step took too long."""


class Stage:
    """The demo while it runs.

    Args:
        place: The cluster.
        api: Its API server.
        screen: Where everything is told.
    """

    def __init__(self, place: Place, api: KubeClient, screen: Screen) -> None:
        self.place = place
        self.screen = screen
        self.view = View()
        self.traffic: Traffic | None = None
        self._api = api
        self._began = time.monotonic()
        self._told = 0

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    @property
    def load(self) -> Traffic:
        """The load generator.

        Raises:
            DemoError: It was not started.
        """
        if self.traffic is None:
            raise DemoError("the load generator is not running")
        return self.traffic

    def say(self, text: str, *, good: bool | None = None) -> None:
        """Tell an event of now."""
        self.screen.event(self.seconds, text, good=good)

    async def wait(self, what: str, reached: Callable[[View], bool], *, seconds: float) -> View:
        """Look until `reached`, telling each new Decision on the way.

        Args:
            what: What is waited for, in words.
            reached: Says whether it is there.
            seconds: Deadline on a laptop; the place may give more.

        Raises:
            MissedDeadlineError: It was not reached in time.
            DemoError: The load generator ended.
        """
        end = time.monotonic() + seconds + self.place.slack_seconds
        while True:
            await self.look()
            if reached(self.view):
                return self.view
            if self.traffic:
                self.traffic.check()
            if time.monotonic() > end:
                raise MissedDeadlineError(f"{what}: not within {seconds:g} s")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Read the cluster and tell what is new."""
        try:
            self.view = await self._read()
        except ApiError as error:
            if error.status not in {0, 404, 429, 500, 503}:
                raise DemoError(f"the API server refused to be read: {error}") from error
            return
        for decision in self.view.decisions:
            if decision["sequence"] > self._told:
                self._tell(decision)
                self._told = decision["sequence"]
        if self.traffic:
            self.screen.live(traffic_line(self.traffic.report, self.view.variants))

    async def _read(self) -> View:
        lists = ("modeldeployments", "decisions", "models")
        deployments, decisions, models = [(await self._api.get(f"{_API}/{kind}"))["items"] for kind in lists]
        mine = [d["spec"] for d in decisions if d["spec"]["deployment"] == DEPLOYMENT]
        return View(
            next((d for d in deployments if d["metadata"]["name"] == DEPLOYMENT), {}),
            tuple(sorted(mine, key=lambda spec: int(spec["sequence"]))),
            {m["metadata"]["name"]: m for m in models},
        )

    def _tell(self, decision: dict[str, Any]) -> None:
        good = {"Promote": True, "Rollback": False, "Reject": False, "SkipRetraining": False}.get(decision["action"])
        self.say(decision_line(decision), good=good)
        for line in evidence_lines(decision):
            self.screen.evidence(line)
