"""Counts by bucket, for contests in which requests of one entity stay with one model.

An entity keeps its model, so its requests are no independent draws. The router puts entities into buckets, and buckets
are what is drawn: they are the units of the contest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.cells import CellCounts, CellVector

BUCKETS: Final = 200
"""Two per percent of the traffic: the router gives buckets to variants by whole percents."""
MOST_NAMES: Final = 96
"""Counts of one model under one decision; wrong answers beyond that keep their true class alone."""
OTHER: Final = "other"

FAILURES: Final = "failures"
LABELLED: Final = "labelled"
EIGHTHS: Final = "eighths"
_LATENCY: Final = "le "
_CLASS: Final = "class "
_ERROR: Final = "error "
_NOTHING: Final = np.zeros(BUCKETS, dtype=np.int64)


class BucketClass(NamedTuple):
    """Classes of a labelled request's drawn row, and whether the answer was wrong: names may stand for several."""

    predicted: str
    true: str
    wrong: bool


def latency_name(cell: int) -> str:
    """Name the count of answers in a cell of the latency, counted from 0."""
    return f"{_LATENCY}{cell:02d}"


def class_name(cell: BucketClass) -> str:
    """Name the count of labelled requests in a cell of classes."""
    return _CLASS + json.dumps(cell)


def error_name(cell: str) -> str:
    """Name the count of labelled requests in a cell of errors."""
    return _ERROR + cell


@dataclass(frozen=True, slots=True)
class Buckets:
    """What one model did under one decision: vectors with one place per bucket, by the name of what was counted.

    `failures` (server errors) and `le 00`, ... (answers by cell of the latency) count requests; so do `labelled`, and
    `class ...` by the classes of a drawn row, or of a regression `error ...` by how far it was off. `eighths` adds up
    labelled requests' shares of wrong rows.
    """

    counts: Mapping[str, CellCounts] = field(default_factory=dict)

    def of(self, name: str) -> CellVector:
        """Give a count by bucket."""
        found = self.counts.get(name)
        return found.vector if found else _NOTHING

    @property
    def requests(self) -> CellVector:
        """Requests that count: answered, or failed by the server."""
        return self.slower_than(-1) + self.of(FAILURES)

    @property
    def labelled(self) -> CellVector:
        """Requests whose labels arrived."""
        return self.of(LABELLED)

    @property
    def wrong(self) -> NDArray[np.float64]:
        """Sums of their shares of wrong rows."""
        return self.of(EIGHTHS) / 8

    @property
    def classes(self) -> Iterator[tuple[BucketClass, CellVector]]:
        """Labelled requests by class; none of a regression."""
        for name, counts in self.counts.items():
            if name.startswith(_CLASS):
                yield _read_class(name), counts.vector

    @property
    def errors(self) -> Iterator[tuple[str, CellVector]]:
        """Labelled requests by the cell of their absolute error; of a regression alone."""
        for name, counts in self.counts.items():
            if name.startswith(_ERROR):
                yield name.removeprefix(_ERROR), counts.vector

    def slower_than(self, cell: int) -> CellVector:
        """Answers in the cells of the latency beyond one, counted from 0."""
        found = _NOTHING
        for name, counts in self.counts.items():
            if name.startswith(_LATENCY) and int(name.removeprefix(_LATENCY)) > cell:
                found = found + counts.vector
        return found

    @property
    def about_requests(self) -> Buckets:
        """What is known without labels."""
        return Buckets({name: c for name, c in self.counts.items() if name.startswith(_LATENCY) or name == FAILURES})

    @property
    def about_labels(self) -> Buckets:
        """What labels said, and how many requests there were."""
        said = {n: c.vector for n, c in self.counts.items() if not n.startswith(_LATENCY)}
        return bounded(said | {latency_name(0): self.slower_than(-1)})

    def __add__(self, other: Buckets) -> Buckets:
        """Add counts of the same model and decision."""
        return self._with(other, np.add)

    def since(self, before: Buckets) -> Buckets:
        """Give what came new after `before`, an earlier look at the same process; never less than 0."""
        return self._with(before, lambda now, then: np.maximum(now - then, 0))

    def _with(self, other: Buckets, combine: Callable[[CellVector, CellVector], CellVector]) -> Buckets:
        if not other.counts:
            return self
        names = {**self.counts, **other.counts}
        return bounded({name: combine(self.of(name), other.of(name)) for name in names})


def bounded(vectors: Mapping[str, CellVector]) -> Buckets:
    """Take vectors by name; where there are too many names, wrong answers keep their true class alone."""
    if len(vectors) > MOST_NAMES:
        merged: dict[str, CellVector] = {}
        for name, vector in vectors.items():
            kept = _without_predicted(name)
            merged[kept] = merged.get(kept, _NOTHING) + vector
        vectors = merged
    return Buckets({name: CellCounts(vectors[name], (BUCKETS,)) for name in sorted(vectors)})


def _read_class(name: str) -> BucketClass:
    predicted, true, wrong = json.loads(name.removeprefix(_CLASS))
    return BucketClass(predicted, true, wrong)


def _without_predicted(name: str) -> str:
    if not name.startswith(_CLASS):
        return name
    cell = _read_class(name)
    return class_name(cell._replace(predicted=OTHER)) if cell.wrong else name
