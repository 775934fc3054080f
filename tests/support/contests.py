"""Contests as counts: two arms, their labels, and how they are judged."""

from collections.abc import Mapping, Sequence
from operator import add

import numpy as np

from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.judgement import Judgement, judge
from kingmaker.core.counts.labelled import (
    ClassCell,
    LossCell,
    PairCell,
    PairClassCell,
    PairLossCell,
    combine_cells,
)
from kingmaker.core.counts.process import WRONG_SHARES, Arm, DecisionCounts, Shadow
from kingmaker.core.state import Contest, StageRun
from support.world import START, digest

CHAMPION, CHALLENGER = digest("a"), digest("b")

Confusions = Mapping[tuple[str, str], int]
"""Requests by (true, predicted)."""


def an_arm(confusions: Confusions, *, unlabelled: int = 0, errors: int = 0, score: str = "") -> Arm:
    """Give what a model did: requests of one row, labelled but for `unlabelled` ones."""
    cells = {ClassCell(score, p, t, wrong=p != t): n for (t, p), n in sorted(confusions.items()) if n}
    wrong = sum(n for cell, n in cells.items() if cell.wrong)
    right = sum(cells.values()) - wrong
    answered = right + wrong + unlabelled
    judged = (right, *[0] * (len(WRONG_SHARES) - 2), wrong)
    return Arm(answered, errors, right, wrong, answered, judged=judged, classes=cells)


def shares(*wrong: int) -> Arm:
    """Give requests by the eighths of their rows that were wrong; 8 rows each."""
    judged = (*wrong, *[0] * (len(WRONG_SHARES) - len(wrong)))
    n, rows = sum(judged), sum(i * count for i, count in enumerate(judged))
    return Arm(answered=n, correct=8 * n - rows, wrong=rows, rows=8 * n, judged=judged)


def numbers(errors: Mapping[str, int], *, right_from: str = "0") -> Arm:
    """Give an arm of a regression: requests by cell of their error."""
    n = sum(errors.values())
    right = errors.get(right_from, 0)
    judged = (right, *[0] * (len(WRONG_SHARES) - 2), n - right)
    cells = {LossCell("over", error): count for error, count in sorted(errors.items())}
    return Arm(n, 0, right, n - right, n, judged=judged, losses=cells)


def pairs(cells: Mapping[tuple[str, str, str], int]) -> Shadow:
    """Give requests that both answered, by (true, champion's class, challenger's class)."""
    classes = {PairClassCell(mine, theirs, true): n for (true, mine, theirs), n in sorted(cells.items()) if n}
    judged: Mapping[PairCell, int] = {}
    for cell, n in classes.items():
        wrong = PairCell(float(cell.predicted != cell.true), float(cell.challenger_predicted != cell.true))
        judged = combine_cells(judged, {wrong: n}, add)
    rows = sum(classes.values())
    agree = sum(n for cell, n in classes.items() if cell.predicted == cell.challenger_predicted)
    both = sum(n for cell, n in judged.items() if cell == (0.0, 0.0))
    return Shadow(agree, rows - agree, both_correct=both, judged=judged, classes=classes)


def pair_numbers(cells: Mapping[tuple[str, str], int]) -> Shadow:
    """Give the same of a regression, by both errors."""
    n = sum(cells.values())
    return Shadow(agree=n, losses={PairLossCell(*errors): count for errors, count in sorted(cells.items())})


Live = tuple[Arm, Arm]
"""The champion's arm and the challenger's."""


def judged(*stages: Live | Shadow, weights: Sequence[int] = (), policy: VerdictPolicy | None = None) -> Judgement:
    """Judge a contest whose stages were like this, one after another; live ones at half the traffic by default."""
    runs, totals = [], {CHAMPION: {}, CHALLENGER: {}}
    for number, stage in enumerate(stages, start=1):
        if isinstance(stage, Shadow):
            runs.append(StageRun(f"stage {number}", number, START, 0, 100, 100))
            champion = Arm(answered=stage.compared, rows=stage.compared)
            totals[CHAMPION][number] = DecisionCounts(champion, {"b": stage})
            continue
        weight = weights[number - 1] if weights else 50
        runs.append(StageRun(f"stage {number}", number, START, weight, 100 - weight))
        for model, arm in zip((CHAMPION, CHALLENGER), stage, strict=True):
            totals[model][number] = DecisionCounts(arm)
    contest = Contest("", "b", CHALLENGER, START, tuple(runs))
    rules = policy or VerdictPolicy(stages=len(stages))
    return judge(contest, CHAMPION, totals, rules)


class Traffic:
    """Labelled requests of one row that arrive at two arms; each model's confusions by the true class."""

    def __init__(self, mix: Mapping[str, float], *models: Mapping[str, Mapping[str, float]], seed: int) -> None:
        """Take the share of every true class, and per model what it predicts of each class, as probabilities."""
        self._random = np.random.default_rng(seed)
        self._mix, self._models = mix, models
        self.confusions: list[dict[tuple[str, str], int]] = [{} for _ in models]

    def arrive(self, requests: int, share: float) -> Live:
        """Let more requests arrive, and give both arms with all that arrived so far."""
        mine = int(self._random.binomial(requests, share))
        for side, n in enumerate((requests - mine, mine)):
            of_class = self._random.multinomial(n, list(self._mix.values()))
            for true, count in zip(self._mix, of_class, strict=True):
                says = self._models[side][true]
                said = self._random.multinomial(count, list(says.values()))
                for predicted, times in zip(says, said, strict=True):
                    key = (true, predicted)
                    self.confusions[side][key] = self.confusions[side].get(key, 0) + int(times)
        champion, challenger = (an_arm(found) for found in self.confusions)
        return champion, challenger
