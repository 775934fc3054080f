"""Evidence by entity: what looks at buckets say of a contest in which an entity keeps its model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.buckets import BUCKETS, Buckets
from kingmaker.core.counts.looks import NO_LOOKS, Look, Looks
from kingmaker.core.identity import Same
from kingmaker.core.state import StageRun
from kingmaker.core.statistics.units import Units, Vector, equal_units, log_e_units_differ, look_log_budget

Kind = Literal["requests", "labels"]
Counts = NDArray[np.float64] | NDArray[np.int64]
Read = Callable[[Buckets], tuple[Counts, Counts]]
"""Gives size and score by bucket: what a rate is of, and what is counted of it."""

_MISPLACED: Final = 0.001
"""Part of the requests that may be in buckets that their arm does not own: routers are told one after the other."""
_FIRST: Final = 0.75
"""Part of a stage's budget that is its first run's; few stages have another one."""
_CERTAIN: Final = 690.0
"""Evidence for what can't be chance."""


@dataclass(frozen=True, slots=True)
class Entities:
    """A live run of a contest with affinity, and the last looks at the buckets of its arms.

    `order` is its place among the runs of its stage, counted from 1.
    """

    run: StageRun
    champion: Looks = NO_LOOKS
    challenger: Looks = NO_LOOKS
    order: int = 1

    @property
    def log_budget(self) -> float:
        """The natural logarithm of its part of the stage's budget: most is the first run's, and all sum up to 1."""
        return math.log(_FIRST if self.order == 1 else (1 - _FIRST) / (self.order * (self.order - 1)))

    def look(self, kind: Kind) -> tuple[Look, Look]:
        """Give the last looks at champion and challenger."""
        return getattr(self.champion, kind), getattr(self.challenger, kind)

    def number(self, kind: Kind) -> int:
        """How many looks there were."""
        return max(look.number for look in self.look(kind))

    def owned(self) -> tuple[int, int]:
        """How many buckets champion and challenger own."""
        return BUCKETS * self.run.champion_weight // 100, BUCKETS * self.run.weight // 100

    def places(self, kind: Kind) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give the buckets of champion and challenger, where each has most of its requests: as many as it owns."""
        counts = [look.buckets.requests for look in self.look(kind)]
        fullest = [np.argsort(-c, kind="stable")[:n] for c, n in zip(counts, self.owned(), strict=True)]
        # One that is in both arms is the arm's that has more of it.
        theirs = fullest[0][counts[0][fullest[0]] >= counts[1][fullest[0]]]
        return theirs, fullest[1][counts[1][fullest[1]] > counts[0][fullest[1]]]

    def misplaced(self, kind: Kind) -> float:
        """Give the part of the requests that are in buckets that their arm can't own, 0..1."""
        counts = [look.buckets.requests for look in self.look(kind)]
        total = sum(int(c.sum()) for c in counts)
        placed = sum(int(c[places].sum()) for c, places in zip(counts, self.places(kind), strict=True))
        return 1 - placed / total if total else 0.0

    def units(self, kind: Kind, read: Read, challenger_read: Read) -> Units | None:
        """Give the buckets in which anything has a size; None before the first look.

        Args:
            kind: Of the look.
            read: What is compared, of the champion.
            challenger_read: The same of the challenger.
        """
        if not self.number(kind):
            return None
        return _units(Same(self.champion), Same(self.challenger), self.run, kind, read, challenger_read)

    def make_units(self, kind: Kind, read: Read, challenger_read: Read) -> Units:
        """Make them, for `units`, which remembers them."""
        champion, challenger = self.look(kind)
        theirs, mine = self.places(kind)
        arms = ((read(champion.buckets), theirs), (challenger_read(challenger.buckets), mine))
        size = np.concatenate([s[places].astype(float) for (s, _), places in arms])
        score = np.concatenate([s[places].astype(float) for (_, s), places in arms])
        is_challenger, used = np.arange(len(size)) >= len(theirs), size > 0
        return Units(is_challenger[used], size[used], score[used], self.run.share, sum(self.owned()))


@lru_cache(maxsize=2048)
def _units(
    champion: Same[Looks], challenger: Same[Looks], run: StageRun, kind: Kind, read: Read, challenger_read: Read
) -> Units:
    return Entities(run, champion.value, challenger.value).make_units(kind, read, challenger_read)


def entity_log_e(
    entities: Sequence[Entities],
    kind: Kind,
    read: Read,
    challenger_read: Read,
    test: Callable[[Units], float],
) -> float:
    """Weigh the last looks at some runs; ln E with the budget of the looks taken off, to be compared as any other.

    Runs may have their draw in common, so their evidence is a mean, not a product, by weights that were known before.

    Args:
        entities: Live runs of one stage.
        kind: Which looks.
        read: What is compared, of the champion.
        challenger_read: The same of the challenger.
        test: Gives ln E of one look.
    """
    found = []
    for run in entities:
        units = run.units(kind, read, challenger_read)
        if units is not None:
            found.append(test(units) + look_log_budget(run.number(kind)) + run.log_budget)
    return float(np.logaddexp.reduce(found)) if found else 0.0


def request_share_log_e(run: Entities) -> float:
    """Weigh that requests did not arrive in the designed shares, by bucket."""
    number = run.number("requests")
    if not number:
        return 0.0
    if run.misplaced("requests") > _MISPLACED:
        return _CERTAIN
    filled: list[Vector] = [
        np.concatenate((np.zeros(owned - len(places)), look.buckets.requests[places].astype(float)))
        for look, places, owned in zip(run.look("requests"), run.places("requests"), run.owned(), strict=True)
    ]
    requests: Vector = np.concatenate(filled)
    is_challenger = np.arange(len(requests)) >= len(filled[0])
    units = Units(is_challenger, np.ones(len(requests)), requests, run.run.share, len(requests))
    return log_e_units_differ(units) + look_log_budget(number)


def label_share_log_e(run: Entities) -> float:
    """Weigh that labels come for another part of one arm's requests than of the other's, by bucket."""
    return entity_log_e([replace(run, order=1)], "labels", _labelled, _labelled, log_e_units_differ)


def _labelled(buckets: Buckets) -> tuple[Counts, Counts]:
    return buckets.requests, buckets.labelled


def units_seen(entities: Sequence[Entities], kind: Kind, read: Read) -> tuple[int, int, float]:
    """Count the buckets with anything in them at the last look: the challenger's, the champion's, and how many equal
    ones the smaller side is worth."""
    theirs, mine = (np.concatenate([*sizes, np.zeros(0)]) for sizes in _sizes(entities, kind, read))
    return int((mine > 0).sum()), int((theirs > 0).sum()), min(equal_units(mine), equal_units(theirs))


def _sizes(entities: Sequence[Entities], kind: Kind, read: Read) -> Iterator[list[Vector]]:
    for arm in (0, 1):
        yield [read(run.look(kind)[arm].buckets)[0].astype(float) for run in entities]


def units_words(entities: Sequence[Entities], kind: Kind, read: Read) -> str:
    """Say what the units are, for the rule of a check."""
    mine, theirs, worth = units_seen(entities, kind, read)
    return f"by entity: {mine} groups of entities against {theirs}, the smaller side worth {worth:.0f} equal ones"


def entity_rates(entities: Sequence[Entities], kind: Kind, read: Read) -> tuple[float | None, float | None]:
    """Give score per size of the challenger, and of the champion; None without any."""
    found: list[float | None] = []
    for arm in (1, 0):
        arms = [read(run.look(kind)[arm].buckets) for run in entities]
        size = sum(float(s.sum()) for s, _ in arms)
        found.append(sum(float(s.sum()) for _, s in arms) / size if size else None)
    return found[0], found[1]
