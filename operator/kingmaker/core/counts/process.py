"""What one serving process counted since its start, as numbers.

A scrape becomes a `ProcessCounts` at the border; from there on counts are integers with names, and cells are vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import add
from typing import Final

from kingmaker.core.counts.bursts import NO_BURSTS, Bursts, News
from kingmaker.core.counts.cells import CellVector
from kingmaker.core.counts.labelled import (
    ClassCells,
    LossCells,
    PairCells,
    PairClassCells,
    PairLossCells,
    combine_cells,
)
from kingmaker.core.counts.looks import NO_LOOKS, Looks
from kingmaker.core.counts.looks import Totals as BucketTotals

LATENCY_EDGES: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, float("inf")),
)
"""Upper edges of the latency cells in seconds, closed above; the last cell is open."""

WRONG_SHARES: Final = tuple(eighth / 8 for eighth in range(9))
"""Cells of the share of a request's rows that were wrong."""

_NO_LATENCY: Final = (0,) * len(LATENCY_EDGES)
_NONE_JUDGED: Final = (0,) * len(WRONG_SHARES)


def _grown(now: int, before: int) -> int:
    # Counters of a process only grow. One that shrank was not honest: what it lost is not counted a second time.
    return max(0, now - before)


@dataclass(frozen=True, slots=True)
class Arm:
    """What one model did with live traffic under one decision (or several added up).

    `answered` and `errors` (the server's) count requests, `correct`, `wrong` and `rows` count rows. `latency` counts
    answered requests per cell of `LATENCY_EDGES`. `judged` counts requests whose labels arrived, per cell of
    `WRONG_SHARES`: the unit in which requests are split. `classes` counts the same requests by a drawn row's class, or
    `losses` by its error. Servers of before count rows alone.
    """

    answered: int = 0
    errors: int = 0
    correct: int = 0
    wrong: int = 0
    rows: int = 0
    latency: tuple[int, ...] = _NO_LATENCY
    judged: tuple[int, ...] = _NONE_JUDGED
    classes: ClassCells = field(default_factory=dict)
    losses: LossCells = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests that count: the client's own mistakes say nothing about a model."""
        return self.answered + self.errors

    @property
    def labelled(self) -> int:
        """Rows whose label arrived."""
        return self.correct + self.wrong

    @property
    def labelled_requests(self) -> int:
        """Requests whose labels arrived. Of servers that count rows alone it is known in the mean."""
        judged = sum(self.judged)
        if judged:
            return judged
        return round(self.labelled * self.answered / self.rows) if self.rows else 0

    def slower_than(self, edge: float) -> int:
        """Requests that took longer than `edge` seconds, an edge of the latency cells."""
        return sum(count for upper, count in zip(LATENCY_EDGES, self.latency, strict=True) if upper > edge)

    def __add__(self, other: Arm) -> Arm:
        """Add two stretches of the same model."""
        if self is NO_ARM or other is NO_ARM:
            return other if self is NO_ARM else self
        return self._with(other, add)

    def since(self, before: Arm) -> Arm:
        """Give what came new after `before`, an earlier look at the same process; never less than 0."""
        return self._with(before, _grown)

    def _with(self, other: Arm, combine: Callable[[int, int], int]) -> Arm:
        return Arm(
            combine(self.answered, other.answered),
            combine(self.errors, other.errors),
            combine(self.correct, other.correct),
            combine(self.wrong, other.wrong),
            combine(self.rows, other.rows),
            tuple(map(combine, self.latency, other.latency)),
            tuple(map(combine, self.judged, other.judged)),
            combine_cells(self.classes, other.classes, combine),
            combine_cells(self.losses, other.losses, combine),
        )


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a challenger did with copies of the champion's requests; rows, apart from `failures` and `dropped`.

    `judged` counts requests whose labels arrived by both models' shares of wrong rows; `classes` and `losses` count
    the same requests by a drawn row, as those of an `Arm` do.
    """

    agree: int = 0
    disagree: int = 0
    failures: int = 0
    dropped: int = 0
    both_correct: int = 0
    champion_wrong: int = 0
    challenger_wrong: int = 0
    both_wrong: int = 0
    judged: PairCells = field(default_factory=dict, kw_only=True)
    classes: PairClassCells = field(default_factory=dict, kw_only=True)
    losses: PairLossCells = field(default_factory=dict, kw_only=True)

    @property
    def compared(self) -> int:
        """Rows that both models answered."""
        return self.agree + self.disagree

    @property
    def labelled(self) -> int:
        """Compared rows whose label arrived."""
        return self.both_correct + self.champion_wrong + self.challenger_wrong + self.both_wrong

    def __add__(self, other: Shadow) -> Shadow:
        """Add two stretches of the same challenger."""
        return self._with(other, add)

    def since(self, before: Shadow) -> Shadow:
        """Give what came new after `before`, an earlier look at the same process; never less than 0."""
        return self._with(before, _grown)

    def _with(self, other: Shadow, combine: Callable[[int, int], int]) -> Shadow:
        return Shadow(
            *(combine(getattr(self, name), getattr(other, name)) for name in SHADOW_FIELDS),
            judged=combine_cells(self.judged, other.judged, combine),
            classes=combine_cells(self.classes, other.classes, combine),
            losses=combine_cells(self.losses, other.losses, combine),
        )


SHADOW_FIELDS: Final = tuple(f.name for f in fields(Shadow) if f.name not in {"judged", "classes", "losses"})
"""Those that are one number."""

NO_ARM: Final = Arm()
"""Nothing counted; sums begin with it."""
_NO_SHADOW: Final = Shadow()


@dataclass(frozen=True, slots=True)
class DecisionCounts:
    """What was counted under one decision: the model's own requests, and the copies it sent to each challenger.

    `looks` are at the same requests by bucket, where requests of one entity stay with one model; sums alone have them.
    `bursts` is what looks at processes made of it; no process says it.
    """

    arm: Arm = NO_ARM
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    looks: Looks = NO_LOOKS
    bursts: Bursts = NO_BURSTS

    def __add__(self, other: DecisionCounts) -> DecisionCounts:
        """Add counts of the same decision."""
        names = {**self.shadows, **other.shadows}
        summed = {n: self.shadows.get(n, _NO_SHADOW) + other.shadows.get(n, _NO_SHADOW) for n in names}
        looks = other.looks if self.looks == NO_LOOKS else self.looks
        return DecisionCounts(self.arm + other.arm, summed, looks, self.bursts + other.bursts)

    def since(self, before: DecisionCounts) -> DecisionCounts:
        """Give what came new after `before`, an earlier look at the same process; never less than 0."""
        grown = {name: shadow.since(before.shadows.get(name, _NO_SHADOW)) for name, shadow in self.shadows.items()}
        return DecisionCounts(self.arm.since(before.arm), grown)

    def without_cells(self) -> DecisionCounts:
        """Leave out what there is a cell for each kind of label of."""
        bare = {name: replace(s, judged={}, classes={}, losses={}) for name, s in self.shadows.items()}
        return replace(self, arm=replace(self.arm, classes={}, losses={}), shadows=bare)


def news_of(counts: DecisionCounts) -> News:
    """Give what slots count of what came new."""
    failures = {name: shadow.failures for name, shadow in counts.shadows.items() if shadow.failures}
    return News(counts.arm.requests, counts.arm.errors, counts.arm.latency, failures)


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """Cumulative counts of one serving process.

    `start` is its start time in its own words: a restarted container has another one. `by_decision` holds decisions
    that have a number, `others` what labels said of other models' answers, by the start of those models' digests: a
    label counts at whatever pod it arrives. `cells` counts rows per cell of the baseline with `baseline_digest`; None
    where whoever read the counts did not know that baseline. `labels` is by the start of a model's digest, the own one
    too: what labels said of its answers over all decisions, in the cells of `core.counts.labels`. `buckets` has the
    counts by bucket, of all models likewise.
    """

    pod_uid: str
    model: str
    model_digest: str
    baseline_digest: str
    start: str
    by_decision: Mapping[int, DecisionCounts] = field(default_factory=dict)
    cells: CellVector | None = None
    others: Mapping[str, Mapping[int, DecisionCounts]] = field(default_factory=dict)
    buckets: BucketTotals = field(default_factory=dict)
    labels: Mapping[str, CellVector] = field(default_factory=dict)


def start_of(digest: str) -> str:
    """Give the start of a model's digest by which servers name models of which they have no more.

    >>> start_of("sha256:0123456789abcdef0123")
    '0123456789abcdef'
    """
    return digest.removeprefix("sha256:")[:16]
