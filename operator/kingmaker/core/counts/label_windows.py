"""Labelled requests over sliding windows: how many, and the sum of their scores, from what came new at each look.

Labels say when they come, not when they were due, so a window is of the time at which they came. Each length is kept
as slots of a part of it; a window is its last complete slots. Time in which nothing came is no gap: what labels say
does not depend on when somebody looked. All of it survives JSON, and is bounded by the number of lengths alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from kingmaker.core.statistics.rates import Sample

LABEL_SLOTS: Final = 6
"""Slots per window: a window is judged anew with each, and a slot is three numbers."""
ENOUGH_WINDOWS: Final = 4
"""Windows from which on they are something to compare with."""
_PRIOR_WINDOWS: Final = 7
"""For so many windows counts the belief that scores vary as independent ones do."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tally:
    """`labelled` requests whose scores, each 0..1, add up to `bad`; `late` of them had waited for longer than is usual.

    `answered` requests, of `rows` rows, came in the same time.
    """

    labelled: int = 0
    bad: float = 0.0
    answered: int = 0
    rows: int = 0
    late: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.labelled + other.labelled,
            self.bad + other.bad,
            self.answered + other.answered,
            self.rows + other.rows,
            self.late + other.late,
        )

    @property
    def sample(self) -> Sample:
        """The labelled part."""
        return Sample(float(self.labelled), self.bad)


@dataclass(frozen=True, slots=True)
class LabelSlot:
    """One slot; `index` counts slots since 1970."""

    index: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Quiet:
    """What was seen lately while nothing had risen, up to and with the slot `until`.

    `windows` are disjoint and full, oldest first; `part` are the slots of the one that is not full yet.
    """

    windows: tuple[Tally, ...] = ()
    part: tuple[LabelSlot, ...] = ()
    until: int = -1

    def plus(self, slot: LabelSlot, *, most: int) -> Quiet:
        """With one slot more, and at most the newest `most` windows."""
        part = (*self.part, slot)
        if len(part) < LABEL_SLOTS:
            return replace(self, part=part, until=slot.index)
        window = sum((slot.tally for slot in part), Tally())
        windows = (*self.windows, window)[-most:] if window.labelled else self.windows
        return Quiet(windows, until=slot.index)

    @property
    def sample(self) -> Sample:
        """All of it."""
        tallies = (*self.windows, *(slot.tally for slot in self.part))
        return Sample(float(sum(tally.labelled for tally in tallies)), sum(tally.bad for tally in tallies))

    def dispersion(self, spread: float) -> float | None:
        """Give the variance between windows over that of as many independent answers, right or wrong.

        It grows with the number of labels where what varies is the rate itself, from hour to hour: as many labels are
        expected in the windows to come. What few windows say is drawn to `spread`, as if that had been seen before.

        Args:
            spread: The same of one score by itself, 0..1; less is never believed.

        Returns:
            None while there are few windows.
        """
        if len(self.windows) < ENOUGH_WINDOWS:
            return None
        labelled, bad = sum(w.labelled for w in self.windows), sum(w.bad for w in self.windows)
        rate, freedom = bad / labelled, len(self.windows) - 1
        if not 0 < rate < 1:
            return spread
        squares = sum(w.bad**2 / w.labelled for w in self.windows)
        found = (squares - bad * rate) / (rate * (1 - rate))
        return max(spread, (_PRIOR_WINDOWS * spread + found) / (_PRIOR_WINDOWS + freedom))


@dataclass(frozen=True, slots=True)
class LabelScale:
    """Windows of one `length`: slots oldest first, the running one last, and what was learnt while all was quiet."""

    length: timedelta
    slots: tuple[LabelSlot, ...] = ()
    quiet: Quiet = Quiet()

    @property
    def slot_length(self) -> int:
        """Milliseconds."""
        return max(1, self.length // _MILLISECOND // LABEL_SLOTS)

    def complete(self, current: int, *, shift: int = 0) -> tuple[LabelSlot, ...]:
        """The slots of the newest window that all ended `shift` slots before slot `current` began, or sooner."""
        end = current - shift
        return tuple(slot for slot in self.slots if end - LABEL_SLOTS <= slot.index < end)


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """What one window holds, and what it can be compared with: quiet slots that are not in it."""

    length: timedelta
    tally: Tally
    quiet: Quiet
    before: Sample
    until: datetime


@dataclass(frozen=True, slots=True)
class LabelWindows:
    """Labels of one model's answers in windows of several lengths.

    `model` is its digest, `score` the word for how a labelled request is scored: with another one counting begins anew.
    `since` and `last` are the times of the first and the last look in milliseconds since 1970.
    """

    model: str
    score: str
    since: int
    last: int
    scales: tuple[LabelScale, ...]

    @classmethod
    def going_on(
        cls, previous: LabelWindows | None, *, model: str, score: str, lengths: Sequence[timedelta], now: datetime
    ) -> LabelWindows:
        """Go on with `previous` where it is about this model and score, else start afresh.

        Args:
            previous: What was kept.
            model: Digest of the model.
            score: How requests are scored.
            lengths: Wanted window lengths; new ones begin empty.
            now: Aware.
        """
        if previous is None or (previous.model, previous.score) != (model, score):
            at = milliseconds(now)
            return cls(model, score, at, at, tuple(LabelScale(length) for length in lengths))
        known = {scale.length: scale for scale in previous.scales}
        return replace(previous, scales=tuple(known.get(length, LabelScale(length)) for length in lengths))

    def slot_ended(self, since: int, now: datetime) -> bool:
        """Whether a slot of any length was completed since a time in milliseconds: before, nothing new can be said."""
        at = milliseconds(now)
        return any(at // scale.slot_length != since // scale.slot_length for scale in self.scales)


def advance_labels(windows: LabelWindows, tally: Tally, *, now: datetime) -> LabelWindows:
    """Add what came since the last look.

    Args:
        windows: What was kept; not modified.
        tally: What came new.
        now: Time of this look, aware. A clock that went back counts as standing still.
    """
    at = max(milliseconds(now), windows.last)
    return replace(windows, last=at, scales=tuple(_advance(scale, tally, at) for scale in windows.scales))


def _advance(scale: LabelScale, tally: Tally, at: int) -> LabelScale:
    current = at // scale.slot_length
    # Twice a window: what was answered before is what the labels of now are about.
    kept = [slot for slot in scale.slots if slot.index >= current - 2 * LABEL_SLOTS]
    last = kept.pop() if kept and kept[-1].index == current else LabelSlot(current, Tally())
    return replace(scale, slots=(*kept, replace(last, tally=last.tally + tally)))


def label_windows(windows: LabelWindows) -> Iterator[LabelWindow]:
    """Give the newest complete window of every length, the shortest first."""
    for scale in sorted(windows.scales, key=lambda s: s.length):
        current = windows.last // scale.slot_length
        slots = scale.complete(current)
        inside = sum((slot.tally for slot in slots if slot.index <= scale.quiet.until), Tally())
        yield LabelWindow(
            length=scale.length,
            tally=sum((slot.tally for slot in slots), Tally()),
            quiet=scale.quiet,
            before=scale.quiet.sample.minus(inside.sample),
            until=_EPOCH + current * scale.slot_length * _MILLISECOND,
        )


def label_coverage(windows: LabelWindows, delay: timedelta) -> float | None:
    """Give the part of the requests whose labels came, 0..1, in the longest window.

    Labels of now belong to requests of `delay` ago. None where that was not counted, or nothing was answered then.
    """
    scale = max(windows.scales, key=lambda s: s.length)
    shift = -(-(delay // _MILLISECOND) // scale.slot_length)
    current = windows.last // scale.slot_length
    if shift > LABEL_SLOTS or (current - LABEL_SLOTS - shift) * scale.slot_length < windows.since:
        return None
    answered = sum(slot.tally.answered for slot in scale.complete(current, shift=shift))
    labelled = sum(slot.tally.labelled for slot in scale.complete(current))
    return min(1.0, labelled / answered) if answered else None


def requests_per_row(windows: LabelWindows) -> float:
    """Give how many requests there are to a row, 0..1, in what is kept; 1 where nothing is known."""
    slots = [slot.tally for scale in windows.scales for slot in scale.slots]
    rows = sum(tally.rows for tally in slots)
    return min(1.0, sum(tally.answered for tally in slots) / rows) if rows else 1.0


def requests_per_hour(windows: LabelWindows) -> float:
    """Give how many requests are answered in an hour, as in the longest window; of one that is not full too few."""
    scale = max(windows.scales, key=lambda s: s.length)
    answered = sum(slot.tally.answered for slot in scale.complete(windows.last // scale.slot_length))
    return answered / (scale.length / timedelta(hours=1))


def learn(windows: LabelWindows, *, most: int) -> LabelWindows:
    """Add the newest complete slots to what was seen while all was quiet.

    Args:
        windows: What was kept; not modified.
        most: So many windows of each length are remembered, the newest.
    """
    return replace(windows, scales=tuple(_learn(scale, windows.last, most) for scale in windows.scales))


def _learn(scale: LabelScale, at: int, most: int) -> LabelScale:
    quiet = scale.quiet
    for slot in scale.complete(at // scale.slot_length):
        if slot.index > quiet.until:
            quiet = quiet.plus(slot, most=most)
    return replace(scale, quiet=quiet)


def forget(windows: LabelWindows, length: timedelta) -> LabelWindows:
    """Begin anew with what was learnt at one length: its newest window is what is usual now."""
    scales = tuple(replace(s, quiet=Quiet()) if s.length == length else s for s in windows.scales)
    return replace(windows, scales=scales)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND
