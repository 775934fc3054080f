"""B2: months of service, looked at as the operator does, without drift and with it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.options import Options
from benchmarks.decisions.service import HOUR, NUMERIC, SLOT, Service, Traffic, World, is_drift, season
from benchmarks.decisions.table import OTHERS
from kingmaker.api import DriftState
from kingmaker.core.counts.windows import window_counts
from kingmaker.core.monitoring.drift import DriftPolicy

NAME: Final = "B2"

WORLDS: Final = (
    World("iid"),
    World("Dirichlet slots", concentration=400),
    World("20 similar rows per request", rows_per_request=20, correlation=0.5),
    World("daily season ±1 sd in 3 features", season=season, daily=0.8),
)
_WEEKS: Final = 26
_WARM_UP: Final = 2
_LOOK_BACK: Final = timedelta(hours=48)
_PSI: Final = 0.2


@dataclass
class Alarms:
    """How often a state began; `psi` counts hours in which any feature's PSI is above what people call drift."""

    drift: int = 0
    warnings: int = 0
    broken: int = 0
    psi: int = 0

    def look(self, before: Service, after: Service) -> None:
        """Add one look."""
        was, now = before.watch.state, after.watch.state
        self.drift += now is DriftState.DRIFT and was is not DriftState.DRIFT
        self.warnings += now is DriftState.WARNING and was is not DriftState.WARNING
        self.broken += bool(after.watch.broken) and not before.watch.broken


def run(options: Options) -> Iterator[Figure]:
    """Measure false alarms in each world, then delays."""
    weeks = options.amount(_WEEKS, 3)
    for number, world in enumerate(WORLDS):
        alarms = false_alarms(Service.begin(Traffic(world, number), DriftPolicy()), weeks)
        details: dict[str, Any] = {"weeks": weeks, "broken": alarms.broken}
        details[OTHERS] = {f"PSI > {_PSI} in any feature, hourly": alarms.psi}
        yield Figure(f"B2: false alarms, {world.name}", alarms.drift, 1, f"in {weeks} weeks", details)
        yield Figure(f"B2: warnings, {world.name}", alarms.warnings, 1, f"in {weeks} weeks")
    for shift, policy, must in (
        (0.2, replace(DriftPolicy(), warning=0.0, tolerance=0.0), 2.0),
        (0.5, DriftPolicy(), 1.5),
    ):
        found = {world.name: delays(world, shift, policy, options.amount(40, 5)) for world in WORLDS}
        medians = {f"delay, {name}": float(np.median(hours)) for name, hours in found.items()}
        tolerance = f"tolerance {policy.tolerance:g}"
        yield Figure(f"B2: median delay at {shift} sd, {tolerance}, iid", medians["delay, iid"], must, "h", medians)


def false_alarms(service: Service, weeks: float) -> Alarms:
    """Count what is said while nothing happens."""
    alarms = Alarms()
    for number, after in enumerate(service.weeks(weeks)):
        alarms.look(service, after)
        service = after
        if number % 3 == 0:
            alarms.psi += _any_psi(service)
    return alarms


def _any_psi(service: Service) -> bool:
    """What hourly PSI against a constant would say."""
    windows, baseline = service.watch.windows, service.traffic.baseline
    assert windows is not None
    counts = window_counts(windows, HOUR, service.now).counts
    for feature, current in zip(baseline.features, counts.columns, strict=True):
        p, q = (np.array(x, dtype=float) + 0.5 for x in (feature.counts, current))
        p, q = p / p.sum(), q / q.sum()
        if float(((q - p) * np.log(q / p)).sum()) > _PSI:
            return True
    return False


def delays(world: World, shift: float, policy: DriftPolicy, runs: int) -> list[float]:
    """Hours from the beginning of a shift of one feature until monitoring says Drift and names it.

    Shifts begin at any time of the day in the weeks after the first ones; 48 where nothing was said so long.
    """
    service = Service.begin(Traffic(world, 100), policy)
    random = np.random.default_rng((21, round(shift * 100)))
    for after in service.weeks(_WARM_UP):
        service = after
    found = []
    for _ in range(runs):
        for _ in range(int(random.integers(20, 50))):
            service = service.next()
        found.append(_delay(service, shift, int(random.integers(3, NUMERIC)), random.random()))
    return found


def _delay(service: Service, shift: float, column: int, begin: float) -> float:
    """Let a shift begin after that part of the next slot."""
    drift = np.zeros(NUMERIC)
    drift[column] = shift
    waited = 0
    while waited * SLOT < _LOOK_BACK:
        # Of the first slot a part is as it was: of small shifts so much less, on average.
        service = service.next(drift * (1 - begin) if not waited else drift)
        waited += 1
        if is_drift(service.watch) and f"x{column}" in service.watch.features:
            break
    return waited * (SLOT / HOUR) - begin * (SLOT / HOUR)
