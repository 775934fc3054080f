"""Which cell a value falls into, for many values at once. Every value falls into exactly one."""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from kingmaker_serving.counts.baseline import MISSING, OTHER, UNSEEN, Cell, Column, Kind
from kingmaker_serving.protocol.signature import NUMPY

_FEW_ROWS: Final = 64
"""Up to here one comparison with all edges is faster than a binary search per column."""


def columns_of(array: np.ndarray) -> np.ndarray:
    """View a tensor of one or two dimensions as rows and columns."""
    return array.reshape(len(array), -1) if array.ndim > 1 else array.reshape(-1, 1)


class NumericCells:
    """The numeric columns of one tensor, looked up together.

    Edges are cast to the tensor's dtype once, so a value is compared with the very number that the reference saw.
    """

    def __init__(self, columns: Sequence[Column], offsets: Sequence[int], datatype: str) -> None:
        """Take columns of one tensor and where each one's cells begin in the common counters."""
        dtype = NUMPY[datatype]
        edges = [_edges(column.cells, dtype) for column in columns]
        self._columns = np.array([column.column for column in columns])
        self._edges = edges
        self._lengths = np.array([len(own) for own in edges])
        top = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
        self._table = np.full((len(edges), max(map(len, edges))), top, dtype=dtype)
        for row, own in zip(self._table, edges, strict=True):
            row[: len(own)] = own
        # Without an upper edge nothing is below, and counting starts at the cell after it.
        skipped = [column.cells[0].upper is None for column in columns]
        self._offsets = np.array(offsets) + np.array(skipped, dtype=np.intp)
        self._special = dtype.kind == "f"
        own_cells = [(index, place) for index, own in enumerate(edges) for place in range(len(own) + 1)]
        self._own_cells = tuple(np.array(own_cells).T)
        self._targets = self._offsets[self._own_cells[0]] + self._own_cells[1]

    def add(self, array: np.ndarray, counts: np.ndarray) -> None:
        """Count the values of these columns; as `find`."""
        if len(array) > _FEW_ROWS:
            values = np.ascontiguousarray(array[:, self._columns].T)
            if not self._special or np.isfinite(values).all():
                counts[self._targets] += self._count_many(values)
                return
        counts += np.bincount(self.find(array).ravel(), minlength=len(counts))

    def _count_many(self, values: np.ndarray) -> np.ndarray:
        """Count by how many values are over each edge: a comparison and a count of bits for all rows at once.

        Args:
            values: Finite, shape (columns, rows), a column's values side by side.
        """
        over = np.zeros((len(values), self._table.shape[1] + 2), dtype=np.int64)
        over[:, 0] = values.shape[1]
        for index, edge in enumerate(self._table.T, start=1):
            over[:, index] = np.bitwise_count(np.packbits(values > edge[:, None], axis=1)).sum(axis=1)
        cells: np.ndarray = (over[:, :-1] - over[:, 1:])[self._own_cells]
        return cells

    def find(self, array: np.ndarray) -> np.ndarray:
        """Give the index in the counters for each value of these columns.

        Args:
            array: Shape (rows, columns of the tensor), the tensor's dtype.

        Returns:
            Indices of shape (rows, len(columns)).
        """
        values = array[:, self._columns]
        # A cell is closed above, so its index is how many upper edges lie strictly below the value.
        if len(values) <= _FEW_ROWS:
            found = (values[:, :, None] > self._table).sum(axis=2)
        else:
            found = np.empty(values.shape, dtype=np.intp)
            for index, edges in enumerate(self._edges):
                found[:, index] = np.searchsorted(edges, values[:, index], side="left")
        if self._special and not np.isfinite(values).all():
            found = np.where(np.isnan(values), self._lengths + 1, found)
            found = np.where(np.isinf(values), self._lengths + 2, found)
        indices: np.ndarray = found + self._offsets
        return indices


class CategoryCells:
    """One categorical column."""

    def __init__(self, column: Column, offset: int, datatype: str) -> None:
        """Take the column and where its cells begin in the common counters."""
        place = {cell.name: offset + index for index, cell in enumerate(column.cells)}
        self._column = column.column
        self._missing = place[MISSING]
        self._known: dict[Any, int] = {}
        self._unlisted = place[UNSEEN]
        for cell in column.cells:
            if cell.name == OTHER and cell.values is None:
                self._unlisted = place[OTHER]
            for value in [cell.value] if cell.value is not None else cell.values or []:
                self._known[_key(value, datatype)] = place[cell.name]
        self._is_text = datatype == "BYTES"

    def add(self, array: np.ndarray, counts: np.ndarray) -> None:
        """Count this column; as `find`."""
        counts += np.bincount(self.find(array), minlength=len(counts))

    def find(self, array: np.ndarray) -> np.ndarray:
        """Give the index in the counters for each row.

        NaN and the empty string are missing; infinities are unseen.
        """
        known, unlisted, missing = self._known, self._unlisted, self._missing
        values = array[:, self._column].tolist()
        # x != x is NaN, the one value that no dictionary finds.
        if self._is_text:
            found = [known.get(x, unlisted) if x else missing for x in values]
        else:
            found = [known.get(x, unlisted) if x == x else missing for x in values]  # noqa: PLR0124
        return np.array(found, dtype=np.intp)


class LengthCells:
    """One column of texts, of which lie in cells how many characters they have."""

    def __init__(self, column: Column, offset: int) -> None:
        """Take the column and where its cells begin in the common counters."""
        self._column = column.column
        self._cells = NumericCells([replace(column, column=0)], [offset], "FP64")

    def add(self, array: np.ndarray, counts: np.ndarray) -> None:
        """Count this column; as `find`."""
        self._cells.add(lengths_of(array[:, self._column]), counts)

    def find(self, array: np.ndarray) -> np.ndarray:
        """Give the index in the counters for each row; the empty string is missing."""
        return self._cells.find(lengths_of(array[:, self._column])).ravel()


Lookup = NumericCells | CategoryCells | LengthCells


def lengths_of(texts: np.ndarray) -> np.ndarray:
    """Count the characters of texts, shape (rows,); FP64 of shape (rows, 1), NaN for an empty one."""
    lengths = np.fromiter(map(len, texts.tolist()), dtype=np.float64, count=len(texts))
    lengths[lengths == 0] = np.nan
    return lengths[:, None]


def find_cells(column: Column, values: np.ndarray, datatype: str) -> np.ndarray:
    """Give which of the column's cells each value lies in.

    Args:
        column: Checked.
        values: Of this column alone, shape (rows,), of the tensor's dtype.
        datatype: The tensor's.

    Returns:
        Places among `column.cells`, shape (rows,).
    """
    lookup = _alone(replace(column, column=0), 0, datatype)
    return lookup.find(columns_of(values)).ravel()


def _alone(column: Column, offset: int, datatype: str) -> Lookup:
    if column.measure:
        return LengthCells(column, offset)
    if column.kind is Kind.CATEGORICAL:
        return CategoryCells(column, offset, datatype)
    return NumericCells([column], [offset], datatype)


class CellCounts:
    """Cumulative counts of some columns of named tensors, all in one vector."""

    def __init__(self, columns: Sequence[Column], datatypes: Mapping[str, str]) -> None:
        """Lay out the counters.

        Args:
            columns: Checked against the signature.
            datatypes: Datatype by tensor name.
        """
        self.columns = tuple(columns)
        self.offsets = np.cumsum([0, *(len(column.cells) for column in columns)]).tolist()
        self.counts = np.zeros(self.offsets[-1], dtype=np.int64)
        self._lookups: list[tuple[str, Lookup]] = []
        numeric: dict[str, list[int]] = {}
        for index, column in enumerate(columns):
            if column.kind is Kind.NUMERIC and not column.measure:
                numeric.setdefault(column.tensor, []).append(index)
            else:
                cells = _alone(column, self.offsets[index], datatypes[column.tensor])
                self._lookups.append((column.tensor, cells))
        for tensor, indices in numeric.items():
            own = [columns[index] for index in indices]
            offsets = [self.offsets[index] for index in indices]
            self._lookups.append((tensor, NumericCells(own, offsets, datatypes[tensor])))

    def add(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Count the rows of the tensors that have columns here; others are left alone."""
        for tensor, lookup in self._lookups:
            array = tensors.get(tensor)
            if array is not None:
                lookup.add(columns_of(array), self.counts)

    def of(self, index: int) -> np.ndarray:
        """Give the counts of one column's cells, in the document's order."""
        return self.counts[self.offsets[index] : self.offsets[index + 1]]


def _edges(cells: Sequence[Cell], dtype: np.dtype[Any]) -> np.ndarray:
    uppers = [cell.upper for cell in cells[:-3] if cell.upper is not None]
    if dtype.kind != "f":
        uppers = [floor(upper) for upper in uppers]
    return np.array(uppers, dtype=dtype)


def _key(value: str | float | bool, datatype: str) -> str | float | bool:
    """Cast a category as the tensor's values are."""
    if datatype == "BYTES":
        return str(value)
    cast: float | bool = NUMPY[datatype].type(value).item()
    return cast
