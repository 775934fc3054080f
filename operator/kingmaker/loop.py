"""The queue between events and reconciles: deduplicated, serial per key, with back-off and requeue-after.

Who has least patience goes first: a namespace that gets 1,000 new deployments at once must not keep a look at a contest
waiting. Patience ends, so nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from kingmaker.outage import Outage, jitter
from kingmaker.ports import Clock, ClusterError, ConflictError, Key

logger = logging.getLogger(__name__)

WORKERS: Final = 32
"""Reconciles at one time; they mostly wait for the API server and for pods, and share what they read of a namespace."""

_BACKOFF_FIRST: Final = 0.5
_BACKOFF_LAST: Final = 60.0
_CONFLICT_DELAY: Final = 0.2
_MOMENT: Final = 0.1
_TIMEOUT: Final = 60.0
"""Seconds one reconcile may take: every call in it has a shorter deadline of its own."""

Reconcile = Callable[[Key], Awaitable[datetime | None]]
Observer = Callable[[Key, float, BaseException | None], None]
Patience = Callable[[Key], float]
"""Gives the seconds for which a key lets others go first that come later than itself."""


class Loop:
    """Runs `reconcile(key)` for every key that was added, one at a time per key.

    A key that is added while it is worked on is worked on once more afterwards. The returned time is when to look again
    by itself. An exception delays the key, doubling up to a minute, with a jitter that follows from the key, so that
    keys which failed together don't come back together. While the API server does not answer, one key tries it for all.
    """

    def __init__(
        self,
        reconcile: Reconcile,
        clock: Clock,
        *,
        observe: Observer | None = None,
        patience: Patience = lambda _: 0.0,
    ) -> None:
        """Take the function to run; `observe` is told of every run (key, seconds, error)."""
        self._reconcile = reconcile
        self._clock = clock
        self._observe = observe
        self._patience = patience
        self._queue: asyncio.PriorityQueue[tuple[float, int, Key]] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._outage = Outage(self.add)
        self._outage = Outage(self.add)

    def add(self, key: Key) -> None:
        """Ask for a reconcile; asking twice before it begins is asking once."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._cancel_timer(key)
            self._queued.add(key)
            latest = asyncio.get_running_loop().time() + self._patience(key)
            self._queue.put_nowait((latest, next(self._numbers), key))

    def add_soon(self, key: Key) -> None:
        """Ask for a reconcile in a moment: what is told several times by then is one piece of news."""
        timer, latest = self._timers.get(key), asyncio.get_running_loop().time() + _MOMENT
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued and (timer is None or timer.when() > latest):
            self._later(key, _MOMENT)

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return len(self._queued)

    async def drained(self) -> None:
        """Return as soon as nobody waits and nothing is being done."""
        while self._queued or self._running:  # noqa: ASYNC110  # looked at every moment, once in a lifetime
            await asyncio.sleep(_MOMENT)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            _, _, key = await self._queue.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                await self._run_once(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _run_once(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        error: BaseException | None = None
        try:
            async with asyncio.timeout(_TIMEOUT):
                at = await self._reconcile(key)
            self._failures.pop(key, None)
            if at is not None:
                self._later(key, max(0.0, (at - self._clock.now()).total_seconds()))
        except ConflictError as conflict:
            # Mostly somebody was faster, and the next pass reads what they wrote; but who stands in the way may stay.
            error = conflict
            logger.log(logging.WARNING if self._failures.get(key) else logging.DEBUG, "%s: %s", key, conflict)
            self._later(key, self._delay(key, first=_CONFLICT_DELAY))
        except ClusterError as refused:
            error = refused
            if refused.is_silence:
                self._outage.failed(key, refused)
            else:
                logger.warning("%s: %s", key, refused)
                self._later(key, self._delay(key))
        except Exception as bug:
            # One broken resource must not stop the others.
            error = bug
            logger.exception("%s failed", key)
            self._later(key, self._delay(key))
        if not (isinstance(error, ClusterError) and error.is_silence):
            self._outage.ended(key)
        if self._observe:
            self._observe(key, loop.time() - began, error)

    def _delay(self, key: Key, *, first: float = _BACKOFF_FIRST) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(first * 2 ** min(failures, 20), _BACKOFF_LAST) * jitter(key, failures))

    def _later(self, key: Key, seconds: float) -> None:
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._fire, key)

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
