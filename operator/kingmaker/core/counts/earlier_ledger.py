"""Ledgers of the format before `kingmaker.dev/ledger/v2`: counts under the samples' names, cells of every process.

Read once, after an upgrade of the operator, and stored in the present format from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.ledger import Ledger, Seen
from kingmaker.core.counts.process import DecisionCounts
from kingmaker.core.counts.samples import read_samples


@dataclass(frozen=True, slots=True)
class _Earlier:
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    watch: DataMonitor = DataMonitor()


_CODEC: Final[TypeAdapter[_Earlier]] = TypeAdapter(_Earlier)


def read_earlier(text: str) -> Ledger:
    """Carry a ledger over.

    Sums, what was seen of every pod's newest process, and windows go on. The cells that were counted between the last
    look of the old operator and the first of this one are left out: the windows take that time as not observed.

    Raises:
        ValueError: The text is no ledger of that format.
    """
    earlier = _CODEC.validate_json(text)
    seen: dict[str, Seen] = {}
    for process, counts in earlier.seen.items():
        uid, _, start = process.partition("/")
        if uid not in seen or _seconds(start) >= _seconds(seen[uid].start):
            seen[uid] = Seen(start, _by_decision(counts))
    totals = {digest: _by_decision(counts) for digest, counts in earlier.totals.items()}
    return Ledger(totals, seen, None, earlier.watch)


def _by_decision(counts: Mapping[str, int]) -> Mapping[int, DecisionCounts]:
    counted, _ = read_samples((key, count) for key, count in counts.items() if count > 0)
    return counted.own


def _seconds(start: str) -> float:
    try:
        return float(start)
    except ValueError:
        return 0.0
