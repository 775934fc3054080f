"""Batches of twenty features with and without a shift, as the drift tools' own papers draw them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from benchmarks.decisions.columns import Column, Floats, categorical, numeric

NUMERIC: Final = 14
CATEGORIES: Final = (3, 4, 5, 8, 12, 20)
FEATURES: Final = NUMERIC + len(CATEGORIES)
REFERENCE_ROWS: Final = 10_000
_QUARTER: Final = 5

Batch = Floats
"""Values (rows, features); categories are whole numbers, missing values are NaN."""
Change = Callable[[Floats], None]
"""Changes values in place."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Where the columns come from, drawn once per repetition: which are chosen for shifts, and shares of categories.

    Numeric columns are what a standard normal cause becomes: as it is, log-normal, t of 3 degrees, counts, and mostly
    zero. A shift by standard deviations is one of the cause, so that counts stay counts.
    """

    shares: tuple[Floats, ...]
    chosen: tuple[int, ...]
    category: int
    """The categorical column that is chosen."""

    def draw(self, random: np.random.Generator, rows: int, causes: Change | None = None) -> Batch:
        """Rows; `causes` changes the normal causes of the numeric columns before they become values."""
        cause = random.normal(size=(rows, NUMERIC))
        if causes is not None:
            causes(cause)
        values = np.empty((rows, FEATURES))
        values[:, :6] = cause[:, :6]
        values[:, 6:8] = np.exp(cause[:, 6:8])
        values[:, 8:10] = special.stdtrit(3, special.ndtr(cause[:, 8:10]))
        values[:, 10:12] = np.searchsorted(special.pdtr(np.arange(40), 4), special.ndtr(cause[:, 10:12]))
        values[:, 12:14] = np.maximum(0, -np.log1p(-np.clip((special.ndtr(cause[:, 12:14]) - 0.6) / 0.4, 0, 1 - 1e-9)))
        for at, share in enumerate(self.shares, NUMERIC):
            values[:, at] = random.choice(len(share), size=rows, p=share)
        return values


def kinds(random: np.random.Generator) -> Kinds:
    """Draw what a repetition has in common."""
    shares = tuple(random.dirichlet(np.full(k, 5.0)) for k in CATEGORIES)
    chosen = tuple(int(n) for n in random.permutation(NUMERIC))
    return Kinds(shares, chosen, int(random.integers(len(CATEGORIES))))


def columns_of(reference: Batch) -> list[Column]:
    """Cut a reference into cells."""
    numbers = [numeric(f"x{n}", reference[:, n]) for n in range(NUMERIC)]
    return numbers + [categorical(f"c{n}", reference[:, n]) for n in range(NUMERIC, FEATURES)]


@dataclass(frozen=True, slots=True)
class Shift:
    """A way in which batches differ from the reference: `causes` before values are made of them, `values` after."""

    causes: Callable[[Floats, Kinds], None] | None = None
    values: Callable[[Batch, Kinds, np.random.Generator], None] | None = None

    def draw(self, kind: Kinds, random: np.random.Generator, rows: int) -> Batch:
        """A batch that is shifted so."""
        before = self.causes
        batch = kind.draw(random, rows, (lambda cause: before(cause, kind)) if before else None)
        if self.values is not None:
            self.values(batch, kind, random)
        return batch


def _higher(size: float, count: int) -> Callable[[Floats, Kinds], None]:
    def shift(cause: Floats, kind: Kinds) -> None:
        cause[:, list(kind.chosen[:count])] += size

    return shift


def _wider(cause: Floats, kind: Kinds) -> None:
    cause[:, list(kind.chosen[:_QUARTER])] *= 1.5


def _corrupted(batch: Batch, kind: Kinds, random: np.random.Generator) -> None:
    del kind
    rows = random.random(len(batch)) < 0.1
    low, high = batch[:, :NUMERIC].min(axis=0), batch[:, :NUMERIC].max(axis=0)
    batch[rows, :NUMERIC] = random.uniform(low, high, size=(int(rows.sum()), NUMERIC))


def _category(batch: Batch, kind: Kinds, random: np.random.Generator) -> None:
    at = NUMERIC + kind.category
    rows = random.random(len(batch)) < 0.1 / (1 - (batch[:, at] == 0).mean())
    batch[rows, at] = 0


def _missing(batch: Batch, kind: Kinds, random: np.random.Generator) -> None:
    batch[random.random(len(batch)) < 0.03, kind.chosen[0]] = np.nan


def _unit(batch: Batch, kind: Kinds, random: np.random.Generator) -> None:
    batch[random.random(len(batch)) < 0.05, kind.chosen[0]] *= 1000


def _unseen(batch: Batch, kind: Kinds, random: np.random.Generator) -> None:
    at = NUMERIC + kind.category
    batch[random.random(len(batch)) < 0.02, at] = CATEGORIES[kind.category]


SHIFTS: Final[Mapping[str, Shift]] = {
    "mean .2 sd in a quarter": Shift(_higher(0.2, _QUARTER)),
    "mean .5 sd in one": Shift(_higher(0.5, 1)),
    "variance × 1.5² in a quarter": Shift(_wider),
    "10 % corrupted rows": Shift(values=_corrupted),
    "one category, TV .1": Shift(values=_category),
    "3 % missing in one": Shift(values=_missing),
    "5 % in another unit in one": Shift(values=_unit),
    "2 % unseen category": Shift(values=_unseen),
}
