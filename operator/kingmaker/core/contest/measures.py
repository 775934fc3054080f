"""What is measured of two arms of a contest, read from their counts and weighed.

A measure that is a mean per request is a pair of yardsticks; precision, whose denominator the model chooses itself, is
a measure of its own. Which measures there are: `core.contest.choice`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from typing_extensions import override

from kingmaker.core.contest.entities import Counts, entity_log_e, entity_rates, units_seen
from kingmaker.core.contest.losses import ClassLoss, Error
from kingmaker.core.contest.stretches import Stretch, entities_of
from kingmaker.core.counts.buckets import BUCKETS, Buckets
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.counts.process import WRONG_SHARES, Arm, Shadow
from kingmaker.core.identity import Same
from kingmaker.core.statistics.bounded import (
    Hits,
    ScoredPairs,
    ScoredSplit,
    Scores,
    log_e_below,
    log_e_no_worse,
    log_e_paired_no_worse,
    log_e_paired_worse,
    log_e_rate_no_worse,
    log_e_rate_worse,
    log_e_worse,
)
from kingmaker.core.statistics.sequential import log_e_rate_below
from kingmaker.core.statistics.units import Units, log_e_units_below, log_e_units_harm, log_e_units_superior

Rows = Sequence[tuple[float, float, int]]
PairRows = Sequence[tuple[float, float, float, int]]


class Yardstick(ABC):
    """Says what requests lost: one entry of (loss, unit, requests) per cell of what labels said."""

    @abstractmethod
    def arm(self, arm: Arm) -> Rows:
        """Read an arm."""

    @abstractmethod
    def buckets(self, buckets: Buckets) -> tuple[Counts, Counts]:
        """Read an arm by bucket: units, and what was lost in them; no units where buckets do not tell."""

    @abstractmethod
    def pair(self, shadow: Shadow, other: Yardstick) -> PairRows:
        """Read requests that both arms answered: (champion's loss, challenger's by `other`, unit, requests)."""


@dataclass(frozen=True, slots=True)
class WrongShare(Yardstick):
    """The share of a request's rows that were wrong."""

    @override
    def arm(self, arm: Arm) -> Rows:
        return [(share, 1.0, n) for share, n in zip(WRONG_SHARES, arm.judged, strict=True)]

    @override
    def buckets(self, buckets: Buckets) -> tuple[Counts, Counts]:
        return buckets.labelled, buckets.wrong

    @override
    def pair(self, shadow: Shadow, other: Yardstick) -> PairRows:
        return [(cell.wrong, cell.challenger_wrong, 1.0, n) for cell, n in shadow.judged.items()]


@dataclass(frozen=True, slots=True)
class ByClass(Yardstick):
    """A loss by classes, of the drawn row. `paired`: it needs no score, which pairs don't have."""

    loss: ClassLoss
    paired: bool = True

    @override
    def arm(self, arm: Arm) -> Rows:
        return [(*self.loss(cell), n) for cell, n in arm.classes.items()]

    @override
    def buckets(self, buckets: Buckets) -> tuple[Counts, Counts]:
        # By bucket the cells of a score are not counted, as they are not of pairs.
        cells = [(self.loss(ClassCell("", *cell)), n) for cell, n in buckets.classes] if self.paired else []
        units, losses = np.zeros(BUCKETS), np.zeros(BUCKETS)
        for (loss, unit), n in cells:
            units, losses = units + unit * n, losses + loss * n
        return units, losses

    @override
    def pair(self, shadow: Shadow, other: Yardstick) -> PairRows:
        assert isinstance(other, ByClass)
        if not self.paired:
            return []
        found = []
        for cell, n in shadow.classes.items():
            mine, theirs = both_cells(cell.predicted, cell.challenger_predicted, cell.true)
            loss, unit = self.loss(mine)
            found.append((loss, other.loss(theirs)[0], unit, n))
        return found


def both_cells(predicted: str, challenger_predicted: str, true: str) -> tuple[ClassCell, ClassCell]:
    """Give the cells of both arms of a pair. Of two classes without a name nobody knows more than that: they agree."""
    champion = ClassCell("", predicted, true, wrong=predicted != true)
    return champion, ClassCell("", challenger_predicted, true, wrong=challenger_predicted != true)


@dataclass(frozen=True, slots=True)
class ByError(Yardstick):
    """A loss by how far the number of the drawn row was off."""

    loss: Error

    @override
    def arm(self, arm: Arm) -> Rows:
        return [(self.loss(cell.error), 1.0, n) for cell, n in arm.losses.items()]

    @override
    def buckets(self, buckets: Buckets) -> tuple[Counts, Counts]:
        units, losses = np.zeros(BUCKETS), np.zeros(BUCKETS)
        for cell, n in buckets.errors:
            units, losses = units + n, losses + self.loss(cell) * n
        return units, losses

    @override
    def pair(self, shadow: Shadow, other: Yardstick) -> PairRows:
        cells = shadow.losses.items()
        return [(self.loss(c.error), self.loss(c.challenger_error), 1.0, n) for c, n in cells]


class Measure(ABC):
    """What is compared. Evidence is about losses in 0..1; `scale` times a loss, or 1 less it, is what people read."""

    name: str
    """Of its check."""
    words: str
    """What is compared, in a sentence."""
    scale: float
    is_gain: bool
    """Whether people read it as 1 less the loss: more of it is better."""

    @abstractmethod
    def figures(self, stretches: Sequence[Stretch]) -> tuple[int, float | None, float | None]:
        """Give the challenger's requests that it is about, its mean loss, and the champion's; None without any."""

    @abstractmethod
    def no_worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        """Weigh that the challenger loses less than `ratio` times the champion's loss plus `margin`; ln E."""

    @abstractmethod
    def worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        """Weigh that it loses more than that."""

    @abstractmethod
    def below(self, stretches: Sequence[Stretch], limit: float) -> float:
        """Weigh that the challenger loses less than `limit`."""

    def units(self, buckets: Buckets) -> tuple[Counts, Counts]:
        """Give the challenger's units by bucket, and what was lost in them; none where buckets do not tell."""
        del buckets
        return np.zeros(BUCKETS), np.zeros(BUCKETS)

    def shown(self, loss: float | None) -> float | None:
        """Give a mean loss as people read it."""
        if loss is None:
            return None
        return 1 - loss if self.is_gain else self.scale * loss

    def loss_of(self, shown: float) -> float:
        """Give a figure that people said as a loss, 0..1."""
        loss = 1 - shown if self.is_gain else shown / self.scale
        return min(max(loss, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class MeanMeasure(Measure):
    """A mean per request. Each arm has its yardstick: the cells of a score are those of the model that predicted."""

    champion: Yardstick = WrongShare()
    challenger: Yardstick = WrongShare()
    name: str = "wrongAnswers"
    words: str = "wrong answers"
    scale: float = 1.0
    is_gain: bool = False

    @override
    def figures(self, stretches: Sequence[Stretch]) -> tuple[int, float | None, float | None]:
        splits, pairs = self._splits(stretches), self._pairs(stretches)
        mine = [s.challenger for s in splits] + [p.sides[1] for p in pairs]
        theirs = [s.champion for s in splits] + [p.sides[0] for p in pairs]
        n, entities = sum(s.n for s in mine), entities_of(stretches)
        if entities:
            n += units_seen(entities, "labels", self.challenger.buckets)[0]
            theirs += [_all_of(self.champion, run.champion.labels.buckets) for run in entities]
            mine += [_all_of(self.challenger, run.challenger.labels.buckets) for run in entities]
        return n, _mean(mine), _mean(theirs)

    @override
    def no_worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        splits, pairs = self._splits(stretches), self._pairs(stretches)
        live = log_e_no_worse(splits, ratio=ratio, margin=margin) if splits else 0.0
        live += self._by_entity(stretches, lambda units: log_e_units_superior(units, ratio=ratio, surplus=margin))
        return live + (log_e_paired_no_worse(pairs, ratio=ratio, margin=margin) if pairs else 0.0)

    @override
    def worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        splits, pairs = self._splits(stretches), self._pairs(stretches)
        live = log_e_worse(splits, ratio=ratio, margin=margin) if splits else 0.0
        live += self._by_entity(stretches, lambda units: log_e_units_harm(units, ratio=ratio, surplus=margin))
        return live + (log_e_paired_worse(pairs, ratio=ratio, margin=margin) if pairs else 0.0)

    @override
    def below(self, stretches: Sequence[Stretch], limit: float) -> float:
        pairs = [p.sides[1] for p in self._pairs(stretches)]
        by_entity = self._by_entity(stretches, lambda units: log_e_units_below(units, limit))
        return by_entity + log_e_below([s.challenger for s in self._splits(stretches)] + pairs, limit)

    @override
    def units(self, buckets: Buckets) -> tuple[Counts, Counts]:
        return self.challenger.buckets(buckets)

    def _by_entity(self, stretches: Sequence[Stretch], test: Callable[[Units], float]) -> float:
        yardsticks = self.champion.buckets, self.challenger.buckets
        return entity_log_e(entities_of(stretches), "labels", *yardsticks, test)

    def _splits(self, stretches: Sequence[Stretch]) -> list[ScoredSplit]:
        return [
            ScoredSplit(_scores(self.champion, Same(s.champion)), _scores(self.challenger, Same(s.challenger)), share)
            for s, share in _compared(stretches)
        ]

    def _pairs(self, stretches: Sequence[Stretch]) -> list[ScoredPairs]:
        shadows = (s.shadow for s in stretches if not s.run.is_live)
        read = (_pair_scores(self.champion, self.challenger, Same(shadow)) for shadow in shadows)
        return [pairs for pairs in read if len(pairs.counts)]


def _compared(stretches: Sequence[Stretch]) -> Iterator[tuple[Stretch, float]]:
    """Those of which both arms' labels can be compared, with their share."""
    for stretch in stretches:
        if stretch.run.is_live and not stretch.labels_broken and not stretch.entities:
            yield stretch, stretch.run.share


def _all_of(yardstick: Yardstick, buckets: Buckets) -> Scores:
    """Give what an arm lost in all its buckets as one cell, for its mean."""
    units, losses = (float(counts.sum()) for counts in yardstick.buckets(buckets))
    return Scores(np.array([losses / units if units else 0.0]), np.ones(1), np.array([units]))


def _mean(scores: Sequence[Scores]) -> float | None:
    units = sum(float(s.counts @ s.units) for s in scores)
    return sum(float(s.counts @ s.losses) for s in scores) / units if units else None


@lru_cache(maxsize=2048)
def _scores(yardstick: Yardstick, arm: Same[Arm]) -> Scores:
    return Scores.of(yardstick.arm(arm.value))


@lru_cache(maxsize=2048)
def _pair_scores(champion: Yardstick, challenger: Yardstick, shadow: Same[Shadow]) -> ScoredPairs:
    return ScoredPairs.of(champion.pair(shadow.value, challenger))


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
            for s, _ in _compared(stretches)
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


@dataclass(frozen=True, slots=True)
class NoMeasure(Measure):
    """Stands for a measure that can't be made here; `why` says what is missing. It never speaks."""

    why: str
    name: str
    words: str = "what was asked for"
    scale: float = 1.0
    is_gain: bool = False

    @override
    def figures(self, stretches: Sequence[Stretch]) -> tuple[int, float | None, float | None]:
        return 0, None, None

    @override
    def no_worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        return 0.0

    @override
    def worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        return 0.0

    @override
    def below(self, stretches: Sequence[Stretch], limit: float) -> float:
        return 0.0


ERROR_RATE: Final = MeanMeasure()
"""The measure where people chose none."""
