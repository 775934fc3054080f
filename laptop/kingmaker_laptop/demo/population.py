"""Who the requests of the demo are about: real rows, drawn again and again with a little noise, in changing worlds."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE: Final = 0.05
"""Noise on a drawn row, in standard deviations of each feature: no request repeats another to the digit."""

BROKEN_FEATURE: Final = "mean radius"
BROKEN_FACTOR: Final = 1000.0
"""The feature whose unit breaks, and by how much: millimetres arrive as micrometres."""

SHIFTED_PREFIX: Final = "worst "
SHIFT_EXPONENT: Final = 0.6
"""The features that a new scanner reads higher, and the exponent of its response on the range 0..1."""

RULE_FEATURE: Final = "mean texture"
MALIGNANT: Final = 1
"""The feature by which the rule changes, and the label that coarse rows have from then on."""


class World(StrEnum):
    """What the rows look like at present."""

    NORMAL = "normal"
    BROKEN_UNIT = "broken-unit"
    """One feature arrives in another unit: every value is out of range."""
    SHIFTED = "shifted"
    """A new scanner reads ten features higher, all within range: nothing is broken, yet the old boundary is wrong."""
    NEW_RULE = "new-rule"
    """As shifted, and coarse texture counts as malignant from now on: rows look as before, what is right changed."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows to draw from: `features` [n, k], `labels` [n]."""

    names: tuple[str, ...]
    features: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows of one request and their labels. `is_recorded`: they go to the training data, and judge nobody."""

    features: Floats
    labels: NDArray[np.int64]
    is_recorded: bool


def read_pool(path: Path, label: str) -> Pool:
    """Read a CSV file with a column per feature and one for the label.

    Raises:
        ValueError: The file has no such column or no rows.
    """
    with path.open(newline="") as stream:
        header, *lines = list(csv.reader(stream))
    if label not in header or not lines:
        found = f"{len(lines)} rows of {len(header)} columns"
        message = f"{path}: expected a column {label!r} and at least one row, found {found}"
        raise ValueError(message)
    table = np.array(lines, dtype=float)
    column = header.index(label)
    names = tuple(name for name in header if name != label)
    return Pool(names, np.delete(table, column, axis=1), table[:, column].astype(np.int64))


class Population:
    """Draws rows. Half of the requests are of `recorded` rows, half of `judged` ones; the parts never mix.

    Args:
        recorded: Rows whose labels go to the training data.
        judged: Rows whose labels judge models.
        seed: The same seed draws the same rows.
    """

    def __init__(self, recorded: Pool, judged: Pool, *, seed: int = 0) -> None:
        if recorded.names != judged.names:
            raise ValueError(f"the two pools have different features: {recorded.names[:3]}..., {judged.names[:3]}...")
        self.names = recorded.names
        self._pools = (recorded, judged)
        self._random = np.random.default_rng(seed)
        everything = np.concatenate([recorded.features, judged.features])
        self._coarse = float(np.median(everything[:, self.names.index(RULE_FEATURE)]))
        self._low, self._high = everything.min(axis=0), everything.max(axis=0)
        self._noise = NOISE * everything.std(axis=0)

    def draw(self, world: World, *, most_rows: int = 4) -> Drawn:
        """Draw 1 to `most_rows` rows of one pool, as they look in `world`."""
        is_recorded = bool(self._random.random() < 0.5)
        pool = self._pools[0 if is_recorded else 1]
        chosen = self._random.integers(len(pool.labels), size=int(self._random.integers(1, most_rows + 1)))
        noise = self._random.normal(0.0, 1.0, size=(len(chosen), len(self.names))) * self._noise
        features = np.clip(pool.features[chosen] + noise, self._low, self._high)
        return Drawn(self.seen_in(world, features), self.true_in(world, features, pool.labels[chosen]), is_recorded)

    def true_in(self, world: World, features: Floats, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give what is true of rows in `world`, by what was true of them as measured."""
        if world is not World.NEW_RULE:
            return labels
        coarse = features[:, self.names.index(RULE_FEATURE)] > self._coarse
        return np.where(coarse, MALIGNANT, labels)

    def seen_in(self, world: World, features: Floats) -> Floats:
        """Give the rows as they arrive in `world`; the argument is not modified."""
        match world:
            case World.NORMAL:
                return features
            case World.BROKEN_UNIT:
                broken = features.copy()
                broken[:, self.names.index(BROKEN_FEATURE)] *= BROKEN_FACTOR
                return broken
            case World.SHIFTED | World.NEW_RULE:
                return _bend(features, _columns(self.names), self._low, self._high)


def _columns(names: Sequence[str]) -> list[int]:
    return [index for index, name in enumerate(names) if name.startswith(SHIFTED_PREFIX)]


def _bend(features: Floats, columns: Sequence[int], low: Floats, high: Floats) -> Floats:
    """Raise the columns by a curve that keeps both ends of their range, so that no value leaves it."""
    bent = features.copy()
    for column in columns:
        span = high[column] - low[column]
        place = np.clip((features[:, column] - low[column]) / span, 0.0, 1.0)
        bent[:, column] = low[column] + span * place**SHIFT_EXPONENT
    return bent
