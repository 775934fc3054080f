"""Baselines made from samples, and samples counted into their cells, as packaging and serving do it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.windows import Scale, Slot, Windows

Floats = NDArray[np.float64]

START = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = timedelta(seconds=21)
"""A window's length; slots of 7 seconds do not divide a day, so they begin at odd times, as in life."""


@dataclass(frozen=True, slots=True)
class SampledFeature(Feature):
    """A numeric column that knows where its cells lie: `lowest` bounds `below`, `edges` the ordinary ones."""

    lowest: float = 0.0
    edges: tuple[float, ...] = ()


def a_numeric_feature(name: str, sample: Floats, cells: int = 10) -> SampledFeature:
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, cells + 1)[1:], method="inverted_cdf"))
    per_cell = np.bincount(np.searchsorted(edges, sample), minlength=len(edges))
    ordinary = [Cell(str(number), int(count)) for number, count in enumerate(per_cell)]
    below, *others = (Cell(rare, 0, rare=True) for rare in ("below", "above", "missing", "infinite"))
    lowest = float(np.nextafter(sample.min(), -np.inf))
    cells = (below, *ordinary, *others)
    return SampledFeature(name, Kind.NUMERIC, cells, lowest=lowest, edges=tuple(edges.tolist()))


def a_categorical_feature(name: str, counts: Sequence[int]) -> Feature:
    ordinary = [Cell(f"c{i}", c) for i, c in enumerate(counts)]
    rare = [Cell("unseen", 0, rare=True), Cell("missing", 0, rare=True)]
    return Feature(name, Kind.CATEGORICAL, (*ordinary, *rare))


def a_baseline(sample: Floats, digest: str = "sha256:b") -> Baseline:
    features = tuple(a_numeric_feature(f"f{j}", sample[:, j]) for j in range(sample.shape[1]))
    return Baseline(digest, len(sample), features)


def count_column(feature: Feature, values: Floats) -> tuple[int, ...]:
    assert isinstance(feature, SampledFeature)
    edges = np.array(feature.edges)
    finite = values[np.isfinite(values)]
    # Cell 0 is `below`, the last one `above`.
    place = np.searchsorted(edges, finite) + 1
    place[finite <= feature.lowest] = 0
    found = np.bincount(place, minlength=len(edges) + 2).tolist()
    return (*found, int(np.isnan(values).sum()), int(np.isinf(values).sum()))


def count_rows(baseline: Baseline, rows: Floats) -> CellCounts:
    return CellCounts.of(count_column(f, rows[:, j]) for j, f in enumerate(baseline.features))


def a_full_window(
    baseline: Baseline, counts: CellCounts, *, lengths: Sequence[timedelta] = (LENGTH,)
) -> tuple[Windows, datetime]:
    """Windows whose newest complete one holds `counts`, and the time at which it does."""
    now = START + max(lengths) + min(lengths) / 3
    windows = Windows.for_baseline(None, model="sha256:m", baseline=baseline, scales=lengths, now=now)
    return replace(windows, scales=tuple(_full(scale, windows, counts) for scale in windows.scales)), now


def _full(scale: Scale, windows: Windows, counts: CellCounts) -> Scale:
    newest = windows.last // scale.slot_length - 1
    slots = (
        Slot(n, counts if n == newest else windows.empty, scale.slot_length) for n in range(newest - 2, newest + 1)
    )
    return Scale(scale.length, (newest - 3) * scale.slot_length, tuple(slots))
