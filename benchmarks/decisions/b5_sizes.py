"""B5: how many requests it takes to prove the better one, next to a test of fixed size."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from scipy import stats

from benchmarks.common.figures import Figure
from benchmarks.decisions.b5 import SHADOW
from benchmarks.decisions.options import Options
from benchmarks.decisions.rules import PROMOTION
from benchmarks.decisions.streams import Copies, Split, one_row
from benchmarks.decisions.trial import Trial, deployment, play

NAME: Final = "B5"
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


_VERDICT: Final = {"measure": "ErrorRate", "guardrails": {"classes": {"margin": "1"}}}
"""The very hypothesis that the test of fixed size is about: the error rate alone, whatever it is made of."""


def run(options: Options) -> Iterator[Figure]:
    """Compare the requests that it takes with those of a test of fixed size at 80 % power."""
    runs = options.amount(201, 5)
    for place, (name, weight, a, b) in enumerate(_SPLITS):
        share = weight / 100
        fixed = _NORMAL * (a * (1 - a) / (1 - share) + b * (1 - b) / share) / (a - b) ** 2
        stages = ({"name": "live", "weight": weight, "minDuration": "0s", "minRequests": 1},)

        def split(random: np.random.Generator, look: int, a: float = a, b: float = b, stages: Any = stages) -> Any:
            return Trial(deployment(stages=stages, verdict=_VERDICT)), Split(random, look, one_row(a), one_row(b))

        yield _size(f"B5 median n ÷ fixed n, split {name}", fixed, 1.5, split, runs, place)
    for place, (name, better, worse) in enumerate(_SHADOWS):
        fixed = _NORMAL * (better + worse - (worse - better) ** 2) / (worse - better) ** 2

        def copied(random: np.random.Generator, look: int, better: float = better, worse: float = worse) -> Any:
            return Trial(deployment(stages=SHADOW, verdict=_VERDICT)), Copies(random, look, worse, better)

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
