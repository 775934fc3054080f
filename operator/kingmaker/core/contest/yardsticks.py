"""Yardsticks: what requests lost, read from the cells of what labels said."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from kingmaker.core.contest.entities import Counts
from kingmaker.core.contest.losses import ClassLoss, Error
from kingmaker.core.counts.buckets import BUCKETS, Buckets
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.counts.process import WRONG_SHARES, Arm, Shadow

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
