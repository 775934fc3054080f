"""Looks at buckets: what they said when there was half as much again to see as at the look before.

Between two looks the same buckets go on collecting, so tests of their sums are no martingales: whoever judged after
each scrape would find something sooner or later. So a look is kept as it was, and each has a part of the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kingmaker.core.counts.buckets import Buckets

FIRST_LOOK: Final = 200
"""Requests, or labelled requests, of all arms."""
GROWTH: Final = 1.5
"""Of their number from look to look."""
KEPT_DECISIONS: Final = 4
"""Decisions of a model whose buckets are kept, the newest."""

ByDecision = Mapping[int, Buckets]
Totals = Mapping[str, ByDecision]
"""Buckets by the start of a model's digest, and by decision."""

_EMPTY: Final = Buckets()
_NOTHING: Final[Totals] = {}


@dataclass(frozen=True, slots=True)
class Look:
    """What the buckets of one arm said at look `number`, counted from 1; 0 before the first."""

    number: int = 0
    buckets: Buckets = field(default_factory=Buckets)


@dataclass(frozen=True, slots=True)
class Looks:
    """The last looks at one arm under one decision: one comes with the number of requests, one with that of labels."""

    requests: Look = Look()
    labels: Look = Look()


NO_LOOKS: Final = Looks()


@dataclass(frozen=True, slots=True)
class SeenBuckets:
    """What was counted by bucket since this operator began to look. It is in memory alone: of processes that ended
    before, an operator that is started anew does not know their counts, which are those of all arms alike.

    `known` is by pod uid: start, what the process said last, and the highest that it ever said.
    """

    sums: Totals = field(default_factory=dict)
    known: Mapping[str, tuple[str, Totals, Totals]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """What one process said: its pod's uid, its start, and its counts."""

    pod_uid: str
    start: str
    buckets: Totals


def kept_decisions(wanted: Iterable[int]) -> frozenset[int]:
    """Give those decisions of a model whose buckets are kept, of the ones that somebody may ask for: the newest."""
    return frozenset(sorted(wanted)[-KEPT_DECISIONS:])


def fold_buckets(
    before: SeenBuckets, looks: Iterable[BucketCounts], *, pods: frozenset[str], wanted: Mapping[str, frozenset[int]]
) -> SeenBuckets:
    """Add what is new in one look at the pods.

    Args:
        before: What was counted before; not modified.
        looks: One per pod that answered.
        pods: Uids of all pods that exist.
        wanted: By the start of a model's digest, the decisions that are kept; see `kept_decisions`.
    """
    sums = {model: dict(_only(by, wanted.get(model, frozenset()))) for model, by in before.sums.items()}
    known = {uid: last for uid, last in before.known.items() if uid in pods}
    for look in looks:
        start, said, last = known.get(look.pod_uid, ("", _NOTHING, _NOTHING))
        last = last if start == look.start else _NOTHING
        if start == look.start and look.buckets is said:
            continue
        highest: dict[str, ByDecision] = {}
        for model, by_decision in look.buckets.items():
            then = last.get(model, {})
            grown = {d: b.since(then.get(d, _EMPTY)) for d, b in _only(by_decision, wanted.get(model, frozenset()))}
            mine = sums.setdefault(model, {})
            for decision, new in grown.items():
                mine[decision] = mine.get(decision, _EMPTY) + new
            # The highest that was ever said: a count that falls and rises again is not counted a second time.
            highest[model] = {d: then.get(d, _EMPTY) + new for d, new in grown.items()}
        known[look.pod_uid] = (look.start, look.buckets, highest)
    return SeenBuckets({model: by for model, by in sums.items() if by}, known)


def take_looks(sums: Totals, decision: int, before: Mapping[str, Looks]) -> Mapping[str, Looks]:
    """Look at the buckets of a decision, where there is enough to see for another look.

    Args:
        sums: What was counted until now.
        decision: Whose arms are looked at.
        before: By the start of a model's digest, its last looks.

    Returns:
        The same, with the looks that came due: one for all arms at once.
    """
    now = {model: by[decision] for model, by in sums.items() if decision in by}
    after = {model: before.get(model, NO_LOOKS) for model in {**before, **now}}
    for kind in ("requests", "labels"):
        last: list[Look] = [getattr(looks, kind) for looks in after.values()]
        seen = sum(_size(look.buckets, kind) for look in last)
        if sum(_size(buckets, kind) for buckets in now.values()) >= (GROWTH * seen if seen else FIRST_LOOK):
            number = 1 + max(look.number for look in last)
            after = {m: replace(x, **{kind: Look(number, _about(kind, now.get(m, _EMPTY)))}) for m, x in after.items()}
    return after


def _about(kind: str, buckets: Buckets) -> Buckets:
    return buckets.about_requests if kind == "requests" else buckets.about_labels


def _size(buckets: Buckets, kind: str) -> int:
    return int((buckets.requests if kind == "requests" else buckets.labelled).sum())


def _only(by_decision: ByDecision, kept: frozenset[int]) -> Iterable[tuple[int, Buckets]]:
    return ((decision, buckets) for decision, buckets in by_decision.items() if decision in kept)
