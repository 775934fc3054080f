"""How unevenly failures and slow answers come: what tells one incident from many independent failures.

A pod's time is cut into slots of twenty seconds. Per slot it is counted how many requests failed; what is kept of a
slot is the square of that. From sums and sums of squares follows how many failures come together
(`contest.dispersion`), and from the number of slots how long pods were exposed to what hits pods and not requests.
Squares add over pods, slots and time like every other count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from operator import add
from typing import Final

SLOT_SECONDS: Final = 20
"""Longer than most restarts, so that an incident is one slot's or two; short enough that harm is told within
minutes."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """Sums over the slots of any number of pods.

    `slots` counts those with requests. `errors`, `slower` (per edge of the latency cells, of requests that took
    longer) and `failures` (per challenger, of copies) are sums of squared counts per slot.
    """

    slots: int = 0
    errors: int = 0
    slower: tuple[int, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)

    def slower_than(self, place: int) -> int:
        """Give the sum of squares of requests that took longer than the edge at this place of the latency cells."""
        return self.slower[place] if self.slower else 0

    def __add__(self, other: Bursts) -> Bursts:
        """Add two stretches of the same model."""
        if self is NO_BURSTS or other is NO_BURSTS:
            return other if self is NO_BURSTS else self
        return Bursts(
            self.slots + other.slots,
            self.errors + other.errors,
            _add(self.slower, other.slower),
            _sum(self.failures, other.failures),
        )


NO_BURSTS: Final = Bursts()
"""Nothing counted."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What a process counted so far in the slot `index`, under one decision: counts, not squares."""

    index: int
    requests: int = 0
    errors: int = 0
    slower: tuple[int, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)


def slot_at(now: datetime) -> int:
    """Number the slot of a moment."""
    return int(now.timestamp()) // SLOT_SECONDS


@dataclass(frozen=True, slots=True)
class News:
    """What a process counted between two looks under one decision; `failures` of copies by challenger."""

    requests: int
    errors: int
    latency: tuple[int, ...]
    failures: Mapping[str, int]


def fill(before: Slot | None, news: News, index: int | None) -> tuple[Slot, Bursts]:
    """Put what came new into a slot.

    Args:
        before: What the same process counted up to now under the same decision; what is of an earlier slot is over.
        news: What came new.
        index: The slot that this falls into; None: one of its own.

    Returns:
        The slot as it is now, and by how much the sums grow.
    """
    if before is None or before.index != index:
        before = Slot(-1 if index is None else index)
    after = Slot(
        before.index,
        before.requests + news.requests,
        before.errors + news.errors,
        _add(before.slower, _tails(news.latency)),
        _sum(before.failures, news.failures),
    )
    earlier = before.slower or (0,) * len(after.slower)
    grown = Bursts(
        int(before.requests == 0 < after.requests),
        after.errors**2 - before.errors**2,
        tuple(now * now - then * then for then, now in zip(earlier, after.slower, strict=True)),
        {name: n * n - before.failures.get(name, 0) ** 2 for name, n in after.failures.items()},
    )
    return after, grown


def _tails(latency: tuple[int, ...]) -> tuple[int, ...]:
    """Give per upper edge of a cell how many requests are above it."""
    return (*tuple(accumulate(reversed(latency)))[-2::-1], 0)


def _add(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(add, one, other)) if one and other else one or other


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}} if other else one
