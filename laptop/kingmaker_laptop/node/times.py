"""Times as the API writes them: UTC, RFC 3339."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """Write a `metav1.Time`: whole seconds.

    >>> format_time(datetime(2026, 1, 2, 3, 4, 5, 678, UTC))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """Write a `metav1.MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Read either form.

    >>> parse_time("2026-01-02T03:04:05Z").second
    5
    """
    return datetime.fromisoformat(text)
