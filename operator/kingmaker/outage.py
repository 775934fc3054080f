"""Who waits for an API server that does not answer: one of them tries it for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kingmaker.ports import ClusterError, Key

logger = logging.getLogger(__name__)

_FIRST: Final = 0.5
_LONGEST: Final = 30.0
"""Seconds between two tries, doubled from the first on, with a jitter of a quarter."""
_FORGIVEN: Final = 60.0
"""Seconds after which another outage is one of its own."""


def jitter(key: Key, failures: int) -> float:
    """Give a factor of 0.75 to 1.25 that follows from a key and how often it failed: who failed together parts."""
    return 0.75 + (hash((str(key), failures)) % 1000) / 2000


class Outage:
    """Keys whose reconcile found nobody to talk to, in the order in which they try again.

    A thousand deployments that each try again by themselves keep a processor busy, and tell nothing that one doesn't.
    It may be that only one object can't be written in time, so whoever tried in vain goes to the end of the line, and
    the first that succeeds has all others tried as well.
    """

    def __init__(self, retry: Callable[[Key], None]) -> None:
        """Take who is called to try a key again."""
        self._retry = retry
        self._waiting: dict[Key, None] = {}
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._trying: Key | None = None
        self._ended = float("-inf")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def failed(self, key: Key, why: ClusterError) -> None:
        """Take in that the API server did not answer for a key: it waits."""
        self._waiting.pop(key, None)
        self._waiting[key] = None
        if key == self._trying or (self._timer is None and self._trying is None):
            logger.warning("%s: %s; %d wait for an answer", key, why, self.waiting)
            self._begin()

    def ended(self, key: Key) -> None:
        """Take in that a key's reconcile ended otherwise: somebody answers."""
        if key not in self._waiting:
            return
        del self._waiting[key]
        waiting, self._waiting = [*self._waiting], {}
        if self._timer:
            self._timer.cancel()
        self._timer = self._trying = None
        self._ended = asyncio.get_running_loop().time()
        logger.info("the API server answers: %d that waited for it are tried again", len(waiting))
        for other in waiting:
            self._retry(other)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._trying is None and loop.time() - self._ended > _FORGIVEN:
            self._tries = 0
        self._trying = None
        seconds = min(_FIRST * 2 ** min(self._tries, 10), _LONGEST) * jitter(next(iter(self._waiting)), self._tries)
        self._tries += 1
        self._timer = loop.call_later(seconds, self._try)

    def _try(self) -> None:
        self._timer = None
        self._trying = next(iter(self._waiting))
        self._retry(self._trying)
