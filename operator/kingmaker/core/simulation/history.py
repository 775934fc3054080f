"""What was recorded: counts per interval of time, by model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from kingmaker.core.counts.cells import CellVector

Cell = tuple[str, str]
"""What was predicted and what was true; two empty texts where only right and wrong were recorded."""
RIGHT: Final[Cell] = ("", "")
WRONG: Final[Cell] = ("", "wrong")
PairCell = tuple[str, str, str]
"""What the champion and what the challenger predicted, and what was true."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What one model did in one interval. `labels` counts the labelled ones of its `requests` by `Cell`."""

    requests: int = 0
    errors: int = 0
    labels: Mapping[Cell, int] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """Requests whose label arrived."""
        return sum(self.labels.values())

    @property
    def wrong(self) -> int:
        """Those of them that were answered wrongly."""
        return sum(count for (predicted, true), count in self.labels.items() if predicted != true)

    def __add__(self, other: ModelRecord) -> ModelRecord:
        """Add what the same model did."""
        cells = {**self.labels, **other.labels}
        labels = {cell: self.labels.get(cell, 0) + other.labels.get(cell, 0) for cell in cells}
        return ModelRecord(self.requests + other.requests, self.errors + other.errors, labels)


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened until `until`, since the interval before it.

    `requests` were sent to the deployment, whoever answered. `cells` counts rows per cell of a baseline, by its
    digest. `pairs` counts requests of which two models' answers are known, by (one, other).
    """

    until: datetime
    requests: int
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    cells: Mapping[str, CellVector] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], Mapping[PairCell, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """Intervals in the order of time."""

    intervals: tuple[Interval, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models of which something was recorded."""
        return tuple(sorted({name for interval in self.intervals for name in interval.models}))

    @property
    def step(self) -> timedelta:
        """Time between two intervals, usually; an hour where there is only one."""
        ends = [interval.until for interval in self.intervals]
        gaps = sorted(b - a for a, b in pairwise(ends))
        return gaps[len(gaps) // 2] if gaps else timedelta(hours=1)

    def labelled_records(self, model: str) -> Sequence[tuple[int, ModelRecord]]:
        """Give the intervals, by their place, in which labels of a model arrived."""
        found = ((i, interval.models.get(model)) for i, interval in enumerate(self.intervals))
        return [(place, record) for place, record in found if record and record.labelled]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model does with requests at any time of a history, also while it got none."""

    places: tuple[int, ...]
    records: tuple[ModelRecord, ...]

    @classmethod
    def of(cls, history: History, model: str) -> Rates:
        """Read them from what was recorded of a model."""
        known = history.labelled_records(model)
        return cls(tuple(place for place, _ in known), tuple(record for _, record in known))

    def at(self, place: int) -> ModelRecord | None:
        """Give the record of the interval, else of the nearest one with labels, the earlier of two; None without."""
        if not self.places:
            return None
        after = bisect_left(self.places, place)
        near = [i for i in (after - 1, after) if 0 <= i < len(self.places)]
        return self.records[min(near, key=lambda i: (abs(self.places[i] - place), i))]
