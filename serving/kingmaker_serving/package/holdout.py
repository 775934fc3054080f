"""Rows with what was true of them, and which of them a model was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from kingmaker_serving.package.tables import as_array, invalid


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows by input, their labels and times where these are known, and whether the model was not fitted on them."""

    feeds: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    times: np.ndarray | None = None
    held_out: bool = False

    def __post_init__(self) -> None:
        """Check that all are of the same rows."""
        for what, column in (("labels", self.labels), ("times", self.times)):
            if column is not None and len(column) != self.rows:
                raise invalid(f"{len(column)} {what} for {self.rows} rows; give one per row")

    @property
    def rows(self) -> int:
        """How many."""
        return len(next(iter(self.feeds.values())))

    def at(self, places: np.ndarray) -> JudgedRows:
        """Take some of the rows, as those that were held out."""
        feeds = {name: array[places] for name, array in self.feeds.items()}
        labels, times = (None if column is None else column[places] for column in (self.labels, self.times))
        return JudgedRows(feeds, labels, times, held_out=True)


def held_out_of(rows: JudgedRows, holdout: Any, step: int | None) -> JudgedRows | None:  # noqa: ANN401
    """Take the rows that were held out, out of all.

    Args:
        rows: All.
        holdout: A share of them in (0, 1), the last ones; or one truth value per row, which may be 0 or 1.
        step: Rows that the model takes at a time, where that is fixed: as many are taken, or a multiple of them.

    Returns:
        None when `holdout` is neither, but rows by themselves.

    Raises:
        VerbError: It says nothing about these rows, or that none of them were held out.
    """
    if isinstance(holdout, int | float) and not isinstance(holdout, bool):
        if not 0 < holdout < 1:
            raise invalid(f"holdout is {holdout}; expected a share between 0 and 1, such as 0.2")
        places = np.arange(rows.rows - ceil(holdout * rows.rows), rows.rows)
    elif isinstance(holdout, Mapping) or hasattr(holdout, "columns"):
        return None
    else:
        marks = as_array(holdout)
        if marks.ndim == 1 and marks.dtype.kind in "iu" and np.isin(marks, (0, 1)).all():
            marks = marks.astype(bool)
        if marks.ndim != 1 or marks.dtype.kind != "b":
            return None
        if len(marks) != rows.rows:
            raise invalid(f"{len(marks)} rows are marked as held out or not, of {rows.rows}; mark each")
        places = np.flatnonzero(marks)
    places = places[: len(places) // (step or 1) * (step or 1)]
    if not len(places):
        raise invalid(f"no row of {rows.rows} was held out; mark some, or leave holdout out")
    return rows.at(places)
