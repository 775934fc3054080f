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
    difference_bounds,
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

    def difference(self, stretches: Sequence[Stretch], alpha: float) -> tuple[float, float] | None:
        """Bound how much more the challenger loses, as people read it, valid at all times; None where it can't be."""
        del stretches, alpha
        return None

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
        mine, theirs = (0, 0.0, 0.0), (0, 0.0, 0.0)
        for stretch in stretches:
            champion, challenger = self._sums(stretch)
            mine, theirs = _plus(mine, challenger), _plus(theirs, champion)
        n, entities = mine[0], entities_of(stretches)
        if entities:
            n += units_seen(entities, "labels", self.challenger.buckets)[0]
        for run in entities:
            theirs = _plus(theirs, _all_of(self.champion, run.champion.labels.buckets))
            mine = _plus(mine, _all_of(self.challenger, run.challenger.labels.buckets))
        return n, _mean(mine), _mean(theirs)

    def _sums(self, stretch: Stretch) -> tuple[_Sums, _Sums]:
        if stretch.run.is_live:
            if stretch.labels_broken or stretch.entities:
                return (0, 0.0, 0.0), (0, 0.0, 0.0)
            return _arm_sums(self.champion, Same(stretch.champion)), _arm_sums(
                self.challenger, Same(stretch.challenger)
            )
        return _pair_sums(self.champion, self.challenger, Same(stretch.shadow))

    @override
    def no_worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        by_entity = self._by_entity(stretches, lambda units: log_e_units_superior(units, ratio=ratio, surplus=margin))
        return by_entity + _weigh(self.champion, self.challenger, seen_of(stretches), ratio, margin, harm=False)

    @override
    def worse(self, stretches: Sequence[Stretch], ratio: float, margin: float) -> float:
        by_entity = self._by_entity(stretches, lambda units: log_e_units_harm(units, ratio=ratio, surplus=margin))
        return by_entity + _weigh(self.champion, self.challenger, seen_of(stretches), ratio, margin, harm=True)

    @override
    def below(self, stretches: Sequence[Stretch], limit: float) -> float:
        mine = [_scores(self.challenger, Same(s.challenger)) for s, _ in _compared(stretches)]
        shadows = [s.shadow for s in stretches if not s.run.is_live]
        mine += [_pair_scores(self.champion, self.challenger, Same(shadow)).sides[1] for shadow in shadows]
        by_entity = self._by_entity(stretches, lambda units: log_e_units_below(units, limit))
        return by_entity + log_e_below(mine, limit)

    @override
    def units(self, buckets: Buckets) -> tuple[Counts, Counts]:
        return self.challenger.buckets(buckets)

    def _by_entity(self, stretches: Sequence[Stretch], test: Callable[[Units], float]) -> float:
        yardsticks = self.champion.buckets, self.challenger.buckets
        return entity_log_e(entities_of(stretches), "labels", *yardsticks, test)

    @override
    def difference(self, stretches: Sequence[Stretch], alpha: float) -> tuple[float, float] | None:
        splits, pairs = _read(self.champion, self.challenger, seen_of(stretches))
        if not splits and not pairs:
            return None
        low, high = (bound * self.scale for bound in difference_bounds(splits, pairs, alpha=alpha))
        return (-high, -low) if self.is_gain else (low, high)


_Sums = tuple[int, float, float]
"""Requests, the sum of their units, and of their losses."""
Seen = tuple[tuple[Same[Arm], Same[Arm], float] | Same[Shadow], ...]
"""What of some stretches is weighed: both arms and the share, or pairs."""


def seen_of(stretches: Sequence[Stretch]) -> Seen:
    """Give what of some stretches is weighed."""
    live = tuple((Same(s.champion), Same(s.challenger), share) for s, share in _compared(stretches))
    return (*live, *(Same(s.shadow) for s in stretches if not s.run.is_live))


def _read(champion: Yardstick, challenger: Yardstick, seen: Seen) -> tuple[list[ScoredSplit], list[ScoredPairs]]:
    splits, pairs = [], []
    for one in seen:
        if isinstance(one, Same):
            pairs.append(_pair_scores(champion, challenger, one))
        else:
            splits.append(ScoredSplit(_scores(champion, one[0]), _scores(challenger, one[1]), one[2]))
    return splits, pairs


# Counts of a stage that is over stay the same objects, so what follows from them is worked out once.
@lru_cache(maxsize=1024)
def _weigh(champion: Yardstick, challenger: Yardstick, seen: Seen, ratio: float, margin: float, *, harm: bool) -> float:
    splits, pairs = _read(champion, challenger, seen)
    on_splits, on_pairs = (log_e_worse, log_e_paired_worse) if harm else (log_e_no_worse, log_e_paired_no_worse)
    live = on_splits(splits, ratio=ratio, margin=margin) if splits else 0.0
    return live + (on_pairs(pairs, ratio=ratio, margin=margin) if pairs else 0.0)


def _compared(stretches: Sequence[Stretch]) -> Iterator[tuple[Stretch, float]]:
    """Those of which both arms' labels can be compared, with their share."""
    for stretch in stretches:
        if stretch.run.is_live and not stretch.labels_broken and not stretch.entities:
            yield stretch, stretch.run.share


def _all_of(yardstick: Yardstick, buckets: Buckets) -> _Sums:
    """Give what an arm lost in all its buckets, for its mean; buckets are counted apart."""
    units, losses = (float(counts.sum()) for counts in yardstick.buckets(buckets))
    return 0, units, losses


def _plus(one: _Sums, other: _Sums) -> _Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _mean(sums: _Sums) -> float | None:
    return sums[2] / sums[1] if sums[1] else None


def _sums_of(scores: Scores) -> _Sums:
    return scores.n, float(scores.counts @ scores.units), float(scores.counts @ scores.losses)


@lru_cache(maxsize=2048)
def _arm_sums(yardstick: Yardstick, arm: Same[Arm]) -> _Sums:
    return _sums_of(_scores(yardstick, arm))


@lru_cache(maxsize=2048)
def _pair_sums(champion: Yardstick, challenger: Yardstick, shadow: Same[Shadow]) -> tuple[_Sums, _Sums]:
    mine, theirs = _pair_scores(champion, challenger, shadow).sides
    return _sums_of(mine), _sums_of(theirs)


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
