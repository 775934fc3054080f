"""The ledger as it is stored: a text that fits into a ConfigMap, whatever the deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from pydantic import TypeAdapter

from kingmaker.core.counts.earlier_ledger import read_earlier
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.looks import NO_LOOKS, Look, Looks, SeenBuckets
from kingmaker.core.counts.process import DecisionCounts
from kingmaker.core.counts.windows import Scale, Windows

LIMIT: Final = 598 * 1024
"""Largest text as a string in JSON, in bytes: with its head a ConfigMap stays below 600 KiB. It could hold 1 MiB, but
whoever applies it sends all of it."""

_FORMAT: Final = "kingmaker.dev/ledger/v2"


@dataclass(frozen=True, slots=True)
class _Stored:
    format: Literal["kingmaker.dev/ledger/v2"]
    ledger: Ledger


_CODEC: Final[TypeAdapter[_Stored]] = TypeAdapter(_Stored)
_ANY: Final[TypeAdapter[dict[str, object]]] = TypeAdapter(dict[str, object])


def dump_ledger(ledger: Ledger) -> str:
    """Give the text of a ledger, at most `LIMIT` bytes.

    Where it would be longer, the shortest windows are left out, then what was learnt from all of them, then the other
    windows, then the sum of the cells: who reads the text after a crash begins them anew, and the shortest is full
    again soonest. Then go the looks at buckets of all but the newest decisions. Last, and only with thousands of cells
    of labels per pod, these are left out: after a crash they begin with what the processes that still run say; so do
    the last looks, of which the number is kept. The other sums of decisions are never left out.
    """
    text = ""
    for candidate in _ever_less(ledger):
        text = _dump(candidate)
        if len(text.encode()) + text.count('"') + text.count("\\") <= LIMIT:
            break
    return text


def _ever_less(ledger: Ledger) -> Iterator[Ledger]:
    cells, labels = (seen.at_rest() if seen else None for seen in (ledger.cells, ledger.labels))
    ledger = replace(ledger, cells=cells, labels=labels, unsaved=False, buckets=SeenBuckets())
    yield ledger
    windows = ledger.watch.windows
    for length in sorted(scale.length for scale in windows.scales) if windows else ():
        assert windows is not None
        windows = _without(windows, length)
        ledger = replace(ledger, watch=replace(ledger.watch, windows=windows))
        yield ledger
        ledger = replace(ledger, watch=replace(ledger.watch, learnt=()))
        yield ledger
    ledger = replace(ledger, cells=None)
    yield ledger
    ledger = _newest_looks(ledger)
    yield ledger
    totals = {digest: _without_cells(counts) for digest, counts in ledger.totals.items()}
    # What was seen must go with the sums: the next look then counts each process from its start, and nothing twice.
    seen = {
        uid: replace(
            process,
            by_decision=_without_cells(process.by_decision),
            others={digest: _without_cells(counts) for digest, counts in process.others.items()},
        )
        for uid, process in ledger.seen.items()
    }
    ledger = replace(ledger, totals=totals, seen=seen)
    yield ledger
    yield _look_numbers(ledger)


def _newest_looks(ledger: Ledger) -> Ledger:
    """Keep the looks at buckets of every model's newest decision alone."""
    totals = {
        digest: {d: c if d == max(counts) else replace(c, looks=NO_LOOKS) for d, c in counts.items()}
        for digest, counts in ledger.totals.items()
    }
    return replace(ledger, totals=totals)


def _look_numbers(ledger: Ledger) -> Ledger:
    """Keep of looks at buckets how many there were: what they had of the budget stays spent."""

    def bare(looks: Looks) -> Looks:
        return Looks(Look(looks.requests.number), Look(looks.labels.number))

    totals = {
        digest: {d: replace(c, looks=bare(c.looks)) for d, c in counts.items()}
        for digest, counts in ledger.totals.items()
    }
    return replace(ledger, totals=totals)


def _without_cells(counts: Mapping[int, DecisionCounts]) -> Mapping[int, DecisionCounts]:
    return {decision: counted.without_cells() for decision, counted in counts.items()}


def _without(windows: Windows, length: timedelta) -> Windows:
    scales = tuple(Scale(s.length, windows.last) if s.length == length else s for s in windows.scales)
    return replace(windows, scales=scales)


def _dump(ledger: Ledger) -> str:
    return _CODEC.dump_json(_Stored(_FORMAT, ledger), exclude_defaults=True).decode()


def load_ledger(text: str) -> Ledger:
    """Read a ledger back, also one of the earlier format.

    Raises:
        ValueError: The text is no ledger.
    """
    document = _ANY.validate_json(text)
    if "format" not in document:
        return read_earlier(text)
    return _CODEC.validate_json(text).ledger
