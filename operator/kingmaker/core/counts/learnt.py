"""What the quiet windows of one length had: what is usual at which time of a season, and how much it varies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kingmaker.core.counts.integers import Integers

EFFECT: float = 1e-3
"""Unit in which effects are kept."""
SQUARE: float = 1e-2
"""Unit in which squared deviations are kept."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """Sums over quiet windows of one `length` that do not overlap, the older ones forgotten little by little.

    Columns and rare cells are as in the reference of the baseline, parts are shape, location and dispersion. `season`
    is the period by which windows are told apart, 0 where they are not; `until` the end of the newest window, in
    milliseconds since 1970 as the windows have it.

    - `seen` (buckets): windows per bucket of the season, `effects` (buckets, columns, parts) their summed effects: X²
      beyond its degrees of freedom per row, the components per root of the rows.
    - `looks` windows that could be compared with what was usual, `squares` (columns, parts): the summed squares of
      their deviations, which are 1 on average of independent rows.
    - `rows` (columns) and `rare` (columns, rare cells): rows, and those in rare cells; `rare_squares` likewise.
    """

    length: timedelta
    season: timedelta
    until: int
    seen: Integers
    effects: Integers
    looks: int
    squares: Integers
    rows: Integers
    rare: Integers
    rare_squares: Integers

    @classmethod
    def nothing(cls, length: timedelta, season: timedelta, *, buckets: int, columns: int, rare: int) -> Learnt:
        """Nothing was learnt yet."""
        return cls(
            length,
            season,
            until=0,
            seen=Integers.zeros(buckets),
            effects=Integers.zeros(buckets, columns, 3),
            looks=0,
            squares=Integers.zeros(columns, 3),
            rows=Integers.zeros(columns),
            rare=Integers.zeros(columns, rare),
            rare_squares=Integers.zeros(columns, rare),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Buckets, columns and rare cells."""
        return (*self.effects.array.shape[:2], self.rare.array.shape[1])
