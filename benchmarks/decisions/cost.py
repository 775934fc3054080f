"""Cost of one evaluation: features × windows judged at once, and a pass with a contest in its third stage."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.columns import a_baseline, count, full_windows, numeric
from benchmarks.decisions.options import Options
from kingmaker.core.monitoring.drift import DriftPolicy, judge_drift

NAME: Final = "cost"
_WINDOWS: Final = tuple(timedelta(hours=hours) for hours in (1, 24, 168))
_REFERENCE_ROWS: Final = 5000
_ROWS: Final = 2000


def run(options: Options) -> Iterator[Figure]:
    """Measure the median of processor time; the first calls, which pack the baseline, are left out."""
    repeats = options.amount(200, 20)
    for features, must in ((50, 1.0), (1000, 15.0)):
        quiet, moved = (_milliseconds(_judging(features, shift), repeats) for shift in (0.0, 0.5))
        details: dict[str, Any] = {"every feature moved": moved}
        yield Figure(f"cost: {features:,} features × 3 windows", quiet, must, "ms", details)


def _judging(features: int, shift: float) -> Callable[[], object]:
    random = np.random.default_rng((30, features))
    sample = random.normal(size=(_REFERENCE_ROWS, features))
    columns = [numeric(f"x{n}", sample[:, n]) for n in range(features)]
    baseline = a_baseline(columns, _REFERENCE_ROWS)
    counts = count(columns, random.normal(size=(_ROWS, features)) + shift)
    windows, now = full_windows(baseline, counts, _WINDOWS)
    policy = DriftPolicy(season=None)
    return lambda: judge_drift(baseline, windows, policy, now=now)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    for _ in range(3):
        work()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return round(1000 * float(np.median(taken)), 3)
