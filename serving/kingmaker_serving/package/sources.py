"""Reference rows out of files, with what their other columns say of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kingmaker_serving.package.rows import truths
from kingmaker_serving.package.tables import Table, invalid, read_table


@dataclass(frozen=True, slots=True)
class Sources:
    """What files say, as `package` takes it."""

    rows: Table
    labels: np.ndarray | None = None
    times: np.ndarray | None = None
    holdout: float | np.ndarray | Table | None = None
    holdout_labels: np.ndarray | None = None


def read_sources(
    data: Path,
    *,
    label: str | None,
    time: str | None,
    holdout: float | Path | None,
    holdout_column: str | None,
) -> Sources:
    """Read the reference rows, and take out of them the columns that are no features.

    Args:
        data: File of the rows.
        label: Column of the true answers.
        time: Column of their times.
        holdout: Share of the rows, or another file, that the model was not fitted on.
        holdout_column: Column that says so of each row instead.

    Raises:
        VerbError: A file can't be read, or lacks one of the columns.
    """
    if holdout is not None and holdout_column is not None:
        raise invalid("held-out rows are named by --holdout and by --holdout-column; name them by one of the two")
    rows = read_table(data)
    labels = rows.take(label) if label else None
    times = rows.take(time) if time else None
    if holdout_column is not None:
        return Sources(rows, labels, times, truths(rows.take(holdout_column), holdout_column))
    if not isinstance(holdout, Path):
        return Sources(rows, labels, times, holdout)
    if not holdout.is_file():
        raise invalid(f"--holdout is {str(holdout)!r}, which is neither a file nor a share such as 0.2")
    apart = read_table(holdout)
    if time:
        apart.columns.pop(time, None)
    apart_labels = apart.take(label) if label and label in apart.columns else None
    return Sources(rows, labels, times, apart, apart_labels)
