"""Columns of data for the drift benchmarks: their cells as `package` cuts them, and rows counted into these."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.windows import SLOTS, Scale, Slot, Windows

Floats = NDArray[np.float64]

_CELLS: Final = 10
_SEEN_OFTEN: Final = 1e-3
_RARE: Final = ("below", "above", "missing", "infinite")


@dataclass(frozen=True, slots=True)
class Column:
    """A numeric column: `edges` are upper edges of its cells, `lowest` that of the cell below its range.

    A categorical one: values are whole numbers from 0 on, `categories` those with a cell; None for a numeric column.
    """

    feature: Feature
    edges: Floats
    lowest: float = 0.0
    categories: int | None = None

    def count(self, values: Floats) -> list[int]:
        """Count values into the cells."""
        if self.categories is None:
            finite = values[np.isfinite(values)]
            place = np.searchsorted(self.edges, finite) + 1
            place[finite < self.lowest] = 0
            counted = np.bincount(place, minlength=len(self.edges) + 2).tolist()
            return [*counted, int(np.isnan(values).sum()), int(np.isinf(values).sum())]
        known = values[~np.isnan(values)].astype(int)
        counted = np.bincount(np.minimum(known, self.categories), minlength=self.categories + 1)
        return [*counted[: self.categories].tolist(), int(counted[self.categories]), len(values) - len(known)]


def numeric(name: str, sample: Floats, cells: int = _CELLS) -> Column:
    """Cut a sample into cells of equal counts; values that many rows have take several of them."""
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, cells + 1)[1:], method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, sample), minlength=len(edges))
    ordinary = [Cell(str(n), int(count)) for n, count in enumerate(counts)]
    below, *others = (Cell(rare, 0, rare=True) for rare in _RARE)
    return Column(Feature(name, Kind.NUMERIC, (below, *ordinary, *others)), edges, float(sample.min()))


def categorical(name: str, sample: Floats) -> Column:
    """One cell per category that the sample has."""
    counts = np.bincount(sample.astype(int))
    cells = [Cell(f"c{n}", int(count)) for n, count in enumerate(counts)]
    rare = (Cell("unseen", 0, rare=True), Cell("missing", 0, rare=True))
    return Column(Feature(name, Kind.CATEGORICAL, (*cells, *rare)), np.zeros(0), categories=len(counts))


def a_baseline(columns: Sequence[Column], rows: int, digest: str = "sha256:" + "b" * 64) -> Baseline:
    """The reference that the columns make."""
    return Baseline(digest, rows, tuple(column.feature for column in columns))


def count(columns: Sequence[Column], rows: Floats) -> CellCounts:
    """Count rows (rows, columns) into the cells of all columns."""
    return CellCounts.of(column.count(rows[:, at]) for at, column in enumerate(columns))


def full_windows(baseline: Baseline, counts: CellCounts, lengths: Sequence[timedelta]) -> tuple[Windows, datetime]:
    """Windows of which each newest complete one, wholly observed, holds these counts; and the time at which it does."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    windows = Windows.for_baseline(None, model=baseline.digest, baseline=baseline, scales=lengths, now=now)
    return replace(windows, scales=tuple(_full(scale, windows, counts) for scale in windows.scales)), now


def _full(scale: Scale, windows: Windows, counts: CellCounts) -> Scale:
    newest = windows.last // scale.slot_length - 1
    indices = range(newest - SLOTS + 1, newest + 1)
    slots = (Slot(n, counts if n == newest else windows.empty, scale.slot_length) for n in indices)
    return Scale(scale.length, (newest - SLOTS) * scale.slot_length, tuple(slots))
