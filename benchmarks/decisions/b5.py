"""B5: how often a contest promotes or rolls back wrongly, and how many requests it takes to be right."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import stats

from benchmarks.common.figures import Figure
from benchmarks.decisions import streams
from benchmarks.decisions.options import Options
from benchmarks.decisions.plots import PLOTS, plot
from benchmarks.decisions.pods import Pod
from benchmarks.decisions.rules import PROMOTION, ROLLBACK, RULES
from benchmarks.decisions.streams import Bursts, Copies, Draw, Seen, Split, Sticky, confusion, many_rows, one_row
from benchmarks.decisions.table import OTHERS
from benchmarks.decisions.trial import CHALLENGER, CHAMPION, Feed, Outcome, Trial, deployment, play

NAME: Final = "B5"
_RUNS: Final = 300
_CANARY: Final = ({"name": "canary", "weight": 5, "minDuration": "0s", "minRequests": 1},)
_RAMP: Final = tuple(
    {"name": f"at-{weight}", "weight": weight, "minDuration": "5h", "minRequests": 1} for weight in (5, 25, 50)
)
_SHADOW: Final = ({"name": "shadow", "shadowPercent": 100, "minDuration": "0s", "minRequests": 1},)
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
    return Trial(deployment(stages=_SHADOW)), feed, feed.seen


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
    """Measure all of it."""
    for place, case in enumerate(CASES):
        yield from _errors(case, place, options)
    yield from _sizes(options)
    yield from _fraud(options)


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
            _feed_on(trial, feed, look)
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


def _feed_on(trial: Trial, feed: Feed, look: int) -> None:
    """Let arms go on as they were split last, though the contest is over."""
    if trial.run is None:
        ended = Trial(trial.mdep)
        ended.pods = trial.pods
        feed(ended, look)
    else:
        feed(trial, look)


def _grown(ends: list[tuple[str, int]], action: str, looks: int) -> list[tuple[int, float]]:
    """Give the share of contests that ended so by each look."""
    at = np.bincount([min(look, looks) for done, look in ends if done == action] or [0], minlength=looks + 1)
    at[0] = 0
    return [(look, share) for look, share in enumerate((at.cumsum() / len(ends)).tolist())]


# Sizes

_SPLITS: Final = (
    ("50 %, .10 → .08", 50, 0.10, 0.08),
    ("50 %, .10 → .09", 50, 0.10, 0.09),
    ("10 %, .10 → .08", 10, 0.10, 0.08),
    ("50 %, .20 → .18", 50, 0.20, 0.18),
    ("50 %, .02 → .015", 50, 0.02, 0.015),
)
_SHADOWS: Final = (("3 % / 5 %", 0.03, 0.05), ("4 % / 5 %", 0.04, 0.05), ("1 % / 2 %", 0.01, 0.02))
_NORMAL: Final = float((stats.norm.ppf(1 - PROMOTION) + stats.norm.ppf(0.8)) ** 2)
_LOOKS: Final = 40
_MOST: Final = 8
"""How many times the size of the fixed test a trial goes on before it counts as undecided."""


def _sizes(options: Options) -> Iterator[Figure]:
    """Compare the requests that it takes with those of a test of fixed size at 80 % power."""
    runs = options.amount(101, 5)
    for place, (name, weight, a, b) in enumerate(_SPLITS):
        share = weight / 100
        fixed = _NORMAL * (a * (1 - a) / (1 - share) + b * (1 - b) / share) / (a - b) ** 2
        stages = ({"name": "live", "weight": weight, "minDuration": "0s", "minRequests": 1},)

        def split(random: np.random.Generator, look: int, a: float = a, b: float = b, stages: Any = stages) -> Any:
            return Trial(deployment(stages=stages)), Split(random, look, one_row(a), one_row(b))

        yield _size(f"B5 median n ÷ fixed n, split {name}", fixed, 1.5, split, runs, place)
    for place, (name, better, worse) in enumerate(_SHADOWS):
        fixed = _NORMAL * (better + worse - (worse - better) ** 2) / (worse - better) ** 2

        def copied(random: np.random.Generator, look: int, better: float = better, worse: float = worse) -> Any:
            return Trial(deployment(stages=_SHADOW)), Copies(random, look, worse, better)

        yield _size(f"B5 median n ÷ fixed n, shadow {name}", fixed, 1.2, copied, runs, 100 + place)


def _size(name: str, fixed: float, must: float, make: Callable[..., Any], runs: int, place: int) -> Figure:
    look = max(5, round(fixed / _LOOKS))
    needed = []
    for number in range(runs):
        trial, feed = make(np.random.default_rng((50, place, number)), look)
        outcome = play(trial, feed, _LOOKS * _MOST)
        needed.append(outcome.looks * look if outcome.action == "Promote" else math.inf)
    median, p90 = (float(np.quantile(needed, q, method="higher")) for q in (0.5, 0.9))
    about = {"fixed": round(fixed), "median": median, "p90": p90, "undecided": needed.count(math.inf), "runs": runs}
    return Figure(name, round(median / fixed, 3), must, "×", about)


# Fraud

_RATE: Final = 0.001


def _detector(recall: float, false_positives: float) -> Draw:
    """Give what a model says of fraud that is rare."""
    return confusion(
        {
            ("yes", "yes"): _RATE * recall,
            ("no", "yes"): _RATE * (1 - recall),
            ("yes", "no"): (1 - _RATE) * false_positives,
            ("no", "no"): (1 - _RATE) * (1 - false_positives),
        }
    )


_COST: Final = {
    "measure": "Cost",
    "ofClass": "yes",
    "costs": {"falseNegative": "50", "falsePositive": "1"},
}


def _fraud(options: Options) -> Iterator[Figure]:
    """Challenge a champion of recall .8 at .5 % false positives by one that always says no, and by a better one."""
    runs = options.amount(500, 5)
    no, better = _detector(0, 0), _detector(1, 0.01)
    for place, (name, verdict) in enumerate((("no measure", {}), ("Cost 50 : 1", _COST))):
        outcomes, others = _contests(place, no, {"goal": "NonInferior", **verdict}, runs)
        promoted = sum(outcome.action == "Promote" for outcome in outcomes)
        about = {OTHERS: others, "ends": _ends(outcomes), "runs": runs}
        yield Figure(f"B5 fraud .1 %, {name}: always «no» promoted, of {runs}", promoted, 0, "", about)
    runs = options.amount(200, 5)
    outcomes, others = _contests(2, better, {"goal": "Superior", **_COST}, runs)
    promoted = sum(outcome.action == "Promote" for outcome in outcomes) / runs
    needed = sorted(outcome.looks * _LOOK for outcome in outcomes if outcome.action == "Promote")
    median = needed[len(needed) // 2] if needed else None
    shares = {name: count / runs for name, count in others.items()}
    about = {OTHERS: shares, "ends": _ends(outcomes), "median": median, "runs": runs}
    name = "B5 fraud .1 %, Cost 50 : 1: the better one within 500,000"
    yield Figure(name, promoted, 0.9, "", about, at_least=True)


_LOOK: Final = 10_000
_FRAUD_LOOKS: Final = 50


def _contests(
    place: int, challenger: Draw, verdict: dict[str, Any], runs: int
) -> tuple[list[Outcome], dict[str, float]]:
    """Let a model challenge the champion many times; give how that ended, and how often others promoted it."""
    champion = _detector(0.8, 0.005)
    outcomes, others = [], dict.fromkeys(RULES, 0.0)
    for number in range(runs):
        feed = Split(np.random.default_rng((55, place, number)), _LOOK, champion, challenger)
        trial = Trial(deployment(verdict=verdict))
        outcomes.append(play(trial, feed, _FRAUD_LOOKS))
        for rest in range(outcomes[-1].looks, _FRAUD_LOOKS):
            _feed_on(trial, feed, rest)
        for name, rule in RULES.items():
            others[name] += rule(feed.seen.counts)[0] == "Promote"
    return outcomes, others


def _ends(outcomes: list[Outcome]) -> dict[str, int]:
    """Count how trials ended."""
    names = [f"{one.action} {one.reason}".strip() or "undecided" for one in outcomes]
    return {name: names.count(name) for name in sorted(set(names))}
