"""B3: streams without labels that change every 5,000 rows; the product's tests on windows of the newest rows.

The streams are WaveformDrift2 and SineClusters as Lukats et al. describe them (Int J Data Sci Anal 2024, doi
10.1007/s41060-024-00620-y), drawn anew; the figures of others are the best of their published configurations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.figures import Figure
from benchmarks.decisions.columns import Floats
from benchmarks.decisions.options import Options
from benchmarks.decisions.table import OTHERS
from kingmaker.core.statistics.columns import Cells, Noise, compare_columns
from kingmaker.core.statistics.tails import combined

NAME: Final = "B3"
EVERY: Final = 5000
ROWS: Final = 154_987
_CELLS: Final = 8
_BLOCK: Final = 100
_LEVEL: Final = 1e-7
"""Of one look at one window: every row is a look."""
_TRIANGLE: Final = np.maximum(6 - np.abs(np.arange(1, 22) - 7), 0.0)


def waveform(random: np.random.Generator, rows: int) -> Floats:
    """Twenty-one noisy mixes of two of three triangles, which are raised, mirrored or turned over at each change."""
    triangles = np.stack([_TRIANGLE, np.roll(_TRIANGLE, 8), np.roll(_TRIANGLE, 4)])
    changes = (triangles, triangles + 6, 6 - triangles, -triangles)
    pairs = np.array([(0, 1), (0, 2), (1, 2)])
    parts = []
    for chosen in _concepts(random, len(changes), rows):
        pair = pairs[random.integers(0, 3, EVERY)]
        share = random.random((EVERY, 1))
        mix = share * changes[chosen][pair[:, 0]] + (1 - share) * changes[chosen][pair[:, 1]]
        parts.append(mix + random.normal(size=mix.shape))
    return np.concatenate(parts)[:rows]


def sine_clusters(random: np.random.Generator, rows: int) -> Floats:
    """Four noisy waves of period 500, of which two change; every column's values stay the same over a period."""
    angle = 2 * np.pi * (np.arange(EVERY) % 500) / 500
    sine, cosine = np.sin(angle), np.cos(angle)
    waves = [
        np.stack(w, axis=1)
        for w in ((sine, cosine, sine, cosine), (-sine, cosine, sine, cosine), (-cosine, -cosine, sine, cosine))
    ]
    parts = [waves[chosen] + random.normal(0, 0.25, (EVERY, 4)) for chosen in _concepts(random, len(waves), rows)]
    values = np.concatenate(parts)[:rows]
    # Products tell what single columns can't: how they go together.
    return np.concatenate([values, *(values[:, [i]] * values[:, [j]] for i, j in combinations(range(4), 2))], axis=1)


def _concepts(random: np.random.Generator, kinds: int, rows: int) -> Iterator[int]:
    """Which concept holds in each stretch: never the one before."""
    chosen = -1
    for _ in range(-(-rows // EVERY)):
        chosen = int(random.choice([kind for kind in range(kinds) if kind != chosen]))
        yield chosen


@dataclass(frozen=True, slots=True)
class Detector:
    """Compares windows of the newest rows with the first rows since the last alarm."""

    reference: int
    windows: tuple[int, ...]

    def alarms(self, rows: Floats) -> list[int]:
        """Rows after which there was an alarm; each begins anew."""
        found, begin = list[int](), 0
        while (alarm := self._first(rows, begin)) is not None:
            found.append(alarm)
            begin = alarm
        return found

    def _first(self, rows: Floats, begin: int) -> int | None:
        known = rows[begin : begin + self.reference]
        if len(known) < self.reference:
            return None
        edges = [np.unique(np.quantile(column, np.linspace(0, 1, _CELLS + 1)[1:-1])) for column in known.T]
        before = _cells(_counted(known, known, edges).sum(axis=0))
        at = begin + self.reference
        while at < len(rows):
            longest = max(self.windows)
            block = rows[max(at - longest, begin) : at + _BLOCK]
            sums = np.pad(_counted(block, known, edges).cumsum(axis=0), [(1, 0), (0, 0), (0, 0)])
            offset = max(at - longest, begin)
            ends = np.arange(at + 1, min(at + _BLOCK, len(rows)) + 1)
            alarmed = self._looks(sums, ends - offset, ends - begin - self.reference, before)
            if alarmed.any():
                return int(ends[np.argmax(alarmed)])
            at += _BLOCK
        return None

    def _looks(self, sums: NDArray[np.int64], ends: NDArray[np.intp], since: NDArray[np.intp], before: Cells) -> Any:
        """Which of the looks at these ends find anything; a window waits until it holds no row of the reference."""
        alarmed = np.zeros(len(ends), dtype=bool)
        for window in self.windows:
            fit = np.flatnonzero(since >= window)
            if not fit.size:
                continue
            current = _cells(sums[ends[fit]] - sums[ends[fit] - window])
            ordered = np.ones(current.ordinary.shape[1], dtype=bool)
            compared = compare_columns(before, current, ordered=ordered)
            p_values, weights = compared.p_values(0.0, Noise.none(*before.rare.shape))
            weights = weights / np.maximum(1, weights.sum(axis=-1, keepdims=True))
            shape = (len(fit), -1)
            alarmed[fit] |= combined(p_values.reshape(shape), weights.reshape(shape)) <= _LEVEL / len(self.windows)
        return alarmed


def _counted(rows: Floats, known: Floats, edges: list[Floats]) -> NDArray[np.int64]:
    """One row per cell and column: (rows, columns, cells), `below` first and `above` last."""
    places = np.stack([np.searchsorted(e, rows[:, at]) + 1 for at, e in enumerate(edges)], axis=1)
    places = np.where(rows < known.min(axis=0), 0, np.where(rows > known.max(axis=0), _CELLS + 1, places))
    return (places[..., None] == np.arange(_CELLS + 2)).astype(np.int64)


def _cells(counts: NDArray[np.int64]) -> Cells:
    return Cells(counts[..., 1:-1].astype(float), counts[..., [0, -1]].astype(float))


Stream = Callable[[np.random.Generator, int], Floats]

STREAMS: Final[tuple[tuple[str, Stream, Detector, float, dict[str, str]], ...]] = (
    ("Waveform", waveform, Detector(500, (5, 10, 25, 50)), 10.9,
     {"SPLL": "30 found, 10.9", "BNDM": "30, 75", "D3": "30, 47.7", "UDetect": "54, 12.8"}),
    ("SineClusters", sine_clusters, Detector(1000, (500,)), 95.5,
     {"BNDM": "30 found, 95.5", "SPLL": "41, 122.9", "D3": "46, 171.9"}),
)  # fmt: skip


def run(options: Options) -> Iterator[Figure]:
    """Measure detections, false alarms and delays on each stream."""
    seeds, rows = options.amount(10, 1), options.amount(ROWS, 40_000)
    changes = np.arange(EVERY, rows, EVERY)
    for name, stream, detector, must, others in STREAMS:
        found, false, delays = [], [], list[int]()
        for seed in range(seeds):
            alarms = np.array(detector.alarms(stream(np.random.default_rng((40, seed)), rows)))
            first = [alarms[(alarms > change) & (alarms <= change + EVERY)][:1] for change in changes]
            delays += [int(at[0] - change) for at, change in zip(first, changes, strict=True) if at.size]
            found.append(sum(at.size for at in first))
            false.append(len(alarms) - found[-1])
        details: dict[str, Any] = {OTHERS: others, "seeds": seeds}
        yield Figure(
            f"B3: {name}, changes found of {len(changes)}", min(found), len(changes), "", details, at_least=True
        )
        yield Figure(f"B3: {name}, false alarms per stream", float(np.mean(false)), 0.1, "")
        yield Figure(f"B3: {name}, mean time to detection", round(float(np.mean(delays)), 1), must, "rows")
