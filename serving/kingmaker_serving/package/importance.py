"""How much each column moves the model's answers: permutation importance (Breiman 2001) on the answers themselves.

No labels are needed: a column is shuffled over the rows, and what counts is how far the answers are from those to the
rows as they were. So it tells what the model depends on, whether or not that is good for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from kingmaker_serving.counts.cells import columns_of
from kingmaker_serving.protocol.signature import Task, TaskType

BUDGET: Final = 200_000
"""Rows that the model is asked for, over all columns."""
MOST_ROWS: Final = 2000
FEWEST_ROWS: Final = 100
_SEED: Final = 0

Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def rows_for(columns: int) -> int:
    """Give how many rows are shuffled per column, so that all columns together stay within the budget.

    >>> rows_for(30), rows_for(1000)
    (2000, 200)
    """
    return max(FEWEST_ROWS, min(MOST_ROWS, BUDGET // columns))


def importances(
    predict: Predict,
    feeds: Mapping[str, np.ndarray],
    columns: Sequence[tuple[str, int]],
    task: Task,
    progress: Callable[[int], None],
) -> list[float] | None:
    """Measure how much of the model's answers hangs on each column.

    Args:
        predict: The model.
        feeds: Rows by input; copied, and taken as they are otherwise.
        columns: Input and column of each.
        task: Which outputs hold the answer.
        progress: Told how many columns are done.

    Returns:
        Parts in the order of `columns`, which sum to 1; None when nothing moves the model.
    """
    own = {name: array.copy() for name, array in feeds.items()}
    before = predict(own)
    random = np.random.default_rng(_SEED)
    moved = []
    for done, (name, column) in enumerate(columns, start=1):
        values = columns_of(own[name])
        kept = values[:, column].copy()
        values[:, column] = random.permutation(kept)
        moved.append(_distance(task, before, predict(own)))
        values[:, column] = kept
        progress(done)
    total = sum(moved)
    return [round(part / total, 6) for part in moved] if 0 < total < float("inf") else None


def _distance(task: Task, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> float:
    """Give how far answers are apart, the mean over the rows; rows without a number on one side are left out."""
    name = task.score if task.score is not None and task.score in before else task.label
    one, other = before[name], after[name]
    if name == task.label and task.type is TaskType.CLASSIFICATION:
        return float(np.mean(one != other))
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(one.astype(float) - other.astype(float))
    apart = apart[np.isfinite(apart)]
    return float(apart.mean()) if len(apart) else 0.0
