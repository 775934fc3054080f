"""What a reference will not be good for, in sentences for whoever packages a model, with what to do about it."""

from math import sqrt
from typing import Final

FEWEST_ROWS: Final = 5000
"""Reference rows from which on small shifts can be seen; four times as many see half as small ones."""

NOT_HELD_OUT: Final = (
    "no rows are said to be held out: on rows that a model was fitted on it is surer and more often right than on new "
    "ones, so drift of its predictions and its performance without labels can't be judged by these; say which rows it "
    "was not fitted on by --holdout (holdout=)"
)
NO_LABELS: Final = (
    "the held-out rows have no labels, so performance can't be estimated where labels are missing later; name their "
    "column by --label (labels=)"
)


def few_rows(rows: int, what: str) -> str | None:
    """Say what too few rows can't tell: shifts below about 6 / sqrt(rows), where chance alone is often as far.

    >>> few_rows(2000, "reference rows").split(";")[0]
    'of 2000 reference rows a shift below 0.13 standard deviations can not be told from chance'
    """
    if rows >= FEWEST_ROWS:
        return None
    seen = ", ".join(f"with {more} rows it is {6 / sqrt(more):.2g}" for more in (FEWEST_ROWS, 4 * FEWEST_ROWS))
    shift = f"a shift below {6 / sqrt(rows):.2g} standard deviations"
    return f"of {rows} {what} {shift} can not be told from chance; {seen}"


def short_windows(days: float) -> str:
    """Say that times tell nothing of how counts vary from window to window."""
    return (
        f"the times span {days:.1f} days, too few for 14 windows of 50 rows: by how much counts vary from window to "
        f"window is not known; give rows of more time"
    )


def no_season(days: float) -> str:
    """Say that times tell no season."""
    return (
        f"the times span {days:.1f} days: the season of a day needs rows of two, 100 in each hour; windows shorter "
        f"than a day can only be compared with the whole reference"
    )


def coarse_season(buckets: int, wanted: int, features: int, most_bytes: int) -> str:
    """Say that the season takes too much room."""
    kept = f"cut into {buckets} parts of the day" if buckets else "left out"
    return f"the season is {kept}, not {wanted}: with {features} features it would be over {most_bytes} bytes"


def unmeasured(problem: str) -> str:
    """Say that the model refuses rows of which a column was shuffled."""
    return f"no importance was measured, since the model refuses rows with a column shuffled: {problem}"
