"""What is measured of two arms of a contest, read from their counts and weighed.

A measure that is a mean per request is a pair of yardsticks; precision, whose denominator the model chooses itself, is
a measure of its own, in `core.contest.precision`. Which measures there are: `core.contest.choice`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from typing_extensions import override

from kingmaker.core.contest.entities import Counts, entity_log_e, units_seen
from kingmaker.core.contest.stretches import Stretch, entities_of
from kingmaker.core.contest.yardsticks import WrongShare, Yardstick
from kingmaker.core.counts.buckets import BUCKETS, Buckets
from kingmaker.core.counts.process import Arm, Shadow
from kingmaker.core.identity import Same
from kingmaker.core.statistics.bounded import (
    ScoredPairs,
    ScoredSplit,
    Scores,
    difference_bounds,
    log_e_below,
    log_e_no_worse,
    log_e_paired_no_worse,
    log_e_paired_worse,
    log_e_worse,
)
from kingmaker.core.statistics.units import Units, log_e_units_below, log_e_units_harm, log_e_units_superior


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
        mine = [_scores(self.challenger, Same(s.challenger)) for s, _ in compared(stretches)]
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
    live = tuple((Same(s.champion), Same(s.challenger), share) for s, share in compared(stretches))
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


def compared(stretches: Sequence[Stretch]) -> Iterator[tuple[Stretch, float]]:
    """Give those of which both arms' labels can be compared, with their share."""
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
