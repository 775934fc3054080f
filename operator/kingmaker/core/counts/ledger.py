"""What was counted so far: sums that survive pods, restarts of servers, and restarts of the operator.

Servers count from their start. The ledger keeps what it saw last of every living process, so each count enters a sum
exactly once, whoever was restarted in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import TypeAdapter

from kingmaker.core.counts.counters import Counters, difference
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.profile import CELL_FAMILIES, Profile, parse_key


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one deployment.

    `totals`: per model digest and sample key, summed over processes. `seen`: per living process, what it said last.
    `watch`: what monitoring remembers about the champion's data.
    """

    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    watch: DataMonitor = DataMonitor()


@dataclass(frozen=True, slots=True)
class Folded:
    """A ledger with new counts in it, and the cell counts that came new, per (model digest, baseline digest)."""

    ledger: Ledger
    cells: Mapping[tuple[str, str], Mapping[str, int]]


def fold(ledger: Ledger, profiles: Iterable[Profile], *, pods: frozenset[str], oldest: int) -> Folded:
    """Add what is new in a scrape.

    Args:
        ledger: What was counted before.
        profiles: One per pod that answered.
        pods: Uids of all pods that exist; what ended pods said last is forgotten (it is in the sums).
        oldest: Counts of decisions before this one are dropped: nobody will ask for them again.
    """
    totals = {digest: Counter(_kept(counts, oldest)) for digest, counts in ledger.totals.items()}
    seen = {process: counts for process, counts in ledger.seen.items() if process.partition("/")[0] in pods}
    cells: dict[tuple[str, str], Counter[str]] = {}
    for profile in profiles:
        before = seen.get(profile.process)
        previous = Counters(profile.start, before) if before is not None else None
        new = difference(previous, Counters(profile.start, profile.counters))
        seen[profile.process] = dict(profile.counters)
        per_cell = cells.setdefault((profile.model_digest, profile.baseline_digest), Counter())
        per_decision = totals.setdefault(profile.model_digest, Counter())
        for key, count in new.items():
            sample = parse_key(key)
            if sample.family in CELL_FAMILIES:
                per_cell[key] += count
            elif sample.decision is not None and sample.decision >= oldest:
                per_decision[key] += count
    kept = {digest: dict(counts) for digest, counts in totals.items() if counts}
    return Folded(replace(ledger, totals=kept, seen=seen), cells)


def _kept(counts: Mapping[str, int], oldest: int) -> dict[str, int]:
    return {key: count for key, count in counts.items() if (parse_key(key).decision or 0) >= oldest}


def has_news(before: Ledger, after: Ledger) -> bool:
    """Tell whether a ledger is worth writing: when rows were counted, or monitoring says something else.

    That time passed is no news: the next complete look covers it all the same, and an idle deployment writes nothing.
    """
    return _substance(before) != _substance(after)


def _substance(ledger: Ledger) -> tuple[object, ...]:
    windows = ledger.watch.windows
    kept = windows and (
        windows.model,
        windows.baseline,
        [(s.length, s.since, [(t.index, t.counts) for t in s.slots if t.counts.rows]) for s in windows.scales],
    )
    return ledger.totals, ledger.seen, replace(ledger.watch, windows=None), kept


_CODEC: Final[TypeAdapter[Ledger]] = TypeAdapter(Ledger)


def dump_ledger(ledger: Ledger) -> str:
    """Canonical JSON of a ledger, as its ConfigMap keeps it."""
    return _CODEC.dump_json(ledger, exclude_defaults=True).decode()


def load_ledger(text: str) -> Ledger:
    """Read a ledger back.

    Raises:
        ValueError: The text is no ledger.
    """
    return _CODEC.validate_json(text)
