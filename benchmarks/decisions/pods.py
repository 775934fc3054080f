"""What serving processes would have counted: samples of `/profile`, read by the operator's own reader."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.buckets import Buckets, bounded
from kingmaker.core.counts.process import ProcessCounts, start_of
from kingmaker.core.counts.samples import read_samples

SHARES: Final = tuple(f"{eighth / 8:g}" for eighth in range(9))
_LATENCY: Final = "0.005"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one arm did between two looks.

    `wrong` and `rows` have one entry per labelled request: how many of its rows were wrong, and how many it has.
    `classes` counts requests by (predicted, true) of one of their rows. `unlabelled` and `errors` count requests.
    `buckets` has vectors by the names of `core.counts.buckets`, where a router keeps entities together.
    """

    wrong: np.ndarray
    rows: np.ndarray
    classes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unlabelled: int = 0
    errors: int = 0
    buckets: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All requests that were answered."""
        return len(self.wrong) + self.unlabelled


@dataclass(frozen=True, slots=True)
class Paired:
    """What both models made of the same labelled requests of one row each.

    `cells` counts them by (champion's class, challenger's class, true class).
    """

    cells: Mapping[tuple[str, str, str], int]


def digest_of(model: str) -> str:
    """Give a model of one letter a digest."""
    return f"sha256:{(format(ord(model[0]), 'x') * 64)[:64]}"


class Pod:
    """One process: its counts only grow, and begin anew when it is restarted."""

    def __init__(self, uid: str, model: str, *, baseline: Baseline | None = None) -> None:
        """Begin at zero.

        Args:
            uid: Of the pod.
            model: Whose it is.
            baseline: Into whose cells its rows are counted.
        """
        self.uid, self.model, self._baseline = uid, model, baseline
        self._cells = _none_of(baseline)
        self._buckets: dict[int, Buckets] = {}
        self._start = 1
        self.samples: Counter[str] = Counter()
        self._read: ProcessCounts | None = None

    def restart(self) -> None:
        """Begin at zero again, as a container does that was killed."""
        self._start += 1
        self.samples = Counter()
        self._cells = _none_of(self._baseline)
        self._buckets = {}
        self._read = None

    def answer(self, decision: int, answers: Answers, random: np.random.Generator, *, model: str = "") -> None:
        """Count what its model answered under a decision.

        Args:
            decision: The stamp.
            answers: What was answered, and what labels said of it.
            random: Draws where a share lies between two eighths, as servers do.
            model: Whose answers the labels are about, where those are another's.
        """
        self._read = None
        stamp = f'decision="{decision}"'
        if answers.buckets:
            self._buckets[decision] = bounded(answers.buckets) + self._buckets.get(decision, Buckets())
        if not model:
            rows = int(answers.rows.sum()) + answers.unlabelled
            self.samples[f'requests_total{{{stamp},outcome="ok"}}'] += answers.requests
            self.samples[f'requests_total{{{stamp},outcome="server_error"}}'] += answers.errors
            self.samples[f"rows_total{{{stamp}}}"] += rows
            self.samples[f'latency_total{{{stamp},le="{_LATENCY}"}}'] += answers.requests
        if len(answers.wrong) == 0:
            return
        whose = model or self.model
        about = f'model="{whose}",digest="{start_of(digest_of(whose))}",{stamp}'
        wrong, rows = int(answers.wrong.sum()), int(answers.rows.sum())
        self.samples[f'feedback_total{{{about},outcome="wrong"}}'] += wrong
        self.samples[f'feedback_total{{{about},outcome="correct"}}'] += rows - wrong
        for share, count in zip(SHARES, _eighths(answers.wrong / answers.rows, random), strict=True):
            if count:
                self.samples[f'feedback_requests_total{{{about},wrong="{share}"}}'] += count
        for (predicted, true), count in answers.classes.items():
            if count:
                outcome = "correct" if predicted == true else "wrong"
                cell = f'score="",predicted="{predicted}",true="{true}",outcome="{outcome}"'
                self.samples[f"feedback_classes_total{{{about},{cell}}}"] += count

    def count(self, cells: np.ndarray) -> None:
        """Count rows per cell of its baseline."""
        self._read = None
        # A new vector: what was looked at stays as it was.
        self._cells = self._cells + cells

    def compare(self, decision: int, challenger: str, paired: Paired) -> None:
        """Count what the challenger made of copies under a decision."""
        self._read = None
        about = f'challenger="{challenger}",decision="{decision}"'
        for (mine, theirs, true), count in paired.cells.items():
            if not count:
                continue
            result = "agree" if mine == theirs else "disagree"
            self.samples[f'shadow_pairs_total{{{about},result="{result}"}}'] += count
            outcomes = ["correct" if said == true else "wrong" for said in (mine, theirs)]
            shares = [str(int(said != true)) for said in (mine, theirs)]
            both = f'champion="{outcomes[0]}",challenger_outcome="{outcomes[1]}"'
            self.samples[f"shadow_feedback_total{{{about},{both}}}"] += count
            both = f'wrong="{shares[0]}",challenger_wrong="{shares[1]}"'
            self.samples[f"shadow_feedback_requests_total{{{about},{both}}}"] += count
            both = f'predicted="{mine}",challenger_predicted="{theirs}",true="{true}"'
            self.samples[f"shadow_feedback_classes_total{{{about},{both}}}"] += count

    def look(self) -> ProcessCounts:
        """Give what a scrape of it says now."""
        if self._read is None:
            digest = digest_of(self.model)
            counted, dropped = read_samples(self.samples.items(), own=start_of(digest))
            if dropped:
                raise ValueError(f"the operator's reader dropped samples: {dict(dropped)}")
            about = ProcessCounts(self.uid, self.model, digest, "", str(self._start))
            if self._baseline:
                about = replace(about, baseline_digest=self._baseline.digest, cells=self._cells)
            buckets = {start_of(digest): dict(self._buckets)} if self._buckets else {}
            self._read = replace(about, by_decision=counted.own, others=counted.others, buckets=buckets)
        return self._read


def _none_of(baseline: Baseline | None) -> np.ndarray:
    return np.zeros(sum(len(column.cells) for column in baseline.columns) if baseline else 0, dtype=np.int64)


def _eighths(shares: np.ndarray, random: np.random.Generator) -> list[int]:
    """Count shares by eighths; one between two is the upper one with the probability that keeps the mean."""
    scaled = shares * 8
    lower = np.floor(scaled)
    places = (lower + (random.random(len(shares)) < scaled - lower)).astype(int)
    return np.bincount(places, minlength=9).tolist()
