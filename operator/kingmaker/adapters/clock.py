"""Time, from the machine."""

from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.now(UTC)
