"""Cell counts over sliding windows, from what came new at each look at the servers.

Each window length is kept as slots of a third of it. A window is its last three *complete* slots, so its length is
exact (a day's window holds one day's season) and each row is tested in at most three windows of one length, which is
what the false-alarm budget assumes. Counts are whole numbers and stay exact. All of it survives JSON.

Of what was counted while nobody looked, such as in twelve hours without an operator, nobody knows when it was: slots
whose ends lie in that time have a gap there, and none of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts, widths_of

SLOTS: Final = 3
"""Slots per window."""

_SMALL_PART: Final = 2
"""Looks that lie further apart than this part of a slot, and not in the same one, leave a gap between them."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot. `index` counts slots since 1970; `covered` milliseconds of it lie between complete looks."""

    index: int
    counts: CellCounts
    covered: int = 0


@dataclass(frozen=True, slots=True)
class Scale:
    """Windows of one `length`. `since`: milliseconds since 1970 from which on slots are filled; slots oldest first."""

    length: timedelta
    since: int
    slots: tuple[Slot, ...] = ()

    @property
    def slot_length(self) -> int:
        """Milliseconds."""
        return max(1, self.length // _MILLISECOND // SLOTS)


@dataclass(frozen=True, slots=True)
class Windows:
    """Counts of one model against one baseline, in windows of several lengths.

    `model` and `baseline` are digests, `empty` is the shape of the counts, `last` the time of the last look in
    milliseconds since 1970, `broken` features with the time when their values were last seen broken, likewise. `phase`
    milliseconds are added to all times that are kept: slots of different deployments end at different moments.
    """

    model: str
    baseline: str
    empty: CellCounts
    last: int
    scales: tuple[Scale, ...]
    broken: tuple[tuple[str, int], ...] = ()
    phase: int = 0

    @classmethod
    def for_baseline(
        cls,
        previous: Windows | None,
        *,
        model: str,
        baseline: Baseline,
        scales: Sequence[timedelta],
        now: datetime,
        phase: int = 0,
    ) -> Windows:
        """Go on with `previous` where it belongs to this model and baseline, else start afresh.

        Window lengths that are new start empty at the last look; those no longer wanted are forgotten.

        Args:
            previous: What was kept; None after a start without a stored ledger.
            model: Digest of the model whose rows are counted.
            baseline: What they are compared with; it says which cells there are.
            scales: Wanted window lengths.
            now: When counting begins, where it begins afresh; aware.
            phase: Milliseconds, 0 or more, by which the ends of slots are shifted, where it begins afresh.
        """
        empty = CellCounts.empty(baseline)
        belongs = previous is not None and (previous.model, previous.baseline) == (model, baseline.digest)
        if previous is None or not belongs or not _is_sound(previous, baseline):
            start = _milliseconds(now) + phase
            kept = tuple(Scale(s, start) for s in scales)
            return cls(model, baseline.digest, empty, start, kept, phase=phase)
        known = {scale.length: scale for scale in previous.scales}
        return replace(previous, scales=tuple(known.get(s, Scale(s, previous.last)) for s in scales))

    def clock(self, moment: datetime) -> int:
        """Give a moment as times are kept here."""
        return _milliseconds(moment) + self.phase

    def moment(self, time: int) -> datetime:
        """Give the moment of a kept time."""
        return _EPOCH + (time - self.phase) * _MILLISECOND

    @property
    def began(self) -> datetime:
        """When the first of the counts began."""
        return self.moment(min((scale.since for scale in self.scales), default=self.last))

    def next_end(self, now: datetime) -> datetime:
        """Give the moment at which the next slot of any length is complete."""
        at = self.clock(now)
        return self.moment(min(((at // s.slot_length) + 1) * s.slot_length for s in self.scales))

    def ended(self, length: timedelta, since: datetime, now: datetime) -> bool:
        """Whether a slot of windows of that length was completed between two moments."""
        before, at = self.clock(since), self.clock(now)
        return any(at // s.slot_length != before // s.slot_length for s in self.scales if s.length == length)

    def slot_ended(self, since: datetime, now: datetime) -> bool:
        """Whether a slot of any length was completed between two moments: before, nothing new can be said."""
        before, at = self.clock(since), self.clock(now)
        return any(at // scale.slot_length != before // scale.slot_length for scale in self.scales)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What one window holds.

    `coverage` is the part of its time, 0..1, that lies between complete looks at the servers; `filled` tells whether
    counting began before the window did; `until` is its end; `broken` names features that were broken during it;
    `slots` are its slots, as begin and end with the counts in between.
    """

    scale: timedelta
    counts: CellCounts
    rows: int
    coverage: float
    filled: bool
    until: datetime
    broken: frozenset[str] = frozenset()
    slots: tuple[tuple[datetime, datetime, CellCounts], ...] = ()


def advance(windows: Windows, *, now: datetime, delta: CellCounts, complete: bool) -> Windows:
    """Add what was counted since the last look.

    Args:
        windows: What was kept; not modified.
        now: Time of this look, aware. A clock that went back counts as standing still.
        delta: New rows since the last look, from all servers that answered.
        complete: Whether every server that exists answered.

    Returns:
        Windows with `delta` in the running slot, without slots that no window needs any more.
    """
    at = max(windows.clock(now), windows.last)
    scales = tuple(_advance_scale(scale, windows.last, at, delta, windows.empty, complete) for scale in windows.scales)
    return replace(windows, last=at, scales=scales)


def mark_broken(windows: Windows, features: Iterable[str], *, now: datetime) -> Windows:
    """Remember that the values of features are broken now, for as long as any window reaches back to it.

    Args:
        windows: What was kept; not modified.
        features: Names of features.
        now: The time of this look, aware.
    """
    at = max(windows.clock(now), windows.last)
    oldest = at - 2 * max((scale.length // _MILLISECOND for scale in windows.scales), default=0)
    broken = {name: time for name, time in windows.broken if time >= oldest} | dict.fromkeys(features, at)
    return replace(windows, broken=tuple(sorted(broken.items())))


def window_counts(
    windows: Windows, scale: timedelta, now: datetime, *, running: bool = False, span: int = SLOTS
) -> WindowCounts:
    """Give the newest window of one length.

    Args:
        windows: What was kept.
        scale: Its length, one of those kept.
        now: Decides which slots are complete.
        running: Let the running slot be the last one: newer, but shorter, and it changes with each look.
        span: How many slots to take, 1 to 3.

    Raises:
        KeyError: No windows of that length are kept.
    """
    kept = next((s for s in windows.scales if s.length == scale), None)
    if kept is None:
        message = f"no windows of {scale} are kept, only of {', '.join(str(s.length) for s in windows.scales)}"
        raise KeyError(message)
    at, length = max(windows.clock(now), windows.last), kept.slot_length
    end = at // length + running
    start = (end - span) * length
    slots = [slot for slot in kept.slots if end - span <= slot.index < end]
    counts = sum((slot.counts for slot in slots), windows.empty)
    until = min(at, end * length)
    return WindowCounts(
        scale=scale,
        counts=counts,
        rows=counts.rows,
        coverage=sum(slot.covered for slot in slots) / max(1, until - start),
        filled=kept.since <= start,
        until=windows.moment(until),
        broken=frozenset(name for name, time in windows.broken if time >= start),
        slots=tuple(
            (windows.moment(slot.index * length), windows.moment((slot.index + 1) * length), slot.counts)
            for slot in slots
        ),
    )


def _advance_scale(scale: Scale, last: int, now: int, delta: CellCounts, empty: CellCounts, complete: bool) -> Scale:
    length = scale.slot_length
    current = now // length
    oldest = current - SLOTS
    slots = {slot.index: slot for slot in scale.slots if slot.index >= oldest}
    # What was counted over the end of a slot belongs to neither, unless it is a small part of the newest.
    gap = current != last // length and now - last > length // _SMALL_PART
    # Complete looks cover the time between them.
    for index in range(max(oldest, last // length), current + 1) if complete and not gap else ():
        slot = slots.get(index, Slot(index, empty))
        covered = max(0, min(now, (index + 1) * length) - max(last, index * length))
        slots[index] = replace(slot, covered=slot.covered + covered)
    slot = slots.get(current, Slot(current, empty))
    slots[current] = slot if gap or delta.is_empty else replace(slot, counts=slot.counts + delta)
    return replace(scale, slots=tuple(slots[index] for index in sorted(slots)))


def _is_sound(windows: Windows, baseline: Baseline) -> bool:
    """Whether kept counts have the baseline's shape: they were stored outside, and a wrong one must not stop us."""
    widths = widths_of(baseline)
    kept = [windows.empty, *(slot.counts for scale in windows.scales for slot in scale.slots)]
    return all(counts.widths == widths for counts in kept)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
