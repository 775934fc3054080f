"""What must be known of a model to say what its answers are worth, read from its Model and its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from kingmaker.api import Model, TaskType
from kingmaker.core.contest.losses import Chances, class_shares
from kingmaker.core.counts.baseline import Baseline, Cell, Feature
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.labelled import name_class
from kingmaker.core.identity import by_identity


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a model.

    `classes` are the shares of the true classes in its baseline (of the predicted ones, where those are not known);
    `chances` what the cells of its score stand for.
    """

    type: TaskType | None = None
    positive: str = ""
    classes: tuple[tuple[str, float], ...] = ()
    chances: Chances | None = None


def subject_of(model: Model | None, baseline: Baseline | None) -> Subject:
    """Read what is known of a model.

    Args:
        model: None for one that is gone.
        baseline: Its baseline, if it has one and it was read.
    """
    task = model.spec.task if model else None
    known = _of_baseline(baseline) if baseline else Subject()
    return replace(known, type=task.type, positive=task.positive or "") if task else known


@by_identity
def _of_baseline(baseline: Baseline) -> Subject:
    prediction, score = baseline.prediction, baseline.score
    shares = class_shares(_true_classes(prediction, score)) if prediction or score else ()
    return Subject(classes=shares, chances=_chances(prediction, score) if prediction and score else None)


def _true_classes(*columns: Feature | None) -> Mapping[str, int]:
    """Reference rows per true class, by the first column that knows them; else per predicted class."""
    for column in columns:
        counts: dict[str, int] = {}
        for cell in column.cells if column else ():
            for name, count in cell.classes.items():
                counts[name] = counts.get(name, 0) + count
        if counts:
            return counts
    return {name_class(c.value): c.count for c in (columns[0].cells if columns[0] else ()) if c.value is not None}


def _chances(prediction: Feature, score: Feature) -> Chances | None:
    """Give the probabilities that the cells of a score stand for: their middles; None unless there are two classes.

    A score is the probability of the second class, in the order in which models have them: as numbers, else as texts.
    """
    values = [cell.value for cell in prediction.cells if cell.value is not None]
    named = {name_class(value): value for value in values}
    if len(named) != 2:
        return None
    texts = any(isinstance(value, str) for value in values)
    second = max(named, key=str if texts else lambda name: float(named[name]))
    return Chances(second, tuple(_middles(score.cells)))


def _middles(cells: tuple[Cell, ...]) -> list[float | None]:
    """Give the middle of each cell between 0 and 1; None for the last two, missing and infinite."""
    edges = [min(max(cell.upper, 0.0), 1.0) if cell.upper is not None else None for cell in cells]
    known = [edge for edge in edges[1:] if edge is not None]
    first = edges[0] if edges and edges[0] is not None else (known[0] if known else 0.0)
    # `below` ends where the reference begins; `above`, the last of those that are probabilities, ends at 1.
    bounds = [0.0, first, *known, 1.0]
    middles: list[float | None] = [(low + high) / 2 for low, high in pairwise(bounds)]
    return [*middles, *[None] * (len(cells) - len(middles))]


def predicted_shares(watch: DataMonitor, champion: str, baseline: Baseline | None) -> tuple[tuple[str, float], ...]:
    """Give the shares of the classes among all that the champion predicted of late; empty where that is not known.

    Args:
        watch: What monitoring remembers, windows among it.
        champion: Its digest.
        baseline: Its own, None where it was not read.
    """
    windows = watch.windows
    if windows is None or baseline is None or baseline.prediction is None or not windows.scales:
        return ()
    if (windows.model, windows.baseline) != (champion, baseline.digest) or not windows.empty.fits(baseline):
        return ()
    longest = max(windows.scales, key=lambda scale: scale.length)
    begin = sum(windows.empty.widths[: len(baseline.features)])
    place = slice(begin, begin + len(baseline.prediction.cells))
    rows = sum((slot.counts.vector[place] for slot in longest.slots), windows.empty.vector[place])
    total = int(rows.sum())
    cells = zip(baseline.prediction.cells, rows.tolist(), strict=True)
    return tuple((name_class(c.value), n / total) for c, n in cells if c.value is not None and total)
