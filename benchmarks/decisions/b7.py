"""B7: whatever happens to pods, scrapes and the operator, the statistic is that of one process that saw everything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.decisions.options import Options
from benchmarks.decisions.pods import Answers, Paired, Pod, digest_of
from benchmarks.decisions.streams import judged
from benchmarks.decisions.trial import CHALLENGER, CHAMPION, Trial, deployment
from kingmaker.core.counts.baseline import Baseline, parse_baseline
from kingmaker.core.counts.seen_cells import CellsOf
from kingmaker.core.counts.storage import dump_ledger, load_ledger

NAME: Final = "B7"
_STAGES: Final = (
    {"name": "shadow", "shadowPercent": 100, "minDuration": "2h", "minRequests": 1},
    {"name": "half", "weight": 50, "minDuration": "300d", "minRequests": 1},
)
_HAPPENINGS: Final = ("kill", "reset", "rescale", "missed", "operator")


def _baseline() -> Baseline:
    cells = [{"name": str(n), "upper": float(n), "count": 100} for n in range(10)]
    feature = {"name": "x", "kind": "Numeric", "cells": [*cells, {"name": "missing", "count": 0, "rare": True}]}
    document = {"format": "kingmaker.dev/baseline/v1", "rows": 1000, "features": [feature]}
    return parse_baseline(document, digest="sha256:" + "0" * 64)


@dataclass
class Fleet:
    """A deployment whose pods come and go, and beside it one process per model that sees the same requests.

    What happens to a pod happens right after a look at it: what a process counted after the last look is lost with it,
    here as everywhere.
    """

    random: np.random.Generator
    happenings: tuple[str, ...]
    looks: int = 60
    baseline: Baseline = field(default_factory=_baseline)
    made: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    """Pods that do not answer, by uid, and for how many looks more."""

    def __post_init__(self) -> None:
        """Begin with two pods of each model."""
        verdict = {"falseRollback": "0.0001"}
        mdep = deployment(stages=_STAGES, verdict=verdict)
        watched = CellsOf(digest_of(CHAMPION), self.baseline)
        self.whole = Trial(mdep, pods=[self._pod(name) for name in (CHAMPION, CHALLENGER)], watched=watched)
        self.many = Trial(mdep, pods=[self._pod(name) for name in (CHAMPION, CHALLENGER) * 2], watched=watched)

    def _pod(self, model: str) -> Pod:
        self.made += 1
        return Pod(f"{model}-{self.made}", model, baseline=self.baseline)

    def play(self) -> None:
        """Let requests come and things happen; the last look sees everybody."""
        for look in range(self.looks):
            self._answer()
            self.whole.look()
            silent = (
                [pod for pod in self.many.pods if self.missing.get(pod.uid, 0) > 0] if look < self.looks - 1 else []
            )
            self.many.look(missed=silent)
            self.missing = {uid: left - 1 for uid, left in self.missing.items() if left > 1}
            if look < self.looks - 6:
                self._happen(silent)

    def _answer(self) -> None:
        run = self.whole.run
        if run is None:
            return
        for pod in self.many.pods:
            if pod.model == CHALLENGER and not run.weight:
                continue
            whole = self.whole.pod(pod.model)
            # A model has as many requests whatever the number of its pods, so that the split stays as it was designed.
            count = 240 // sum(other.model == pod.model for other in self.many.pods)
            answers = judged(self.random.binomial(1, 0.3, count), np.ones(count, dtype=int), self.random)
            cells = self.random.multinomial(count, [1 / 11] * 11)
            # Labels come to whichever pod the router chose, also to one of another model.
            told = self.many.pods[self.random.integers(len(self.many.pods))]
            silent = Answers(answers.wrong[:0], answers.rows[:0], {}, len(answers.wrong))
            for one, at in ((pod, told), (whole, whole)):
                one.answer(run.decision, silent, self.random)
                at.answer(run.decision, answers, self.random, model=pod.model)
                one.count(cells)
            if pod.model == CHAMPION and run.shadow_percent:
                paired = Paired({("0", "0", "0"): 30, ("1", "0", "0"): 2, ("0", "1", "0"): 2, ("1", "1", "0"): 2})
                pod.compare(run.decision, CHALLENGER, paired)
                whole.compare(run.decision, CHALLENGER, paired)

    def _happen(self, silent: list[Pod]) -> None:
        """Let something happen to pods that were just looked at."""
        what = self.happenings[self.random.integers(len(self.happenings))]
        seen = [pod for pod in self.many.pods if pod not in silent]
        if self.random.random() < 0.5 or not seen:
            return
        one = seen[self.random.integers(len(seen))]
        match what:
            case "kill":
                self.many.pods.remove(one)
                self.many.pods.append(self._pod(one.model))
            case "reset":
                one.restart()
            case "rescale":
                self._scale(one.model, 20 if self.random.random() < 0.3 else 2, seen)
            case "missed":
                self.missing[one.uid] = int(self.random.integers(1, 5))
            case "operator":
                self.many.ledger = load_ledger(dump_ledger(self.many.ledger))

    def _scale(self, model: str, count: int, seen: list[Pod]) -> None:
        pods = [pod for pod in self.many.pods if pod.model == model]
        for _ in range(len(pods), count):
            self.many.pods.append(self._pod(model))
        for pod in [pod for pod in pods if pod in seen][: max(0, len(pods) - count)]:
            self.many.pods.remove(pod)

    @property
    def differences(self) -> list[str]:
        """Name the statistics in which the fleet and the single processes differ."""
        found = [self._statistics(trial) for trial in (self.whole, self.many)]
        return [name for name in found[0].keys() | found[1].keys() if found[0].get(name) != found[1].get(name)]

    def _statistics(self, trial: Trial) -> dict[str, Any]:
        judged_contests = trial.assessed.judged
        checks = judged_contests[0].judgement.checks if judged_contests else ()
        rows = sum((delta.counts.vector for delta in trial.rows if delta.counts is not None), np.zeros(11))
        return {
            **{check.name: check for check in checks},
            "decisions": [(str(r.action), str(r.reason)) for r in trial.records],
            "cells": rows.tolist(),
        }


def run(options: Options) -> Iterator[Figure]:
    """Measure each happening alone, then all of them together."""
    runs = options.amount(100, 1)
    for place, happenings in enumerate((*((one,) for one in _HAPPENINGS), _HAPPENINGS)):
        different: list[str] = []
        count = checked = 0
        for number in range(runs):
            fleet = Fleet(np.random.default_rng((7, place, number)), happenings, options.amount(60, 20))
            fleet.play()
            checked += len(fleet._statistics(fleet.whole))  # noqa: SLF001
            different += fleet.differences
            count += bool(fleet.differences)
        name = "all of it" if len(happenings) > 1 else _WORDS[happenings[0]]
        about = {"histories": runs, "statistics": checked, "differing": sorted(set(different))}
        yield Figure(f"B7 histories that differ, of {runs}: {name}", count, 0, "", about)


_WORDS: Final = {
    "kill": "pods killed",
    "reset": "counters reset",
    "rescale": "rescaled 2 to 20 and back",
    "missed": "scrapes missed",
    "operator": "operator restarted",
}
