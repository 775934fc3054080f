"""Precision as a measure: its denominator is what an arm chose to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from kingmaker.core.contest.entities import Counts, entity_log_e, entity_rates, units_seen
from kingmaker.core.contest.measures import Measure, compared
from kingmaker.core.contest.stretches import Stretch, entities_of
from kingmaker.core.contest.yardsticks import both_cells
from kingmaker.core.counts.buckets import BUCKETS, Buckets
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.statistics.bounded import (
    Hits,
    log_e_rate_no_worse,
    log_e_rate_worse,
)
from kingmaker.core.statistics.sequential import log_e_rate_below
from kingmaker.core.statistics.units import Units, log_e_units_below, log_e_units_harm, log_e_units_superior


@dataclass(frozen=True, slots=True)
class PrecisionMeasure(Measure):
    """The share of the answers "it is of this class" that are right. An arm chooses itself how many there are."""

    of_class: str
    name: str = "precision"
    words: str = "wrong ones among the answers of the class"
    scale: float = 1.0
    is_gain: bool = True

    @override
    def figures(self, stretches: Sequence[Stretch]) -> tuple[int, float | None, float | None]:
        champion, challenger = _added(self._hits(stretches) + self._paired_hits(stretches))
        entities = entities_of(stretches)
        if not entities:
            return challenger.trials, _rate(challenger), _rate(champion)
        n = challenger.trials + units_seen(entities, "labels", self.units)[0]
        return n, *entity_rates(entities, "labels", self.units)

    @override
    def no_worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        live, paired = _added(self._hits(stretches)), _added(self._paired_hits(stretches))
        # Arms of a pair answer the same request, so their factors may be large together. The mean of the root of a
        # product is at most the root of the product of the means: half the evidence is sound.
        return (
            log_e_rate_no_worse(*live, ratio=ratio, margin=margin)
            + log_e_rate_no_worse(*paired, ratio=ratio, margin=margin) / 2
            + self._by_entity(stretches, lambda units: log_e_units_superior(units, ratio=ratio, surplus=margin))
        )

    @override
    def worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        live, paired = _added(self._hits(stretches)), _added(self._paired_hits(stretches))
        return (
            log_e_rate_worse(*live, ratio=ratio, margin=margin)
            + log_e_rate_worse(*paired, ratio=ratio, margin=margin) / 2
            + self._by_entity(stretches, lambda units: log_e_units_harm(units, ratio=ratio, surplus=margin))
        )

    @override
    def below(self, stretches: Sequence[Stretch], limit: float) -> float:
        _, challenger = _added(self._hits(stretches) + self._paired_hits(stretches))
        by_entity = self._by_entity(stretches, lambda units: log_e_units_below(units, limit))
        return by_entity + log_e_rate_below(challenger.events, challenger.trials, limit)

    def _by_entity(self, stretches: Sequence[Stretch], test: Callable[[Units], float]) -> float:
        return entity_log_e(entities_of(stretches), "labels", self.units, self.units, test)

    @override
    def units(self, buckets: Buckets) -> tuple[Counts, Counts]:
        said = [(cell.wrong, n) for cell, n in buckets.classes if cell.predicted == self.of_class]
        none = np.zeros(BUCKETS)
        return sum((n for _, n in said), none), sum((n for is_wrong, n in said if is_wrong), none)

    def _hits(self, stretches: Sequence[Stretch]) -> list[tuple[Hits, Hits]]:
        return [
            (self._arm(s.champion.classes.items()), self._arm(s.challenger.classes.items()))
            for s, _ in compared(stretches)
        ]

    def _paired_hits(self, stretches: Sequence[Stretch]) -> list[tuple[Hits, Hits]]:
        found = []
        for shadow in (s.shadow for s in stretches if not s.run.is_live):
            cells = [(both_cells(c.predicted, c.challenger_predicted, c.true), n) for c, n in shadow.classes.items()]
            found.append(
                (self._arm([(both[0], n) for both, n in cells]), self._arm([(both[1], n) for both, n in cells]))
            )
        return found

    def _arm(self, cells: Iterable[tuple[ClassCell, int]]) -> Hits:
        said = [(cell, n) for cell, n in cells if cell.predicted == self.of_class]
        return Hits(sum(n for cell, n in said if cell.wrong), sum(n for _, n in said))


def _added(hits: Sequence[tuple[Hits, Hits]]) -> tuple[Hits, Hits]:
    champion, challenger = [h for h, _ in hits], [h for _, h in hits]
    return _sum(champion), _sum(challenger)


def _sum(hits: Sequence[Hits]) -> Hits:
    return Hits(sum(h.events for h in hits), sum(h.trials for h in hits))


def _rate(hits: Hits) -> float | None:
    return hits.events / hits.trials if hits.trials else None
