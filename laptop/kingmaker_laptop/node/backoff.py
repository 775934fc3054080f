"""How long a container that keeps ending waits before it runs again.

Source: k8s.io/client-go/util/flowcontrol `Backoff`, as the kubelet uses it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LONGEST: Final = timedelta(minutes=5)
FORGOTTEN_AFTER: Final = 2 * LONGEST
"""A run of this length clears the record."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses of one container.

    Attributes:
        delay: Pause that applies to the next exit; zero before the first restart, which is immediate.
        updated: When `delay` was set.
    """

    delay: timedelta = timedelta(0)
    updated: datetime | None = None

    def restart_at(self, finished: datetime) -> datetime:
        """When a container that ended at `finished` may run again."""
        if self._is_forgotten(finished):
            return finished
        return finished + self.delay

    def after_restart(self, finished: datetime, now: datetime, *, base: timedelta) -> "Backoff":
        """The record after a restart at `now`: twice the pause, at most five minutes."""
        if self.updated is None or self._is_forgotten(finished):
            return Backoff(base, now)
        return Backoff(min(2 * self.delay, LONGEST), now)

    def _is_forgotten(self, finished: datetime) -> bool:
        return self.updated is None or finished - self.updated > FORGOTTEN_AFTER
