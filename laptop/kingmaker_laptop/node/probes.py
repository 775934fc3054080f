"""Keep asking whether one container has started, is ready and is alive."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kingmaker_laptop.node.checks import Outcome
from kingmaker_laptop.node.podspec import Container
from kingmaker_laptop.node.probespec import Check, Probe

_FIRST_PAUSE: Final = 0.2

Ask = Callable[[Check, float], Awaitable[Outcome]]
"""Runs a check with a deadline in seconds."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Outcomes of one probe: what holds, and how many in a row speak against it."""

    holds: bool
    against: int = 0


def count(tally: Tally, is_success: bool, probe: Probe) -> Tally:
    """Add an outcome; the verdict turns when the threshold is reached.

    >>> count(Tally(True), False, Probe(None, failure_threshold=1))
    Tally(holds=False, against=0)
    """
    if is_success == tally.holds:
        return Tally(tally.holds)
    threshold = probe.success_threshold if is_success else probe.failure_threshold
    if tally.against + 1 >= threshold:
        return Tally(is_success)
    return Tally(tally.holds, tally.against + 1)


@dataclass(frozen=True, slots=True)
class KillReason:
    """A container must be ended: which probe says so, and the probe's own grace period in seconds."""

    message: str
    grace: int | None


class ContainerProbes:
    """The three probes of a running container.

    Args:
        container: Its probes.
        ask: Runs one check.
        on_change: Called when an attribute below has changed; must not block.
        on_failure: Called with a message for each failure that counts.

    Attributes:
        is_started: The startup probe has passed.
        is_ready: The readiness probe's verdict.
        kill_reason: Set when startup or liveness has failed.
    """

    def __init__(
        self,
        container: Container,
        *,
        ask: Ask,
        on_change: Callable[[], None],
        on_failure: Callable[[str], None],
        was_started: bool = False,
        was_ready: bool = False,
    ) -> None:
        self._container = container
        self._ask = ask
        self._on_change = on_change
        self._on_failure = on_failure
        self.is_started = container.startup is None or was_started
        self.is_ready = was_ready or (container.readiness is None and self.is_started)
        self.kill_reason: KillReason | None = None

    @property
    def has_work(self) -> bool:
        """Whether there is anything to ask."""
        return any((self._container.startup, self._container.readiness, self._container.liveness))

    async def run(self) -> None:
        """Ask until cancelled, or until the container is doomed."""
        if self._container.startup and not self.is_started and not await self._await_startup(self._container.startup):
            return
        async with asyncio.TaskGroup() as group:
            if self._container.readiness:
                group.create_task(self._follow_readiness(self._container.readiness))
            if self._container.liveness:
                group.create_task(self._follow_liveness(self._container.liveness))

    async def _await_startup(self, probe: Probe) -> bool:
        tally, pause = Tally(holds=False), _FIRST_PAUSE
        failures, counted_at = 0, float("-inf")
        await asyncio.sleep(probe.initial_delay)
        while True:
            outcome = await self._ask(probe.check, probe.timeout)
            tally = count(tally, outcome.is_success, probe)
            if tally.holds:
                self.is_started = True
                self.is_ready = self._container.readiness is None
                self._on_change()
                return True
            if not outcome.is_success and _tick() - counted_at >= probe.period:
                failures, counted_at = failures + 1, _tick()
                self._on_failure(f"Startup probe failed: {outcome.message}")
            if failures >= probe.failure_threshold:
                self._condemn("startup", probe, outcome)
                return False
            await asyncio.sleep(min(pause, probe.period))
            pause *= 2

    async def _follow_readiness(self, probe: Probe) -> None:
        tally, pause, reported_at = Tally(self.is_ready), _FIRST_PAUSE, float("-inf")
        if not self.is_ready:
            await asyncio.sleep(probe.initial_delay)
        while True:
            outcome = await self._ask(probe.check, probe.timeout)
            tally = count(tally, outcome.is_success, probe)
            if tally.holds != self.is_ready:
                self.is_ready = tally.holds
                self._on_change()
            if not outcome.is_success and _tick() - reported_at >= probe.period:
                reported_at = _tick()
                self._on_failure(f"Readiness probe failed: {outcome.message}")
            # Until it is ready for the first time, waiting a whole period would only be a delay.
            await asyncio.sleep(probe.period if self.is_ready else min(pause, probe.period))
            pause = probe.period if self.is_ready else 2 * pause

    async def _follow_liveness(self, probe: Probe) -> None:
        tally = Tally(holds=True)
        await asyncio.sleep(probe.initial_delay)
        while True:
            outcome = await self._ask(probe.check, probe.timeout)
            tally = count(tally, outcome.is_success, probe)
            if not outcome.is_success:
                self._on_failure(f"Liveness probe failed: {outcome.message}")
            if not tally.holds:
                self._condemn("liveness", probe, outcome)
                return
            await asyncio.sleep(probe.period)

    def _condemn(self, kind: str, probe: Probe, outcome: Outcome) -> None:
        name = self._container.name
        self.kill_reason = KillReason(
            f"Container {name} failed {kind} probe, will be restarted: {outcome.message}", probe.grace
        )
        self._on_change()


def _tick() -> float:
    return asyncio.get_running_loop().time()
