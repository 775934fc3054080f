"""What labels said, as counts: rows for people, and one observation per request for whoever decides.

A request is sent to a model as a whole, so the request is the unit of what is found out about the model: its rows are
alike, and twenty of them are no twenty observations. Per request is counted:

- the share of its rows that were wrong, in eighths; between two of them the request's random number chooses, so that
  the mean over requests is exactly the mean of the shares;
- one row, drawn by the same number: what was predicted and what was true (of a regression: by how much it was off).
  The mean of any cost over these cells is that cost's mean per request, whatever costs somebody thinks of later.

Counts are kept by the model that predicted, which need not be the model of this process, and by decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite, log2
from typing import Final

from kingmaker_serving.counts.baseline import OTHER, Column
from kingmaker_serving.counts.bucketed import NO_BUCKET, BucketSeries, add_class
from kingmaker_serving.counts.series import NONE, PAST, Series
from kingmaker_serving.digest import sha256

KEPT_DECISIONS: Final = 32
"""Labels may be weeks late, and a champion's reign has some decisions."""
MOST_MODELS: Final = 16
"""Models whose labels are kept apart; what comes beyond is counted under `other`."""
MOST_CLASSES: Final = 32
MOST_CELLS: Final = 4096
"""Cells of one family; what comes beyond is counted in the cell whose names are all `other`."""
SHARES: Final = tuple(f"{eighth / 8:g}" for eighth in range(9))
AGE_EDGES: Final = (60, 600, 3600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
"""Upper edges of a label's age in seconds: 1 and 10 minutes, 1 and 6 hours, 1, 3, 7 and 30 days; one more is open."""
ZERO: Final = "0"
NOT_A_NUMBER: Final = "nan"
_LOWEST, _HIGHEST = -80, 160
_LONGEST_NAME: Final = 64
_EXACT: Final = 2.0**64

Key = tuple[str, str, str]
"""Model, first digits of its digest, decision."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request's labels said.

    `share` is out of `SHARES`; the rest is about the drawn row.
    """

    rows: Sequence[bool]
    """Whether the answer was right, per row."""
    share: str
    predicted: str = ""
    true: str = ""
    is_right: bool = False
    error: float | None = None
    """Of a regression: the prediction less the label; NaN where there was no number."""


class LabelCounts:
    """The counters of one served model. Used from the event loop only."""

    def __init__(self, prediction: Column | None = None) -> None:
        """Begin at zero.

        Args:
            prediction: Of the baseline: its classes have names from the start.
        """
        who = ("model", "digest", "decision")
        pair = ("challenger", "decision")
        self.rows = Series("feedback_total", *who, "outcome")
        self.requests = Series("feedback_requests_total", *who, "wrong")
        self.classes = Series("feedback_classes_total", *who, "score", "predicted", "true", "outcome")
        self.errors = Series("feedback_errors_total", *who, "side", "error")
        self.ages = Series("feedback_age_total", "model", "digest", "le")
        self.buckets = BucketSeries("bucket_feedback_total", *who, "bucket", "count")
        self.bucket_errors = BucketSeries("bucket_errors_total", *who, "bucket", "error")
        self.bucket_classes = BucketSeries("bucket_classes_total", *who, "bucket", "predicted", "true", "outcome")
        self.unmatched = Series("feedback_unmatched_total")
        self.repeated = Series("feedback_repeated_total")
        self.unpaired = Series("feedback_unpaired_total")
        self.pair_rows = Series("shadow_feedback_total", *pair, "champion", "challenger_outcome")
        self.pair_requests = Series("shadow_feedback_requests_total", *pair, "wrong", "challenger_wrong")
        self.pair_classes = Series("shadow_feedback_classes_total", *pair, "predicted", "challenger_predicted", "true")
        self.pair_errors = Series("shadow_feedback_errors_total", *pair, "error", "challenger_error")
        for series in (self.unmatched, self.repeated, self.unpaired):
            series.counts[()] = 0
        self._decisions: set[int] = set()
        self._models: set[tuple[str, str]] = set()
        self.names = ClassNames(prediction)

    @property
    def series(self) -> tuple[Series, ...]:
        """All counters, in the order of the exposition."""
        own = (self.rows, self.requests, self.classes, self.errors, self.ages)
        buckets = (self.buckets, self.bucket_classes, self.bucket_errors)
        pairs = (self.pair_rows, self.pair_requests, self.pair_classes, self.pair_errors)
        return (*own, *buckets, self.unmatched, self.repeated, self.unpaired, *pairs)

    def key(self, model: str, digest: str, decision: int | None) -> Key:
        """Give under what the labels of a request are counted; models and decisions stay bounded."""
        return (*self._admit_model(model, digest), self.admit(decision))

    def admit(self, decision: int | None) -> str:
        """Give the label of a decision; the newest few are kept apart."""
        if decision is None:
            return NONE
        if decision not in self._decisions:
            if len(self._decisions) == KEPT_DECISIONS:
                oldest = min(self._decisions)
                if decision < oldest:
                    return PAST
                self._decisions.remove(oldest)
                for series in self.series:
                    series.fold(str(oldest))
            self._decisions.add(decision)
        return str(decision)

    def count(self, key: Key, seen: Seen, *, cell: int | None, age_seconds: float, bucket: str = NO_BUCKET) -> None:
        """Count the labels of one request.

        Args:
            key: Whose.
            seen: What they said.
            cell: Of the predicting model's score, counted from 0; None without one.
            age_seconds: How long after the answer they came.
            bucket: Of the request.
        """
        correct = sum(seen.rows)
        self.rows.add(*key, "correct", count=correct)
        self.rows.add(*key, "wrong", count=len(seen.rows) - correct)
        self.requests.add(*key, seen.share)
        self.ages.add(key[0], key[1], _age(age_seconds))
        if bucket:
            self._count_bucket(key, seen, bucket)
        if seen.error is not None:
            _add_bounded(self.errors, key, (_side(seen.error), error_cell(seen.error)))
            return
        score = "" if cell is None else str(cell)
        outcome = _outcome(seen.is_right)
        _add_bounded(self.classes, key, (score, seen.predicted, seen.true, outcome), keep=(outcome,))

    def _count_bucket(self, key: Key, seen: Seen, bucket: str) -> None:
        """Count the same by bucket: requests, their wrong shares in eighths, and the drawn row."""
        where = (*key, bucket)
        self.buckets.add(*where, "requests")
        self.buckets.add(*where, "eighths", count=SHARES.index(seen.share))
        if seen.error is not None:
            self.bucket_errors.add(*where, error_cell(seen.error, coarse=True))
        else:
            add_class(self.bucket_classes, where, seen.predicted, seen.true, is_right=seen.is_right)

    def count_pair(self, challenger: str, decision: int | None, champion: Seen, other: Seen) -> None:
        """Count the labels of a request that a challenger answered, too.

        Args:
            challenger: Its name.
            decision: Under which copies were sent.
            champion: What they said of the champion's answers.
            other: What they said of the challenger's, in the same rows.
        """
        key = (challenger, self.admit(decision))
        for mine, theirs in zip(champion.rows, other.rows, strict=True):
            self.pair_rows.add(*key, _outcome(mine), _outcome(theirs))
        self.pair_requests.add(*key, champion.share, other.share)
        if champion.error is not None and other.error is not None:
            _add_bounded(self.pair_errors, key, (error_cell(champion.error), error_cell(other.error)))
        else:
            _add_bounded(self.pair_classes, key, (champion.predicted, other.predicted, champion.true))

    def _admit_model(self, model: str, digest: str) -> tuple[str, str]:
        known = (model, digest)
        if known not in self._models:
            if len(self._models) == MOST_MODELS:
                return (OTHER, "")
            self._models.add(known)
        return known


class ClassNames:
    """Which classes have a name of their own in the counts.

    Those of the baseline, from the start; where it puts seldom ones together, so is done here. Without them the first
    that are met, up to 32.
    """

    def __init__(self, prediction: Column | None) -> None:
        """Take the baseline's column of predictions."""
        cells = prediction.cells if prediction else []
        known = [cell.value for cell in cells if cell.value is not None]
        self._names: dict[object, str] = {value: name_class(value) for value in known[:MOST_CLASSES]}
        self._is_closed = any(cell.name == OTHER for cell in cells)

    def of(self, value: str | float | bool | None) -> str:
        """Give the name of a class, `other` when it has none of its own."""
        found = self._names.get(value)
        if found is None:
            if value is None or self._is_closed or len(self._names) >= MOST_CLASSES:
                return OTHER
            found = self._names[value] = name_class(value)
        return found


def name_class(value: str | float | bool) -> str:
    """Write a class as a label; what is longer than 64 characters ends with a hash instead.

    >>> name_class(True), name_class(2.0), name_class("basic"), name_class("other")
    ('1', '2', 'basic', '"other"')
    """
    if not isinstance(value, str):
        return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(value)
    if len(value) <= _LONGEST_NAME:
        # Half of a surrogate pair is no text that could be exposed.
        return '"other"' if value == OTHER else value.encode(errors="replace").decode()
    digest = sha256(value.encode(errors="replace")).removeprefix("sha256:")[:16]
    return f"{value[: _LONGEST_NAME - 17]}~{digest}".encode(errors="replace").decode()


def share_of(wrong: int, rows: int, random: int) -> str:
    """Give the share of wrong rows in eighths. Between two of them the upper one is as likely as it is near.

    Args:
        wrong: Of them.
        rows: At least 1.
        random: Its lower 32 bits choose.

    >>> share_of(0, 20, 5), share_of(20, 20, 5), share_of(5, 20, 5)
    ('0', '1', '0.25')
    """
    whole, rest = divmod(8 * wrong, rows)
    return SHARES[whole + ((random & 0xFFFFFFFF) * rows < rest << 32)]


def error_cell(error: float, *, coarse: bool = False) -> str:
    """Give the cell of an absolute error: the least whole k for which it is at most 2**(k/2), so that every unit and
    every model has the same cells. From -80 to 160; 0 is `0`, and no number is `nan`. Coarse ones have an
    even k.

    >>> error_cell(0.0), error_cell(-1.0), error_cell(1.1), error_cell(float("nan"))
    ('0', 'k0', 'k1', 'nan')
    """
    size = abs(error)
    if size == 0:
        return ZERO
    if not isfinite(size):
        return NOT_A_NUMBER
    k = 2 * ceil(log2(size)) if coarse else ceil(2 * log2(size))
    return f"k{min(max(k, _LOWEST), _HIGHEST)}"


def _outcome(is_right: bool) -> str:
    return "correct" if is_right else "wrong"


def _side(error: float) -> str:
    return "over" if error > 0 else "under" if error < 0 else "none"


def _age(seconds: float) -> str:
    return next((str(edge) for edge in AGE_EDGES if seconds <= edge), "+Inf")


def _add_bounded(series: Series, key: Sequence[str], cell: Sequence[str], *, keep: Sequence[str] = ()) -> None:
    full = (*key, *cell)
    if full not in series.counts and len(series.counts) >= MOST_CELLS:
        full = (*key, *(value if value in keep else OTHER for value in cell))
    series.add(*full)
