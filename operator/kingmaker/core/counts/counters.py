"""Cumulative counters of one process, and what came new between two looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process said it counted since `start`, its start time in the process's own words."""

    start: str
    values: Mapping[str, int]


def difference(previous: Counters | None, current: Counters) -> dict[str, int]:
    """Give what was counted between two looks at the same process.

    Another start time, or a value that went down, means a restart: then everything in `current` is new. A key that is
    gone is no restart: servers fold the counts of old decisions away. Without a previous look everything is new, so
    pass None only for a process that started since the last look.

    Returns:
        The increments that are not 0.
    """
    before: Mapping[str, int] = {}
    if previous is not None and previous.start == current.start:
        shrunk = any(current.values.get(key, count) < count for key, count in previous.values.items())
        before = {} if shrunk else previous.values
    increments = {key: count - before.get(key, 0) for key, count in current.values.items()}
    return {key: count for key, count in increments.items() if count}
