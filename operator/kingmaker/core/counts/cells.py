"""Rows per cell of a baseline, as one vector of integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic_core import CoreSchema
from typing_extensions import override

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.integers import pack_numbers, stored_as_text, unpack_numbers
from kingmaker.core.identity import by_identity

CellVector = NDArray[np.int64]
"""One count per cell, columns one after the other in the order of `Baseline.columns`; never written to."""


@lru_cache(maxsize=4096)
def _shared(widths: tuple[int, ...]) -> tuple[int, ...]:
    """One tuple for all counts of the same shape."""
    return widths


@lru_cache(maxsize=4096)
def _edges(widths: tuple[int, ...]) -> NDArray[np.intp]:
    """Where columns begin, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(np.array(widths, dtype=np.intp)))).astype(np.intp)


@by_identity
def widths_of(baseline: Baseline) -> tuple[int, ...]:
    """Cells per column of a baseline."""
    return _shared(tuple(len(column.cells) for column in baseline.columns))


@dataclass(frozen=True, slots=True, eq=False)
class CellCounts:
    """Rows per cell: `vector` holds the columns one after the other, `widths` how many cells each has."""

    vector: CellVector
    widths: tuple[int, ...]

    @classmethod
    def empty(cls, baseline: Baseline) -> Self:
        """No rows."""
        widths = widths_of(baseline)
        return cls(np.zeros(sum(widths), dtype=np.int64), widths)

    @classmethod
    def of(cls, columns: Iterable[Sequence[int]]) -> Self:
        """Take counts column by column."""
        parts = [np.asarray(column, dtype=np.int64) for column in columns]
        vector = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return cls(vector, _shared(tuple(len(part) for part in parts)))

    @property
    def columns(self) -> tuple[CellVector, ...]:
        """The counts column by column, aligned with `Baseline.columns` and their cells."""
        ends = list(accumulate(self.widths))
        return tuple(self.vector[end - width : end] for end, width in zip(ends, self.widths, strict=True))

    @property
    def column_rows(self) -> CellVector:
        """Rows counted per column."""
        sums = np.zeros(len(self.vector) + 1, dtype=np.int64)
        np.cumsum(self.vector, out=sums[1:])
        at = sums[_edges(self.widths)]
        return at[1:] - at[:-1]

    @property
    def rows(self) -> int:
        """Rows counted: each falls into one cell of every column, so the fullest column has seen them all."""
        return int(self.column_rows.max(initial=0))

    @property
    def is_empty(self) -> bool:
        """Whether no row was counted."""
        return not self.vector.any()

    def __add__(self, other: CellCounts) -> CellCounts:
        """Add counts of the same baseline."""
        return CellCounts(self.vector + other.vector, self.widths)

    def __sub__(self, other: CellCounts) -> CellCounts:
        """Take counts of the same baseline away."""
        return CellCounts(self.vector - other.vector, self.widths)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellCounts):
            return NotImplemented
        return self is other or (self.widths == other.widths and np.array_equal(self.vector, other.vector))

    @override
    def __hash__(self) -> int:
        return hash(self.widths)

    def fits(self, baseline: Baseline) -> bool:
        """Whether there is one count per cell of the baseline."""
        return self.widths == widths_of(baseline)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        """Stored as text: see `pack`. Lists of columns, as they were stored before, are read too."""
        del source, handler
        return stored_as_text(cls._read)

    @classmethod
    def _read(cls, stored: object) -> CellCounts:
        if isinstance(stored, CellCounts):
            return stored
        if isinstance(stored, str):
            return cls.unpack(stored)
        columns = stored.get("columns") if isinstance(stored, dict) else None
        if not isinstance(columns, list):
            message = "expected packed cell counts, or an object with columns"
            raise ValueError(message)
        try:
            return _checked(cls.of(columns))
        except (TypeError, OverflowError) as error:
            message = f"columns are no whole numbers: {error}"
            raise ValueError(message) from error

    def pack(self) -> str:
        """Give a short text for storage."""
        return pack_numbers(np.array([len(self.widths), *self.widths, *self.vector.tolist()], dtype=np.int64))

    @classmethod
    def unpack(cls, text: str) -> CellCounts:
        """Read what `pack` gave.

        Raises:
            ValueError: It is something else, or too large.
        """
        numbers = unpack_numbers(text)
        columns = int(numbers[0])
        widths = tuple(int(width) for width in numbers[1 : 1 + columns])
        return _checked(cls(numbers[1 + columns :], _shared(widths)))


def _checked(counts: CellCounts) -> CellCounts:
    if min(counts.widths, default=0) < 0 or sum(counts.widths) != len(counts.vector) or (counts.vector < 0).any():
        message = "counts do not fit their columns, or are below 0"
        raise ValueError(message)
    return counts
