"""Baselines made from samples, and samples counted into their cells, as packaging and serving do it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.windows import Windows, advance

Floats = NDArray[np.float64]

START = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = timedelta(seconds=21)
"""A window's length; slots of 7 seconds do not divide a day, so they begin at odd times, as in life."""


def a_numeric_feature(name: str, sample: Floats, cells: int = 10) -> Feature:
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, cells + 1)[1:], method="inverted_cdf"))
    per_cell = np.bincount(np.searchsorted(edges, sample), minlength=len(edges))
    ordinary = [Cell(str(i), int(c), upper=float(e)) for i, (e, c) in enumerate(zip(edges, per_cell, strict=True))]
    below = Cell("below", 0, rare=True, upper=float(np.nextafter(sample.min(), -np.inf)))
    others = (Cell(rare, 0, rare=True) for rare in ("above", "missing", "infinite"))
    return Feature(name, Kind.NUMERIC, (below, *ordinary, *others))


def a_categorical_feature(name: str, counts: Sequence[int]) -> Feature:
    ordinary = [Cell(f"c{i}", c, value=f"value {i}") for i, c in enumerate(counts)]
    rare = [Cell("unseen", 0, rare=True), Cell("missing", 0, rare=True)]
    return Feature(name, Kind.CATEGORICAL, (*ordinary, *rare))


def a_baseline(sample: Floats, digest: str = "sha256:b") -> Baseline:
    features = tuple(a_numeric_feature(f"f{j}", sample[:, j]) for j in range(sample.shape[1]))
    return Baseline(digest, len(sample), features)


def count_column(feature: Feature, values: Floats) -> tuple[int, ...]:
    cells = {cell.name: cell for cell in feature.cells}
    edges = np.array([cell.upper for cell in feature.cells if not cell.rare])
    finite = values[np.isfinite(values)]
    # Cell 0 is `below`, the last one `above`.
    place = np.searchsorted(edges, finite) + 1
    place[finite <= cells["below"].upper] = 0
    found = np.bincount(place, minlength=len(edges) + 2).tolist()
    return (*found, int(np.isnan(values).sum()), int(np.isinf(values).sum()))


def count_rows(baseline: Baseline, rows: Floats) -> CellCounts:
    return CellCounts.of(count_column(f, rows[:, j]) for j, f in enumerate(baseline.features))


def a_full_window(
    baseline: Baseline, counts: CellCounts, *, lengths: Sequence[timedelta] = (LENGTH,)
) -> tuple[Windows, datetime]:
    """Windows whose newest complete one holds `counts`, and the time at which it does."""
    longest = max(lengths)
    windows = Windows.for_baseline(None, model="sha256:m", baseline=baseline, scales=lengths, now=START - longest)
    windows = advance(windows, now=START + longest, delta=counts, complete=True)
    now = START + longest + min(lengths) / 3
    return advance(windows, now=now, delta=CellCounts.empty(baseline), complete=True), now
