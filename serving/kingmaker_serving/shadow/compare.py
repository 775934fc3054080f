"""Whether two models agree on the same rows, and how far apart they are. Pure."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from kingmaker_serving.protocol.signature import Task, TaskType

CLOSE: Final = 1e-4
"""Relative and absolute: within it, numbers are the same for models without a task."""
DISTANCE_EDGES: Final = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 10.0, 100.0)
"""Upper edges of the cells of distances, closed above; one more cell is open."""
Arrays = Mapping[str, np.ndarray]


class UnusableError(Exception):
    """The challenger's answer can't be compared with the champion's."""


def agreement(task: Task | None, mine: Arrays, theirs: Arrays, rows: int) -> np.ndarray:
    """Say per row whether both models agree.

    Args:
        task: What an answer means; None compares all outputs.
        mine: The champion's outputs.
        theirs: The challenger's.
        rows: Of the request.

    Returns:
        Booleans, shape (rows,).

    Raises:
        UnusableError: The challenger's answer has no such output, or another number of rows.
    """
    if task is None:
        return np.full(rows, _all_close(mine, theirs))
    left, right = mine[task.label], theirs.get(task.label)
    if right is None or right.size != left.size:
        message = f"its answer has no output {task.label!r} of {left.size} rows"
        raise UnusableError(message)
    left, right = left.reshape(-1), right.reshape(-1)
    if task.type is TaskType.CLASSIFICATION:
        return _equal(left, right)
    if left.dtype.kind == "O" or right.dtype.kind == "O":
        return np.zeros(len(left), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.abs(left.astype(np.float64) - right.astype(np.float64)) <= task.tolerance


def distances(task: Task, mine: Arrays, theirs: Arrays) -> np.ndarray:
    """Count rows by how far apart the two answers are: numbers of a regression, else the scores, largest of a row.

    Returns:
        Counts, one per edge of `DISTANCE_EDGES` and one above; all 0 where there is nothing to measure.
    """
    counts = np.zeros(len(DISTANCE_EDGES) + 1, dtype=np.int64)
    name = task.label if task.type is TaskType.REGRESSION else task.score
    left, right = (side.get(name) if name else None for side in (mine, theirs))
    if left is None or right is None or left.shape != right.shape or "O" in (left.dtype.kind, right.dtype.kind):
        return counts
    if not left.size:
        return counts
    left, right = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore"):
        # Two infinities of a sign are the same, though their difference is no number.
        apart = np.where(left == right, 0.0, np.abs(left - right)).reshape(len(left), -1).max(axis=1)
    # NaN sorts last: whoever says nothing is farthest.
    found = np.searchsorted(DISTANCE_EDGES, apart, side="left")
    counts += np.bincount(found, minlength=len(counts))
    return counts


def _equal(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if (left.dtype.kind == "O") != (right.dtype.kind == "O"):
        return np.zeros(len(left), dtype=bool)
    return np.asarray(left == right, dtype=bool)


def _all_close(mine: Arrays, theirs: Arrays) -> bool:
    for name, left in mine.items():
        right = theirs.get(name)
        if right is None or right.shape != left.shape:
            return False
        if left.dtype.kind == "f" and right.dtype.kind == "f":
            if not np.allclose(left, right, rtol=CLOSE, atol=CLOSE, equal_nan=True):
                return False
        elif not _equal(left.reshape(-1), right.reshape(-1)).all():
            return False
    return True
