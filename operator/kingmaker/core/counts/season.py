"""The reference cut by the time of a period, such as the hours of a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Reference rows per part of a period and cell.

    `counts` has the shape (buckets, cells), cells in the order of a baseline's columns, as live counts have them; a
    column without a season of its own has zeros. Bucket i holds the rows whose time since the last whole period of UTC
    is in [i, i + 1) / buckets of it. `columns` says which columns have a season.
    """

    period: timedelta
    counts: NDArray[np.int32]
    columns: NDArray[np.bool_]

    @property
    def buckets(self) -> int:
        """Parts of the period."""
        return len(self.counts)

    def bucket(self, moment: datetime) -> int:
        """Give the part of the period that an aware time is in."""
        return (moment - _EPOCH) % self.period * self.buckets // self.period

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Season):
            return NotImplemented
        return self.period == other.period and np.array_equal(self.counts, other.counts)

    @override
    def __hash__(self) -> int:
        return hash((self.period, self.buckets))
