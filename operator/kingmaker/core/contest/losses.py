"""What a request lost, from 0 to 1: by the classes that were predicted and true, or by how far a number was off.

Each loss is a value that can be called with a cell of labels. It gives the loss, and the unit that it is about: 1, or 0
for a request that the measure does not concern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kingmaker.core.counts.labelled import ClassCell, error_upper

_LEAST_CHANCE: Final = 0.001
"""Probabilities nearer to 0 count as this in a log loss: one answer that was wrong and sure decides nothing alone."""
HIGHEST_LOG_LOSS: Final = -math.log(_LEAST_CHANCE)
_HALF_CELL: Final = 2**-0.25
"""From the upper edge of a cell of errors to its middle."""


class ClassLoss(Protocol):
    """A loss by classes."""

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit, both 0..1."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer costs, divided by `highest`.

    `confusions` are single costs by (true, predicted); without one of its own a wrong answer costs `false_negative`
    where `positive` was true, `false_positive` where it was predicted, else `otherwise`.
    """

    positive: str
    false_negative: float
    false_positive: float
    otherwise: float
    confusions: tuple[tuple[str, str, float], ...] = ()

    @property
    def highest(self) -> float:
        """The highest cost."""
        stated = (self.false_negative, self.false_positive, self.otherwise, *(cost for *_, cost in self.confusions))
        return max(stated)

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit."""
        return self._cost(cell) / self.highest, 1.0

    def _cost(self, cell: ClassCell) -> float:
        if not cell.wrong:
            return 0.0
        for true, predicted, cost in self.confusions:
            if (true, predicted) == (cell.true, cell.predicted):
                return cost
        if self.positive and cell.true == self.positive:
            return self.false_negative
        return self.false_positive if self.positive and cell.predicted == self.positive else self.otherwise


@dataclass(frozen=True, slots=True)
class Missed:
    """1 for a request of the class that was taken for another one; other requests are not its concern."""

    of_class: str

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit."""
        concerned = float(cell.true == self.of_class)
        return concerned * cell.wrong, concerned


@dataclass(frozen=True, slots=True)
class Balanced:
    """1 divided by how frequent the class is, for a wrong answer, and by the `highest` of that.

    Args:
        shares: Of every class in the reference, > 0. A class that it lacks weighs as much as its rarest.
    """

    shares: tuple[tuple[str, float], ...]

    @property
    def highest(self) -> float:
        """Balanced error of an answer to the rarest class."""
        return 1 / (len(self.shares) * min(share for _, share in self.shares))

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit."""
        rarest = min(share for _, share in self.shares)
        return float(cell.wrong) * rarest / dict(self.shares).get(cell.true, rarest), 1.0


@dataclass(frozen=True, slots=True)
class Chances:
    """What the cells of a model's score stand for: the probability of the class `of_class`, by place; None for none."""

    of_class: str
    by_place: tuple[float | None, ...]

    def of_truth(self, cell: ClassCell) -> float:
        """Give the probability that the model gave to what was true; 0 where it gave none."""
        place = int(cell.score) if cell.score.isdigit() else len(self.by_place)
        chance = self.by_place[place] if place < len(self.by_place) else None
        if chance is None:
            return 0.0
        return chance if cell.true == self.of_class else 1 - chance


@dataclass(frozen=True, slots=True)
class Brier:
    """The square of what the probability of the truth lacks to 1."""

    chances: Chances

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit."""
        return (1 - self.chances.of_truth(cell)) ** 2, 1.0


@dataclass(frozen=True, slots=True)
class LogLoss:
    """The negative logarithm of the probability of the truth, divided by `HIGHEST_LOG_LOSS`."""

    chances: Chances

    def __call__(self, cell: ClassCell) -> tuple[float, float]:
        """Give loss and unit."""
        chance = max(self.chances.of_truth(cell), _LEAST_CHANCE)
        return min(-math.log(chance) / HIGHEST_LOG_LOSS, 1.0), 1.0


@dataclass(frozen=True, slots=True)
class Error:
    """How far a number was off, to a power, at most `clip`; divided by that of `clip`.

    Cells are known to a factor of the square root of 2: each counts as its middle. No number is as bad as can be.
    """

    clip: float
    power: int = 1

    def __call__(self, cell: str) -> float:
        """Give the loss in a cell of errors."""
        upper = error_upper(cell)
        return 1.0 if upper is None else min(upper * _HALF_CELL / self.clip, 1.0) ** self.power


def class_shares(counts: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Give the share of every class that occurs, in their order."""
    total = sum(counts.values())
    return tuple((name, count / total) for name, count in sorted(counts.items()) if count > 0)
