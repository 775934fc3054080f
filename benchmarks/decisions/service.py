"""A champion in service for months: rows come into the slots of its windows, and monitoring looks at them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.decisions.columns import Column, Floats, a_baseline, categorical, numeric
from kingmaker.api import DriftState
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.windows import Windows, advance
from kingmaker.core.monitoring.drift import DriftPolicy
from kingmaker.core.monitoring.evaluate import look_at_data
from kingmaker.core.monitoring.quality import QualityPolicy

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
SLOT: Final = timedelta(minutes=20)
PER_HOUR: Final = 1000
REFERENCE_ROWS: Final = 20_000
NUMERIC, CATEGORICAL = 14, 6
_MODEL: Final = "sha256:" + "a" * 64
_SECOND: Final = timedelta(seconds=1)
_SEASONAL: Final = (0, 1, 2)

Shifts = NDArray[np.float64]
"""By how many standard deviations each numeric column lies above its reference."""


def season(moment: datetime, amplitude: float = 1.0) -> Shifts:
    """Give the shifts of three columns that go up and down with the day."""
    shifts = np.zeros(NUMERIC)
    day = (moment - START) / timedelta(days=1)
    shifts[list(_SEASONAL)] = amplitude * np.sin(2 * np.pi * (day + np.array([0, 0.2, 0.55])))
    return shifts


def no_season(moment: datetime) -> Shifts:
    """Give no shifts."""
    del moment
    return np.zeros(NUMERIC)


@dataclass(frozen=True, slots=True)
class World:
    """Where rows come from.

    `season` gives the columns' shifts at a time. `rows_per_request` rows of a request are correlated by `correlation`.
    With a `concentration` the shares of all cells are drawn anew every hour, from a Dirichlet distribution of it.
    `daily` is by how much more and less traffic comes by day and night.
    """

    name: str
    season: Callable[[datetime], Shifts] = no_season
    rows_per_request: int = 1
    correlation: float = 0.0
    concentration: float | None = None
    daily: float = 0.0


class Traffic:
    """Rows of one world, slot by slot, counted into the cells of its own fair reference."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = np.random.default_rng((20, seed))
        self.shares = [self.random.dirichlet(np.full(k, 5.0)) for k in (3, 4, 5, 8, 12, 20)]
        self.columns = self._columns()
        self.baseline: Baseline = a_baseline(self.columns, REFERENCE_ROWS)
        self._hour: tuple[int, list[Floats]] | None = None

    def _columns(self) -> list[Column]:
        # The reference has the hours of many days as traffic has them.
        hours = [START + n * HOUR for n in range(24)]
        weights = np.array([self.rate(moment) for moment in hours])
        per_hour = self.random.multinomial(REFERENCE_ROWS, weights / weights.sum())
        shifts = np.repeat(np.stack([self.world.season(m) for m in hours]), per_hour, axis=0)
        sample = self.random.normal(size=(REFERENCE_ROWS, NUMERIC)) + shifts
        numbers = [numeric(f"x{n}", sample[:, n]) for n in range(NUMERIC)]
        texts = [
            categorical(f"c{n}", self.random.choice(len(s), REFERENCE_ROWS, p=s).astype(float))
            for n, s in enumerate(self.shares)
        ]
        return [*numbers, *texts]

    def rate(self, moment: datetime) -> float:
        """Rows per hour at a time."""
        day = (moment - START) / timedelta(days=1)
        return PER_HOUR * (1 + self.world.daily * float(np.sin(2 * np.pi * day)))

    def slot(self, moment: datetime, drift: Shifts) -> CellCounts:
        """Draw the rows of the slot that begins at a time; `drift` comes on top of the season."""
        middle = moment + SLOT / 2
        requests = self.random.poisson(self.rate(middle) * (SLOT / HOUR) / self.world.rows_per_request)
        shifts = self.world.season(middle) + drift
        if self.world.correlation:
            return self._alike(requests, shifts)
        shares = self._shares(moment, shifts)
        counted = [self.random.multinomial(requests, share).tolist() for share in shares]
        return CellCounts.of(counted)

    def _shares(self, moment: datetime, shifts: Shifts) -> list[Floats]:
        shares = [
            *(_shares_of(column, shift) for column, shift in zip(self.columns, shifts, strict=False)),
            *(np.append(share, [0.0, 0.0]) for share in self.shares),
        ]
        if self.world.concentration is None:
            return shares
        hour = (moment - START) // HOUR
        if self._hour is None or self._hour[0] != hour:
            self._hour = (hour, [_jittered(self.random, share, self.world.concentration) for share in shares])
        return self._hour[1]

    def _alike(self, requests: int, shifts: Shifts) -> CellCounts:
        """Rows of a request share a part of what they are: a number, or how likely each category is."""
        part, size = self.world.correlation, self.world.rows_per_request
        common = self.random.normal(size=(requests, 1, NUMERIC + CATEGORICAL)) * np.sqrt(part)
        rows = common + self.random.normal(size=(requests, size, NUMERIC + CATEGORICAL)) * np.sqrt(1 - part)
        rows = rows.reshape(-1, NUMERIC + CATEGORICAL)
        rows[:, :NUMERIC] += shifts
        for at, share in enumerate(self.shares, NUMERIC):
            rows[:, at] = np.searchsorted(np.cumsum(share)[:-1], special.ndtr(rows[:, at]))
        return CellCounts.of(column.count(rows[:, at]) for at, column in enumerate(self.columns))


def _shares_of(column: Column, shift: float) -> Floats:
    below = special.ndtr(np.concatenate([[column.lowest], column.edges]) - shift)
    inside = np.maximum(0, np.diff(np.concatenate([[0.0], below, [1.0]])))
    return np.append(inside, [0.0, 0.0])


def _jittered(random: np.random.Generator, share: Floats, concentration: float) -> Floats:
    drawn = np.zeros_like(share)
    drawn[share > 0] = random.dirichlet(share[share > 0] * concentration)
    return drawn


@dataclass(frozen=True, slots=True)
class Service:
    """A champion in service up to `now`; never changed, so that many futures can follow it."""

    traffic: Traffic
    policy: DriftPolicy
    now: datetime
    watch: DataMonitor

    @classmethod
    def begin(cls, traffic: Traffic, policy: DriftPolicy) -> "Service":
        """Begin with nothing counted."""
        baseline = traffic.baseline
        windows = Windows.for_baseline(None, model=_MODEL, baseline=baseline, scales=policy.windows, now=START)
        return cls(traffic, policy, START, DataMonitor(windows=windows, since=START))

    def next(self, drift: Shifts | float = 0.0) -> "Service":
        """Let a slot pass, with a look before its end and one at it."""
        shifts = np.broadcast_to(drift, NUMERIC)
        counted = self.traffic.slot(self.now, shifts)
        end = self.now + SLOT
        watch = self._looked(self.watch, end - _SECOND, counted)
        return replace(self, now=end, watch=self._looked(watch, end, None))

    def _looked(self, watch: DataMonitor, now: datetime, counted: CellCounts | None) -> DataMonitor:
        baseline = self.traffic.baseline
        assert watch.windows is not None
        delta = counted or CellCounts.empty(baseline)
        watch = replace(watch, windows=advance(watch.windows, now=now, delta=delta, complete=True))
        size = float(self.traffic.world.rows_per_request)
        return look_at_data(watch, baseline, self.policy, QualityPolicy(), now=now, rows_per_request=size)

    def weeks(self, weeks: float) -> Iterator["Service"]:
        """Let time pass."""
        service = self
        for _ in range(round(timedelta(weeks=weeks) / SLOT)):
            service = service.next()
            yield service


def is_drift(watch: DataMonitor) -> bool:
    """Whether monitoring says Drift."""
    return watch.state is DriftState.DRIFT
