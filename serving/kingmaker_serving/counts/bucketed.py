"""Counts by bucket: where requests of one entity stay with one model, entities are what is split, not requests.

The router hashes an entity into one of a few hundred buckets and stamps the bucket on its requests. Counts by bucket
are as many as the buckets, whatever the entities.
"""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from kingmaker_serving.counts.baseline import OTHER
from kingmaker_serving.counts.series import PAST, Series

NO_BUCKET: Final = ""
"""Of requests that the router split one by one."""
MOST_BUCKETED: Final = 4096
"""Cells of one family; with more of them, the oldest decision's are forgotten."""
_LONGEST: Final = 4


def read_bucket(stamp: bytes | None) -> str:
    """Give the label for the bucket that a router stamped on a request.

    >>> read_bucket(b"17"), read_bucket(b"017"), read_bucket(b"x"), read_bucket(None)
    ('17', '17', '', '')
    """
    if stamp and len(stamp) <= _LONGEST and stamp.isdigit():
        return str(int(stamp))
    return NO_BUCKET


class BucketSeries(Series):
    """Counters by bucket, of the newest decisions. Nothing is decided on a sum over old ones, so none is kept."""

    @override
    def add(self, *values: str, count: int = 1) -> None:
        """Count, under one value per label; what has no bucket, or an old decision, has nothing to do here."""
        place = self.labels.index("decision")
        if values[self.labels.index("bucket")] == NO_BUCKET or values[place] == PAST:
            return
        if len(self.counts) >= MOST_BUCKETED and values not in self.counts:
            self._make_room(values[place])
        super().add(*values, count=count)

    @override
    def fold(self, decision: str) -> None:
        """Forget an old decision."""
        place = self.labels.index("decision")
        for key in [key for key in self.counts if key[place] == decision]:
            del self.counts[key]
            self._prefixes.pop(key, None)

    def _make_room(self, wanted: str) -> None:
        place = self.labels.index("decision")
        oldest = min({key[place] for key in self.counts}, key=_age)
        if oldest != wanted:
            self.fold(oldest)


def add_class(series: BucketSeries, key: Sequence[str], predicted: str, true: str, *, is_right: bool) -> None:
    """Count a labelled request by bucket and classes.

    Args:
        series: Ends with the labels predicted, true, outcome.
        key: The values before.
        predicted: Name of a class. Where there are too many cells, wrong ones keep their true class alone.
        true: Likewise.
        is_right: Whether the answer was right.
    """
    if is_right:
        series.add(*key, predicted, true, "correct")
        return
    full = (*key, predicted, true, "wrong")
    if len(series.counts) >= MOST_BUCKETED and full not in series.counts:
        full = (*key, OTHER, true, "wrong")
    series.add(*full)


def _age(decision: str) -> tuple[bool, int]:
    return (decision.isdigit(), int(decision) if decision.isdigit() else 0)
