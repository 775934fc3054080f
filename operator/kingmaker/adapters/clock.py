"""Time, from the machine."""

import time
from datetime import UTC, datetime
from typing import Final

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.now(UTC)


def tick() -> float:
    """Seconds of a clock that nobody sets and that goes on while the process, or the whole machine, is asleep."""
    return time.clock_gettime(_STEADY)
