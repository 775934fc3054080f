"""B5: power where it matters: fraud that is rare, a challenger that never finds any, and one that finds more."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.options import Options
from benchmarks.decisions.rules import RULES
from benchmarks.decisions.streams import Draw, Split, confusion
from benchmarks.decisions.table import OTHERS
from benchmarks.decisions.trial import Outcome, Trial, deployment, feed_on, play

NAME: Final = "B5"
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


def run(options: Options) -> Iterator[Figure]:
    """Challenge a champion of recall .8 at .5 % false positives by one that always says no, and by a better one."""
    runs = options.amount(500, 5)
    no, better = _detector(0, 0), _detector(1, 0.01)
    for place, (name, verdict) in enumerate((("no measure", {}), ("Cost 50 : 1", _COST))):
        outcomes, others = _contests(place, no, {"goal": "NonInferior", **verdict}, runs)
        promoted = sum(outcome.action == "Promote" for outcome in outcomes)
        about = {OTHERS: others, "ends": _ends(outcomes), "runs": runs}
        yield Figure(f"B5 fraud .1 %, {name}: always «no» promoted, of {runs}", promoted, 0, "", about)
    runs = options.amount(200, 5)
    for place, goal in enumerate(("NonInferior", "Superior"), 2):
        outcomes, others = _contests(place, better, {"goal": goal, **_COST}, runs)
        needed = sorted(outcome.looks * _LOOK for outcome in outcomes if outcome.action == "Promote")
        median = needed[len(needed) // 2] if needed else None
        shares = {name: count / runs for name, count in others.items()}
        about = {OTHERS: shares, "ends": _ends(outcomes), "median": median, "runs": runs}
        name = f"B5 fraud .1 %, Cost 50 : 1, {goal}: the better one within 500,000"
        yield Figure(name, len(needed) / runs, 0.9, "", about, at_least=True)


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
            feed_on(trial, feed, rest)
        for name, rule in RULES.items():
            others[name] += rule(feed.seen.counts)[0] == "Promote"
    return outcomes, others


def _ends(outcomes: list[Outcome]) -> dict[str, int]:
    """Count how trials ended."""
    names = [f"{one.action} {one.reason}".strip() or "undecided" for one in outcomes]
    return {name: names.count(name) for name in sorted(set(names))}
