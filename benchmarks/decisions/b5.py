"""B5: how often a contest of two arms that are alike promotes or rolls back, in the ways in which labels come."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions import streams
from benchmarks.decisions.options import Options
from benchmarks.decisions.plots import PLOTS, plot
from benchmarks.decisions.pods import Pod
from benchmarks.decisions.rules import PROMOTION, ROLLBACK, RULES
from benchmarks.decisions.streams import Bursts, Copies, Draw, Seen, Split, Sticky, many_rows, one_row
from benchmarks.decisions.table import OTHERS
from benchmarks.decisions.trial import CHALLENGER, CHAMPION, Feed, Trial, deployment, feed_on, play

NAME: Final = "B5"
_RUNS: Final = 200
_CANARY: Final = ({"name": "canary", "weight": 5, "minDuration": "0s", "minRequests": 1},)
_RAMP: Final = tuple(
    {"name": f"at-{weight}", "weight": weight, "minDuration": "5h", "minRequests": 1} for weight in (5, 25, 50)
)
SHADOW: Final = ({"name": "shadow", "shadowPercent": 100, "minDuration": "0s", "minRequests": 1},)
_STICKY: Final = {"routing": {"affinity": {"header": "x-entity-id"}}}


@dataclass(frozen=True, slots=True)
class Case:
    """Two arms that are alike; `make` gives a trial and what feeds it."""

    name: str
    looks: int
    make: Callable[[np.random.Generator], tuple[Trial, Feed, Seen]]


def _split(random: np.random.Generator, requests: int, draw: Draw, **spec: Any) -> tuple[Trial, Feed, Seen]:
    share, other = spec.pop("share", None), spec.pop("champion", draw)
    feed = Split(random, requests, other, draw, share)
    return Trial(deployment(**spec)), feed, feed.seen


def _drifting(look: int) -> float:
    """A base rate from 8 to 14 % with a season."""
    return 0.08 + 0.06 * look / 90 + 0.02 * math.sin(12 * math.pi * look / 90)


def _sticky(random: np.random.Generator, entities: int, *, is_zipf: bool) -> tuple[Trial, Feed, Seen]:
    feed = Sticky(random, 200, entities, 0.1, is_zipf=is_zipf)
    return Trial(deployment(**_STICKY)), feed, feed.seen


def _bursts(random: np.random.Generator) -> tuple[Trial, Feed, Seen]:
    feed = Bursts(random, 400, chance=1 / 12, failed=20)
    trial = Trial(deployment(), pods=[Pod(f"{name}-{n}", name) for name in (CHAMPION, CHALLENGER) for n in range(2)])
    return trial, feed, feed.seen


def _copied(random: np.random.Generator) -> tuple[Trial, Feed, Seen]:
    feed = Copies(random, 100, 0.05, 0.05)
    return Trial(deployment(stages=SHADOW)), feed, feed.seen


CASES: Final = (
    Case("peeking at every look", 100, lambda r: _split(r, 400, one_row(0.1))),
    Case("ramp, moving base rate", 100, lambda r: _split(r, 300, one_row(_drifting), stages=_RAMP)),
    Case("shadow, peeking", 100, _copied),
    Case("20 rows per request, correlation .3", 60, lambda r: _split(r, 50, many_rows(0.1, 20, 0.3))),
    Case("20 independent rows per request", 60, lambda r: _split(r, 50, many_rows(0.1, 20, 1e-6))),
    Case("sticky, 200 entities", 60, lambda r: _sticky(r, 200, is_zipf=False)),
    Case("sticky, 50 Zipf tenants", 60, lambda r: _sticky(r, 50, is_zipf=True)),
    Case("bursts of failures", 140, _bursts),
    Case(
        "late labels, champion's pods replaced",
        40,
        lambda r: _split(r, 1000, one_row(0.1), champion=streams.unlabelled, stages=_CANARY),
    ),
    Case("router off by 4 ×", 60, lambda r: _split(r, 400, one_row(0.1), stages=_CANARY, share=0.2)),
)


def run(options: Options) -> Iterator[Figure]:
    """Measure all cases."""
    for place, case in enumerate(CASES):
        yield from _errors(case, place, options)


def _errors(case: Case, place: int, options: Options) -> Iterator[Figure]:
    """Play a case many times; everything that is promoted or rolled back is an error."""
    runs = options.amount(_RUNS, 10)
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in ("kingmaker", *RULES)}
    for number in range(runs):
        trial, feed, seen = case.make(np.random.default_rng((5, place, number)))
        outcome = play(trial, feed, case.looks)
        found["kingmaker"].append((outcome.action, outcome.looks))
        for look in range(outcome.looks, case.looks):
            # Others are shown all that there was, also what came after we had decided.
            feed_on(trial, feed, look)
        for name, rule in RULES.items():
            found[name].append(rule(seen.counts))
    for what, action, alpha in (("promotions", "Promote", PROMOTION), ("rollbacks", "Rollback", ROLLBACK)):
        rates = {name: sum(done == action for done, _ in ends) / runs for name, ends in found.items()}
        must = round(alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs), 4)
        others = {name: rates[name] for name in RULES}
        grown = {name: _grown(ends, action, case.looks) for name, ends in found.items()}
        title = f"False {what}: {case.name}"
        drawn = plot(title, grown, x="look", y="share of contests", bounds={f"must: {must:.3f}": must}, steps=True)
        details = {OTHERS: others, PLOTS: [drawn], "runs": runs, "alpha": alpha}
        yield Figure(f"B5 false {what}: {case.name}", rates["kingmaker"], must, "", details)


def _grown(ends: list[tuple[str, int]], action: str, looks: int) -> list[tuple[int, float]]:
    """Give the share of contests that ended so by each look."""
    at = np.bincount([min(look, looks) for done, look in ends if done == action] or [0], minlength=looks + 1)
    at[0] = 0
    return [(look, share) for look, share in enumerate((at.cumsum() / len(ends)).tolist())]
