"""Creep: the error after ten promotions of the worst challengers that a contest still admits, one after the other."""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.options import Options
from benchmarks.decisions.plots import PLOTS, plot
from benchmarks.decisions.streams import Split, one_row
from benchmarks.decisions.table import OTHERS
from benchmarks.decisions.trial import Trial, deployment, play

NAME: Final = "creep"
_BEGIN: Final = 0.10
_BOUND: Final = 0.11
"""What people set as the highest error rate: `reference.maximum`."""
_WORSE: Final = 1.05
"""Each challenger errs this many times as often as the champion of its day; the margin is 1.10."""
_CONTESTS: Final = 10
_PER_LOOK: Final = 4000
_LOOKS: Final = 50


_OURS: Final = "kingmaker, with a reference"
_REMEMBERED: Final = "no reference, promotions remembered"
_ALONE: Final = "relative margin alone"
_REFERENCE: Final = {"reference": {"maximum": str(_BOUND)}}


def run(options: Options) -> Iterator[Figure]:
    """Measure it with the bound; without it; and without memory of earlier promotions, either."""
    runs = options.amount(40, 3)
    ways = {_OURS: (_REFERENCE, True), _REMEMBERED: ({}, True), _ALONE: ({}, False)}
    paths = {
        name: [_path(np.random.default_rng((14, number)), verdict, remembers=way) for number in range(runs)]
        for name, (verdict, way) in ways.items()
    }
    ends = {name: np.array([path[-1] for path in found]) for name, found in paths.items()}
    others = [_REMEMBERED, _ALONE]
    lines = {name: list(enumerate(np.mean(found, axis=0).tolist())) for name, found in paths.items()}
    drawn = plot("Creep", lines, x="challenger", y="champion's error rate", bounds={f"reference {_BOUND:g}": _BOUND})
    must = round(0.05 + 2 * math.sqrt(0.05 * 0.95 / runs), 4)
    details = {OTHERS: {n: round(float(ends[n].mean()), 4) for n in others}, PLOTS: [drawn], "runs": runs}
    name = f"creep: error {_BEGIN:g} after {_CONTESTS} worst admissible challengers"
    yield Figure(name, round(float(ends[_OURS].mean()), 4), _BOUND, "", details)
    beyond = {n: float((end > _BOUND).mean()) for n, end in ends.items()}
    about = {OTHERS: {n: beyond[n] for n in others}}
    yield Figure("creep: histories that end beyond the reference", beyond[_OURS], must, "", about)


def _path(random: np.random.Generator, verdict: dict[str, Any], *, remembers: bool) -> list[float]:
    """Give the champion's error rate after each contest."""
    rates, successions = [_BEGIN], ()
    for _ in range(_CONTESTS):
        mine = rates[-1] * _WORSE
        mdep = deployment(verdict={"goal": "NonInferior", "margin": "0.10", **verdict})
        trial = Trial(mdep, successions=successions)
        outcome = play(trial, Split(random, _PER_LOOK, one_row(rates[-1]), one_row(mine)), _LOOKS)
        rates.append(mine if outcome.action == "Promote" else rates[-1])
        successions = trial.state.successions if remembers else ()
    return rates
