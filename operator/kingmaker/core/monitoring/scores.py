"""How a labelled request is scored: 0 for right, 1 for as wrong as can be. One class per measure that is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from kingmaker.core.counts.cells import CellVector
from kingmaker.core.counts.label_windows import Tally
from kingmaker.core.counts.labels import ANSWERED, ERRORS, HIGHEST_ERROR, LOWEST_ERROR, SHARES
from kingmaker.core.counts.process import WRONG_SHARES

CLIP: Final = 8.0
"""So many times the usual error counts as the worst there is: a single absurd value must not be all that is seen."""

_SHARES: Final = np.array(WRONG_SHARES)
_SIZES: Final = np.array(
    # In the middle of each cell, on the scale on which they are equally wide; no number at all is the worst.
    [0.0, *(2.0 ** ((k - 0.5) / 2) for k in range(LOWEST_ERROR, HIGHEST_ERROR + 1)), np.inf]
)


class Scoring(Protocol):
    """A measure of one labelled request."""

    @property
    def word(self) -> str:
        """Names it with all that a score depends on: counts of another word are never added to its own."""

    @property
    def unit(self) -> float:
        """What a score of 1 stands for."""

    @property
    def spread(self) -> float:
        """Variance of a score over that of one that is either 0 or 1, of the same mean; 0..1."""

    def tally(self, counted: CellVector) -> Tally:
        """Score labelled requests, in the cells of `core.counts.labels`."""


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The share of a request's rows that were wrong."""

    word: str = "ErrorRate"
    unit: float = 1.0
    spread: float = 1.0

    def tally(self, counted: CellVector) -> Tally:
        """Score labelled requests."""
        shares = counted[SHARES]
        return Tally(int(shares.sum()), float(shares @ _SHARES), int(counted[ANSWERED]))


@dataclass(frozen=True, slots=True)
class AbsoluteError:
    """By how much a regression was off in one drawn row of the request, up to `unit`."""

    unit: float
    spread: float = 1.0

    @property
    def word(self) -> str:
        """The measure, with where it is clipped."""
        return f"AbsoluteError up to {self.unit:.6g}"

    def tally(self, counted: CellVector) -> Tally:
        """Score labelled requests."""
        errors = counted[ERRORS]
        return Tally(int(errors.sum()), float(errors @ np.minimum(1.0, _SIZES / self.unit)), int(counted[ANSWERED]))
