"""A baseline as arrays: the cells of all its columns side by side, packed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.season import Season
from kingmaker.core.identity import by_identity
from kingmaker.core.statistics.columns import Cells, psi
from kingmaker.core.statistics.tails import Floats

UNSEEN: Final = "unseen"
_OTHER: Final = "other"

Slots = Sequence[tuple[datetime, datetime, int]]
"""Parts of a window: begin and end, with the rows in between."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The columns of a baseline, in its own order.

    `places` and `rare_places` (columns, cells) tell where each cell is among all cells, one behind the last where a
    column has fewer. `rare_cells` are aligned with the rare ones. `cells` are the reference's rows, of unseen values as
    many as are to be expected. `is_output`: prediction and score; `is_judged`: all but outputs whose reference is of
    rows that the model was fitted on, where it is surer than on any others. `varies`: it has more than one value.
    """

    columns: tuple[Feature, ...]
    places: NDArray[np.intp]
    rare_places: NDArray[np.intp]
    rare_cells: tuple[tuple[Cell, ...], ...]
    cells: Cells
    ordered: NDArray[np.bool_]
    is_output: NDArray[np.bool_]
    is_judged: NDArray[np.bool_]
    season: Season | None
    varies: NDArray[np.bool_]
    has_dispersion: bool
    places_by_name: Mapping[str, tuple[int, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Names of the outputs that are counted and not judged."""
        return tuple(c.name for c, judged in zip(self.columns, self.is_judged.tolist(), strict=True) if not judged)

    def places_of(self, name: str) -> list[int]:
        """Give the columns of that name; a feature may be called as an output is."""
        return list(self.places_by_name.get(name, ()))

    def overdispersion(self, length: timedelta) -> Floats:
        """What the baseline says of windows of a length, per column; NaN where it says nothing."""
        if not self.has_dispersion:
            return np.full(len(self.columns), np.nan)
        said = [column.overdispersion(length) for column in self.columns]
        return np.array([np.nan if phi is None else phi for phi in said])

    def take(self, counts: CellCounts) -> Cells:
        """Give counts of this baseline's cells as arrays (columns, cells)."""
        return _taken(np.append(counts.vector, 0).astype(float), self.places, self.rare_places)

    def psi(self, current: Cells, columns: Sequence[int]) -> Floats:
        """PSI of some columns with its expectation without drift taken off."""
        at = np.array(columns, dtype=np.intp)
        reference = Cells(self.cells.ordinary[at], self.cells.rare[at])
        raw, bias = psi(reference, Cells(current.ordinary[at], current.rare[at]))
        debiased: Floats = raw - bias
        return debiased

    def at_times(self, slots: Slots) -> tuple[Cells, NDArray[np.bool_]]:
        """Mix the reference's rows of the times of a window, as many of each time as the window has.

        A mix of parts a_b of samples of m_b rows is as sure as one sample of 1/Σ(a_b²/m_b) rows.

        Args:
            slots: The window.

        Returns:
            Rows, and which columns have some at all of these times; none without a season.
        """
        if self.season is None:
            return self.cells, np.zeros(len(self.columns), dtype=bool)
        weights = _weights(self.season, slots)
        used = weights > 0
        counts = self.season.counts[used].astype(float)
        taken = _taken(np.pad(counts, [(0, 0), (0, 1)]), self.places, self.rare_places)
        rows = taken.rows
        has = (rows > 0).all(axis=0) & self.season.columns & used.any()
        parts = weights[used][:, None]
        size = np.where(has, 1 / np.maximum((parts**2 / np.maximum(rows, 1)).sum(axis=0), 1e-12), 0.0)
        shares = (parts / np.maximum(rows, 1))[..., None]
        unseen = self.cells.rare / self.cells.rows[:, None] * size[:, None] * self._is_unseen
        rare = (taken.rare * shares).sum(axis=0) * size[:, None]
        return Cells((taken.ordinary * shares).sum(axis=0) * size[:, None], np.maximum(rare, unseen)), has

    @property
    def _is_unseen(self) -> NDArray[np.bool_]:
        width = self.rare_places.shape[1]
        names = [[cell.name for cell in cells] + [""] * (width - len(cells)) for cells in self.rare_cells]
        is_unseen: NDArray[np.bool_] = np.array([[name == UNSEEN for name in row] for row in names], dtype=bool)
        return is_unseen.reshape(len(names), width)


@by_identity
def reference_of(baseline: Baseline) -> Reference:
    """Pack a baseline."""
    columns = baseline.columns
    is_output = np.arange(len(columns)) >= len(baseline.features)
    size = sum(len(column.cells) for column in columns)
    ordinary: list[list[int]] = []
    rare: list[list[int]] = []
    start = 0
    for column in columns:
        numbered = list(enumerate(column.cells, start))
        ordinary.append([place for place, cell in numbered if not cell.rare])
        rare.append([place for place, cell in numbered if cell.rare])
        start += len(column.cells)
    places, rare_places = _filled(ordinary, size), _filled(rare, size)
    by_name: dict[str, tuple[int, ...]] = {}
    for at, column in enumerate(columns):
        by_name[column.name] = (*by_name.get(column.name, ()), at)
    counts = np.array([*(_rows(column, cell) for column in columns for cell in column.cells), 0], dtype=float)
    cells = _taken(counts, places, rare_places)
    return Reference(
        columns,
        places,
        rare_places,
        tuple(tuple(cell for cell in column.cells if cell.rare) for column in columns),
        cells,
        np.array([column.kind is Kind.NUMERIC for column in columns], dtype=bool),
        is_output,
        ~is_output | np.array([column.held_out for column in columns], dtype=bool),
        baseline.season,
        (cells.ordinary > 0).sum(axis=-1) > 1,
        any(column.dispersion for column in columns),
        by_name,
    )


def expected_unseen(feature: Feature) -> int:
    """How many of as many new rows have values that the reference did not have: as many as it had once (Good 1953).

    Where that was not counted, at most the rows in cells of one row, and those of seldom values together.
    """
    if feature.singletons is not None:
        return feature.singletons
    return sum(cell.count for cell in feature.cells if not cell.rare and (cell.count == 1 or cell.name == _OTHER))


def _rows(column: Feature, cell: Cell) -> int:
    return max(cell.count, expected_unseen(column)) if cell.rare and cell.name == UNSEEN else cell.count


def _taken(vector: Floats, places: NDArray[np.intp], rare_places: NDArray[np.intp]) -> Cells:
    return Cells(vector[..., places], vector[..., rare_places])


def _filled(places: list[list[int]], nowhere: int) -> NDArray[np.intp]:
    width = max((len(row) for row in places), default=0)
    return np.array([row + [nowhere] * (width - len(row)) for row in places], dtype=np.intp).reshape(len(places), width)


def _weights(season: Season, slots: Slots) -> Floats:
    """Parts of a window's rows at each time of the season."""
    weights = np.zeros(season.buckets)
    length: timedelta = season.period / season.buckets
    for begin, end, rows in slots:
        at = begin
        while at < end:
            bucket = season.bucket(at)
            until = min(end, at + length - (at - _EPOCH) % length)
            weights[bucket] += rows * ((until - at) / (end - begin))
            at = until
    total = weights.sum()
    return weights / total if total else weights


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
