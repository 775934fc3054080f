"""Which cell of the baseline's score a value lies in: one value at a time, while its request is being answered."""

from bisect import bisect_left

import numpy as np

from kingmaker_serving.counts.baseline import Column, Kind
from kingmaker_serving.protocol.signature import NUMPY


class ScoreCells:
    """The cells of one column of a tensor; the same as `counts.cells` finds for many rows."""

    def __init__(self, column: Column, datatype: str) -> None:
        """Take the baseline's score, which is numeric, and the datatype of its tensor."""
        uppers = [cell.upper for cell in column.cells[:-3] if cell.upper is not None]
        self._edges: list[float] = np.array(uppers, dtype=NUMPY[datatype]).tolist()
        # Without an upper edge nothing is below, and counting starts at the cell after it.
        self._first = int(column.kind is Kind.NUMERIC and column.cells[0].upper is None)
        self._column = column.column

    def find(self, scores: np.ndarray, row: int) -> int:
        """Give the cell of a row's score, counted from 0 in the baseline's order.

        Args:
            scores: The tensor, of one or two dimensions.
            row: Of it.
        """
        value = scores.item(row, self._column) if scores.ndim > 1 else scores.item(row)
        if value != value:  # noqa: PLR0124  # NaN
            return self._first + len(self._edges) + 1
        if abs(value) == float("inf"):
            return self._first + len(self._edges) + 2
        return self._first + bisect_left(self._edges, value)
