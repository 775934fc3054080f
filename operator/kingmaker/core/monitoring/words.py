"""How a column moved, and by how much, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from kingmaker.core.counts.baseline import Cell
from kingmaker.core.statistics.columns import DISPERSION, LOCATION, SHAPE, Comparison, Noise
from kingmaker.core.statistics.tails import Floats

_RARE_WORDS: Final = {"below": "more below the range", "above": "more above the range"}
_FARTHEST: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A window's tests at the tolerance at which they were significant.

    P-values and weights are (columns, parts), those of the rare cells (columns, rare cells).
    """

    comparison: Comparison
    noise: Noise
    p_values: Floats
    weights: Floats
    rare: Floats


def direction_of(moved: Moved, column: int, rare_cells: Sequence[Cell], level: float) -> str:
    """Say how a column moved, strongest first.

    Args:
        moved: The window.
        column: Which of its columns.
        rare_cells: What its rare cells are called.
        level: P-values up to it are significant, 0..1.
    """
    p_values = np.where(moved.weights[column] > 0, moved.p_values[column], 1.0)
    words = _rank_words(moved, column) if p_values[LOCATION : DISPERSION + 1].min() <= level else []
    if not words and p_values[SHAPE] <= level:
        words = ["other shape"]
    words += [
        _RARE_WORDS.get(cell.name, f"more {cell.name}")
        for cell, p_value in zip(rare_cells, moved.rare[column].tolist(), strict=False)
        if p_value <= level
    ]
    return ", ".join(words) or "other shape"


def _rank_words(moved: Moved, column: int) -> list[str]:
    expected = moved.noise.expected[column]
    location = float(moved.comparison.location[column] - expected[LOCATION])
    dispersion = float(moved.comparison.dispersion[column] - expected[DISPERSION])
    up = (abs(location), "shifted up" if location > 0 else "shifted down")
    spread = (abs(dispersion), "wider" if dispersion > 0 else "narrower")
    strongest = max(up[0], spread[0])
    # The lesser one is named only when it is no mere shadow of the other: a large shift bends the ranks a little.
    return [word for size, word in sorted((up, spread), reverse=True) if size > strongest / 2]


def shift_of(comparison: Comparison, column: int) -> float | None:
    """Give the shift of a column as standard deviations of a normal one; up is positive, None without order.

    From the probability that a new value is above an old one, which ranks know whatever the distribution.
    """
    if not comparison.ordered[column]:
        return None
    r, c = (x.ordinary[column] for x in (comparison.reference, comparison.current))
    if not r.sum() or not c.sum():
        return None
    p, q = r / r.sum(), c / c.sum()
    above = float((q * (np.cumsum(p) - p / 2)).sum())
    return float(np.sqrt(2) * special.ndtri(min(max(above, _FARTHEST), 1 - _FARTHEST)))
