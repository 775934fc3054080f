"""What the times of reference rows tell: how counts vary from window to window, and over the hours of a day.

Real requests come in clusters (batches, clients, hours), so counts of a window vary more than those of independent rows
would. By how much is learnt from windows of the reference itself, as quasi-likelihood does it (Wedderburn 1974): the
median of Pearson's statistic over windows, divided by the median that it would have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from kingmaker_serving.package.reference import Cut
from kingmaker_serving.package.tables import as_array, invalid, is_absent

WINDOWS: Final = {"1h": 3600, "24h": 86_400, "168h": 604_800}
"""Lengths in seconds, under the names that the document has for them."""
PERIOD: Final = "24h"
BUCKETS: Final = 24
_FEWEST_WINDOWS: Final = 14
_FEWEST_IN_WINDOW: Final = 50
_FEWEST_IN_BUCKET: Final = 100
_EXPECTED: Final = 5
"""Rows that a cell is expected to hold at least in a window; smaller neighbours are put together."""
_LEAST_FREEDOM: Final = 0.25
"""A window that is most of what it is compared with says nothing."""
_HIGHEST: Final = 10.0
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which size on numbers since 1970 are nano-, micro- or milliseconds."""


def read_times(values: Any) -> np.ndarray:  # noqa: ANN401
    """Read the times of rows.

    Args:
        values: One per row: times of NumPy, pandas, Polars or Arrow, `datetime`s, ISO 8601 texts (UTC where they say
            nothing), or seconds, milli-, micro- or nanoseconds since 1970.

    Returns:
        Seconds since 1970, shape (rows,); NaN where there is none.

    Raises:
        VerbError: One is no time.
    """
    array = as_array(values).reshape(-1)
    if array.dtype.kind == "M":
        seconds = array.astype("datetime64[us]").astype(np.int64) / 1e6
        seconds[np.isnat(array)] = np.nan
        return np.asarray(seconds)
    if array.dtype.kind in "OUS":
        array = np.array([_seconds(value, row) for row, value in enumerate(array.tolist())])
    if array.dtype.kind not in "iuf":
        raise invalid(f"times are of type {array.dtype}; {_EXPECTS}")
    seconds = array.astype(float)
    seconds[~np.isfinite(seconds)] = np.nan
    size = float(np.nanmedian(np.abs(seconds))) if np.isfinite(seconds).any() else 0.0
    return np.asarray(seconds / next((unit for least, unit in _UNITS if size >= least), 1.0))


_EXPECTS: Final = "expected ISO 8601 such as 2026-11-27T14:00:00Z, or seconds since 1970"


def _seconds(value: Any, row: int) -> float:  # noqa: ANN401
    if is_absent(value) or value == "":
        return float("nan")
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise invalid(f"the time of row {row} is {str(value)[:60]!r}; {_EXPECTS}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class _Windows:
    """Rows in windows of one length.

    `window` gives each row's, shape (rows,); `mix` has the rows per window and bucket; `usable` says which windows tell
    something.
    """

    name: str
    window: np.ndarray
    mix: np.ndarray
    usable: np.ndarray
    by_season: bool


class Timeline:
    """When reference rows were, cut once for all columns."""

    def __init__(self, seconds: np.ndarray) -> None:
        """Take seconds since 1970, shape (rows,); rows without a time are left out."""
        self._rows = np.flatnonzero(np.isfinite(seconds))
        times = seconds[self._rows]
        days = np.floor(times / WINDOWS[PERIOD])
        self._buckets = (np.floor(times) % WINDOWS[PERIOD] * BUCKETS // WINDOWS[PERIOD]).astype(np.intp)
        per_bucket = np.bincount(self._buckets, minlength=BUCKETS)
        filled = per_bucket[per_bucket > 0]
        self.has_season = len(np.unique(days)) > 1 and len(filled) > 1 and filled.mean() >= _FEWEST_IN_BUCKET
        self.days = float(np.ptp(times)) / 86_400 if len(times) else 0.0
        self._all = [self._cut(name, length, times) for name, length in WINDOWS.items()]
        self.lengths = [w.name for w in self._all if w.usable.sum() >= _FEWEST_WINDOWS]

    def _cut(self, name: str, length: int, times: np.ndarray) -> _Windows:
        by_season = self.has_season and length < WINDOWS[PERIOD]
        found, window = np.unique(np.floor(times / length), return_inverse=True)
        buckets = self._buckets if by_season else np.zeros(len(times), dtype=np.intp)
        width = BUCKETS if by_season else 1
        mix = np.bincount(window * width + buckets, minlength=len(found) * width).reshape(len(found), width)
        rows = mix.sum(axis=1)
        usable = (rows >= _FEWEST_IN_WINDOW) & (_freedom(mix) >= _LEAST_FREEDOM)
        return _Windows(name, window, mix, usable, by_season)

    def season(self, cut: Cut) -> np.ndarray | None:
        """Count a column's rows per bucket and cell; None where there are too few rows, or one day only."""
        if not self.has_season:
            return None
        width = len(cut.column.cells)
        places = self._buckets * width + cut.places[self._rows]
        return np.bincount(places, minlength=BUCKETS * width).reshape(BUCKETS, width)

    def dispersion(self, cut: Cut) -> dict[str, float]:
        """Give by how much a column's counts vary more than independent rows would, 1..10, per length of window.

        Windows shorter than the season are held against the same hours, longer ones against the whole reference.
        """
        season = self.season(cut)
        found = {}
        for windows in self._all:
            if windows.name in self.lengths:
                phi = self._dispersion(cut, windows, season if windows.by_season else None)
                if phi is not None:
                    found[windows.name] = phi
        return found

    def _dispersion(self, cut: Cut, windows: _Windows, season: np.ndarray | None) -> float | None:
        width = len(cut.column.cells)
        count = len(windows.mix)
        places = windows.window * width + cut.places[self._rows]
        table = np.bincount(places, minlength=count * width).reshape(count, width)
        reference = table.sum(axis=0, keepdims=True) if season is None else season
        groups = _groups(cut, float(np.median(windows.mix.sum(axis=1)[windows.usable])))
        if len(groups) < 2:
            return None
        table, reference = (np.add.reduceat(counts[:, np.concatenate(groups)], _starts(groups), axis=1)
                            for counts in (table, reference))  # fmt: skip
        share = reference / np.maximum(reference.sum(axis=1, keepdims=True), 1)
        expected = windows.mix @ share
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(expected > 0, (table - expected) ** 2 / expected, 0.0)
        statistic = (terms.sum(axis=1)[windows.usable]) / _freedom(windows.mix)[windows.usable]
        phi = float(np.median(statistic)) / _median_of_chi_square(len(groups) - 1)
        return round(min(max(phi, 1.0), _HIGHEST), 1)


def halved(season: np.ndarray) -> np.ndarray:
    """Put neighbouring buckets of a season together, two and two."""
    return np.asarray(season[::2] + season[1::2])


def _freedom(mix: np.ndarray) -> np.ndarray:
    """Give how much a window's counts can differ from what they are compared with, of which they are a part: 0..1.

    Args:
        mix: Rows per window and bucket, all rows of a bucket being in one window or another.
    """
    rows, per_bucket = mix.sum(axis=1), mix.sum(axis=0)
    part = (mix**2 / np.maximum(per_bucket, 1)).sum(axis=1)
    return np.asarray(1 - part / np.maximum(rows, 1))


def _groups(cut: Cut, rows: float) -> list[list[int]]:
    """Put cells together until each group is expected to hold enough rows of a window; the rare ones come last."""
    cells = cut.column.cells
    ordered = sorted(range(len(cells)), key=lambda place: cells[place].rare)
    total = sum(cell.count for cell in cells)
    groups: list[list[int]] = [[]]
    held = 0
    for place in ordered:
        groups[-1].append(place)
        held += cells[place].count
        if held * rows / total >= _EXPECTED:
            groups.append([])
            held = 0
    rest = groups.pop()
    if rest and groups:
        groups[-1] += rest
    return groups


def _starts(groups: Iterable[list[int]]) -> np.ndarray:
    return np.cumsum([0, *(len(group) for group in groups)])[:-1]


def _median_of_chi_square(freedom: int) -> float:
    """Give the median of a chi-square distribution, right to a percent (Wilson & Hilferty 1931)."""
    return freedom * (1 - 2 / (9 * freedom)) ** 3
