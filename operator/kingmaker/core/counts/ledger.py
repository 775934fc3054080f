"""What was counted so far: sums that survive pods, restarts of servers, and restarts of the operator.

Servers count from their start. The ledger remembers what it saw last of the newest process of every pod, so each count
enters a sum once, whoever was restarted in between. It lives in the operator's memory and is stored now and then:
sums and what was seen always together. So whoever starts from a stored ledger finds what was counted since in the
processes that still run, and counts nothing twice. What can be lost:

- what a process counted after the last look at it, when it ends: at most one interval of looks;
- when the operator ends too, what a process that ended before the next look had counted since the ledger was stored;
- in that case also the cells that the other processes counted in that time, since of cells only the sum over the
  processes is stored. Windows take that time as not observed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from kingmaker.core.counts.bursts import Slot, fill
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.findings import Severity
from kingmaker.core.counts.labels import fold_labels
from kingmaker.core.counts.looks import NO_LOOKS, BucketCounts, SeenBuckets, fold_buckets, kept_decisions, take_looks
from kingmaker.core.counts.performance_monitor import PerformanceMonitor
from kingmaker.core.counts.process import DecisionCounts, ProcessCounts, news_of, start_of
from kingmaker.core.counts.seen_cells import CellDelta, CellsOf, SeenCells, fold_cells

Totals = Mapping[str, Mapping[int, DecisionCounts]]
"""Counts per model digest and decision, summed over pods and restarts."""

Wanted = Mapping[str, Collection[int]]
"""Per model digest the decisions whose counts somebody may still ask for."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Final = DecisionCounts()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the newest process of a pod said last, of the decisions that are wanted: of its own model, and what labels
    said there of other models' answers, by their digest. `slots` are those that the last news fell into, by
    decision."""

    start: str
    by_decision: Mapping[int, DecisionCounts] = field(default_factory=dict)
    others: Mapping[str, Mapping[int, DecisionCounts]] = field(default_factory=dict)
    slots: Mapping[int, Slot] = field(default_factory=dict)


_NOT_SEEN: Final = Seen("")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one deployment.

    `seen` is by pod uid. `cells` is about the champion's pods alone: only its data is watched. `watch` is what
    monitoring remembers about that data. `labels` is what all pods said last of labels of the champion's answers, under
    whatever decision, and `performance` what monitoring remembers about those. `stored` tells when this ledger, or an
    earlier one, was written last, and `unsaved` whether something was counted or found out since. `buckets` is in
    memory alone; the looks at them are in `totals`.
    """

    totals: Totals = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    cells: SeenCells | None = None
    watch: DataMonitor = DataMonitor()
    labels: SeenCells | None = None
    performance: PerformanceMonitor = PerformanceMonitor()
    stored: datetime | None = None
    unsaved: bool = False
    buckets: SeenBuckets = SeenBuckets()


@dataclass(frozen=True, slots=True)
class Folded:
    """A ledger with new counts in it, and what came new: rows per cell, and labels of the champion's answers."""

    ledger: Ledger
    cells: CellDelta
    labels: CellDelta


def fold(
    ledger: Ledger,
    looks: Iterable[ProcessCounts],
    *,
    pods: frozenset[str],
    wanted: Wanted,
    watched: CellsOf | None,
    slot: int | None = None,
    champion: str = "",
) -> Folded:
    """Add what is new in one look at the pods.

    Args:
        ledger: What was counted before; not modified.
        looks: One per pod that answered.
        pods: Uids of all pods that exist; what ended pods said last is forgotten (it is in the sums).
        wanted: All other decisions and models are left out, and forgotten: nobody will ask for them again.
        watched: Whose cells are wanted, None for nobody's.
        slot: The slot of time in which this look took place; None: each look is one of its own.
        champion: Digest of the model whose labels are watched, empty for nobody's.
    """
    looks = tuple(looks)
    totals = {d: {n: c for n, c in counts.items() if n in wanted.get(d, ())} for d, counts in ledger.totals.items()}
    seen = {uid: process for uid, process in ledger.seen.items() if uid in pods}
    known = {uid: process.start for uid, process in seen.items()}
    for look in looks:
        before = seen.get(look.pod_uid)
        seen[look.pod_uid] = _fold_process(before, look, totals, wanted, slot)
    cells, delta = fold_cells(ledger.cells, looks, pods=pods, known=known, watched=watched)
    buckets = _fold_buckets(ledger.buckets, looks, pods, wanted)
    _look_at_buckets(buckets, totals, wanted)
    labels, labelled = fold_labels(ledger.labels, looks, pods=pods, known=known, champion=champion)
    kept = {digest: counts for digest, counts in totals.items() if counts}
    after = replace(ledger, totals=kept, seen=seen, cells=cells, labels=labels, buckets=buckets)
    return Folded(after, delta, labelled)


def _fold_buckets(
    before: SeenBuckets, looks: Sequence[ProcessCounts], pods: frozenset[str], wanted: Wanted
) -> SeenBuckets:
    if not before.sums and not any(look.buckets for look in looks):
        return before
    said = (BucketCounts(look.pod_uid, look.start, look.buckets) for look in looks)
    return fold_buckets(before, said, pods=pods, wanted={start_of(d): kept_decisions(n) for d, n in wanted.items()})


def _look_at_buckets(buckets: SeenBuckets, totals: dict[str, dict[int, DecisionCounts]], wanted: Wanted) -> None:
    """Look at the buckets of the newest decisions where that is due; of older ones the looks are forgotten."""
    for digest, counts in totals.items():
        kept = kept_decisions(wanted.get(digest, ()))
        for decision, counted in counts.items():
            if counted.looks != NO_LOOKS and decision not in kept:
                counts[decision] = replace(counted, looks=NO_LOOKS)
    for decision in {decision for by_decision in buckets.sums.values() for decision in by_decision}:
        arms = {start_of(digest): counts for digest, counts in totals.items() if decision in counts}
        after = take_looks(buckets.sums, decision, {model: counts[decision].looks for model, counts in arms.items()})
        for model, counts in arms.items():
            if after[model] is not counts[decision].looks:
                counts[decision] = replace(counts[decision], looks=after[model])


def _fold_process(
    before: Seen | None,
    look: ProcessCounts,
    totals: dict[str, dict[int, DecisionCounts]],
    wanted: Wanted,
    slot: int | None,
) -> Seen:
    earlier = before if before and before.start == look.start else _NOT_SEEN
    own = _fold_model(earlier.by_decision, look.by_decision, look.model_digest, totals, wanted)
    counted = {digest: look.others.get(start_of(digest), {}) for digest in wanted if look.others}
    others = {
        digest: _fold_model(earlier.others.get(digest, {}), counts, digest, totals, wanted)
        for digest, counts in counted.items()
        if counts
    }
    others = {digest: counts for digest, counts in others.items() if counts}
    if before and before.start == look.start and (own, others) == (before.by_decision, before.others):
        return before
    sums = totals.get(look.model_digest, {})
    return Seen(look.start, own, others, _fold_slots(earlier, own, sums, slot))


def _fold_slots(
    earlier: Seen, own: Mapping[int, DecisionCounts], sums: dict[int, DecisionCounts], slot: int | None
) -> Mapping[int, Slot]:
    """Put what came new of a process into the slot of this look, and the sums of squares into those of its model."""
    slots: dict[int, Slot] = {}
    for decision, counts in own.items():
        before = earlier.by_decision.get(decision, _NOTHING)
        known = earlier.slots.get(decision)
        if counts != before:
            known, grown = fill(known, news_of(counts.since(before)), slot)
            sums[decision] = replace(sums[decision], bursts=sums[decision].bursts + grown)
        if known and known.index == slot:
            slots[decision] = known
    return slots


def _fold_model(
    earlier: Mapping[int, DecisionCounts],
    counted: Mapping[int, DecisionCounts],
    digest: str,
    totals: dict[str, dict[int, DecisionCounts]],
    wanted: Wanted,
) -> Mapping[int, DecisionCounts]:
    """Add what a process counted about one model since it was last seen; give what was seen now."""
    decisions = wanted.get(digest, ())
    current = {n: counts for n, counts in counted.items() if n in decisions}
    sums = totals.setdefault(digest, {})
    for decision, counts in current.items():
        if counts == earlier.get(decision):
            continue
        new = counts.since(earlier.get(decision, _NOTHING))
        sums[decision] = sums.get(decision, _NOTHING) + new
        # The highest that was ever said: a count that falls and rises again is not counted a second time.
        current[decision] = earlier.get(decision, _NOTHING) + new
    return current


def note_news(before: Ledger, after: Ledger) -> Ledger:
    """Say in `after` whether it holds something that `before`, the ledger of the last look, did not.

    That time passed is no news: the next complete look covers it all the same, and an idle deployment stores nothing.
    Nor is it that processes began of which nothing was counted yet.
    """
    if after.unsaved or (_is_blank(before) and _is_blank(after)):
        return after
    return replace(after, unsaved=_substance(before) != _substance(after))


def is_due(ledger: Ledger, *, now: datetime, interval: timedelta, decided: bool) -> bool:
    """Whether to store the ledger now: with a decision, with a completed slot of a window, else once per `interval`.

    Never when there is nothing new to store. Intervals begin with the phase of the windows, not with the last storing:
    else all deployments whose slots end together were stored together from then on.

    Args:
        ledger: With the counts of this pass.
        now: The time of this pass, aware.
        interval: The longest time for which new counts may be in memory alone.
        decided: Whether this pass records a decision.
    """
    windows = ledger.watch.windows
    last = ledger.stored or (windows.began if windows else None)
    if not ledger.unsaved:
        return False
    if decided or last is None or now < last:
        return True
    phase = timedelta(milliseconds=windows.phase if windows else 0)
    begun = [(moment - _EPOCH + phase) // interval for moment in (last, now)]
    return begun[0] != begun[1] or (windows is not None and windows.slot_ended(last, now))


def _is_blank(ledger: Ledger) -> bool:
    """Whether nothing was counted or found out: a new ledger is as good."""
    windows = ledger.watch.windows
    slots = (slot for scale in (windows.scales if windows else ()) for slot in scale.slots)
    # What is Unknown for want of rows is found again by whoever begins anew.
    is_found = any(finding.severity is not Severity.UNKNOWN for finding in ledger.watch.findings)
    nothing = not ledger.totals and not is_found and not ledger.performance.is_fed
    return nothing and all(slot.counts.is_empty for slot in slots)


def _substance(ledger: Ledger) -> tuple[object, ...]:
    """What is worth storing, as values that can be compared."""
    windows = ledger.watch.windows
    kept = windows and (
        windows.model,
        windows.baseline,
        windows.broken,
        [(s.length, s.since, [(t.index, t.counts) for t in s.slots if not t.counts.is_empty]) for s in windows.scales],
    )
    # An evaluation that changed nothing is repeated after a restart, with the same result.
    findings = tuple(f for f in ledger.watch.findings if f.severity is not Severity.UNKNOWN)
    said = replace(ledger.watch, windows=None, evaluated_at=None, findings=findings)
    return ledger.totals, said, kept, ledger.performance.substance
