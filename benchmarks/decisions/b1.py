"""B1: batches of rows against a reference, at tolerance 0: who raises an alarm without a shift, and who finds one."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.batch_rules import RULES, Maker, Rule
from benchmarks.decisions.batches import REFERENCE_ROWS, SHIFTS, Batch, Shift, columns_of, kinds
from benchmarks.decisions.columns import Column, a_baseline, count, full_windows
from benchmarks.decisions.options import Options
from benchmarks.decisions.table import OTHERS
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.monitoring.drift import DriftPolicy, judge_drift

NAME: Final = "B1"
SIZES: Final = (50, 100, 200, 500, 1000, 5000)
_LENGTH: Final = timedelta(hours=1)
_POLICY: Final = DriftPolicy(
    tolerance=0.0, warning=0.0, windows=(_LENGTH,), season=None, min_rows=50, false_alarm_interval=timedelta(minutes=1)
)
"""One alarm a minute is a level of 5 % for each window: no level is higher."""
_OURS: Final = "kingmaker"
_NOTHING: Final = "nothing"

Rates = dict[tuple[str, str, int], float]
"""Alarms by rule, shift and rows."""


def run(options: Options) -> Iterator[Figure]:
    """Measure all rules on the same batches."""
    runs = options.amount(300, 6)
    # Others take a hundred times as long, and are far from where a few batches more would matter.
    rates = alarms(range(runs)) | alarms(range(options.amount(12, 1)), RULES)
    must = 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    false = {rule: {n: rates[rule, _NOTHING, n] for n in SIZES} for rule in (_OURS, *RULES)}
    details: dict[str, Any] = {"runs": runs, "at every n": false}
    details[OTHERS] = {rule: round(max(by_n.values()), 3) for rule, by_n in false.items() if rule != _OURS}
    yield Figure("B1: highest false alarms at any n", max(false[_OURS].values()), round(must, 4), "", details)
    found = {rule: {shift: _mean(rates, rule, shift) for shift in SHIFTS} for rule in (_OURS, *RULES)}
    means = {rule: round(float(np.mean(list(by_shift.values()))), 3) for rule, by_shift in found.items()}
    details = {"by shift": found, OTHERS: {rule: mean for rule, mean in means.items() if rule != _OURS}}
    yield Figure("B1: mean detection, 8 shifts × 6 n", means[_OURS], 0.83, "", details, at_least=True)


def _mean(rates: Rates, rule: str, shift: str) -> float:
    return float(np.mean([rates[rule, shift, n] for n in SIZES]))


def alarms(seeds: range, others: Mapping[str, Maker] | None = None) -> Rates:
    """Draw batches of every kind and size, one of each per seed, and count who raised an alarm: we, or others."""
    raised: dict[tuple[str, str, int], int] = defaultdict(int)
    for seed in seeds:
        random = np.random.default_rng((10, seed))
        kind = kinds(random)
        reference = kind.draw(random, REFERENCE_ROWS)
        columns = columns_of(reference)
        baseline = a_baseline(columns, REFERENCE_ROWS)
        rules = {name: make(reference, random) for name, make in (others or {}).items()}
        if others is None:
            rules = {_OURS: _ours(columns, baseline)}
        for n in SIZES:
            for name, shift in ((_NOTHING, Shift()), *SHIFTS.items()):
                batch = shift.draw(kind, random, n)
                for rule, is_alarmed in rules.items():
                    raised[rule, name, n] += is_alarmed(batch)
    rules_asked = (_OURS,) if others is None else tuple(others)
    keys = ((rule, name, n) for rule in rules_asked for name in (_NOTHING, *SHIFTS) for n in SIZES)
    return {key: raised[key] / len(seeds) for key in keys}


def _ours(columns: list[Column], baseline: Baseline) -> Rule:
    def is_alarmed(batch: Batch) -> bool:
        windows, now = full_windows(baseline, count(columns, batch), (_LENGTH,))
        return judge_drift(baseline, windows, _POLICY, now=now).state.is_drift

    return is_alarmed
