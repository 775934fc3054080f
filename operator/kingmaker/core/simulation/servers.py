"""Servers that would have counted: what a split gives each model, drawn from what it was recorded to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from kingmaker.core.counts.labels import read_labels
from kingmaker.core.counts.process import ProcessCounts, start_of
from kingmaker.core.counts.samples import read_samples
from kingmaker.core.simulation.history import RIGHT, Interval, ModelRecord, PairCell
from kingmaker.core.state import State

_LATENCY: Final = "0.005"
_DECISIONS: Final = 8
"""Decisions that a server keeps apart."""
RecordOf = Callable[[str], ModelRecord | None]


@dataclass
class Server:
    """All pods of one model as one process: its counts only grow."""

    model: str
    digest: str
    baseline: str = ""
    """Digest of its baseline."""
    counted_as: str = ""
    """Digest of the recorded baseline into whose cells its rows are counted; empty where none was recorded."""
    samples: dict[int, Counter[str]] = field(default_factory=dict)
    past: Counter[str] = field(default_factory=Counter)
    """What was counted under decisions that are not kept apart any more."""
    cells: np.ndarray | None = None

    def add(self, decision: int, family: str, labels: str, count: int) -> None:
        """Count under a decision; the oldest ones become past."""
        if not count:
            return
        self.samples.setdefault(decision, Counter())[f'{family}{{{labels}decision="{decision}"}}'] += count
        for old in sorted(self.samples)[:-_DECISIONS]:
            for key, number in self.samples.pop(old).items():
                self.past[key.replace(f'decision="{old}"', 'decision="past"')] += number

    def look(self) -> ProcessCounts:
        """Give what a scrape says now."""
        every = [sample for counter in (*self.samples.values(), self.past) for sample in counter.items()]
        own = start_of(self.digest)
        counted, labels = read_samples(every, own=own)[0], read_labels(every, own=own)
        about = ProcessCounts(f"simulated-{self.model}", self.model, self.digest, self.baseline, "1", cells=self.cells)
        return replace(about, by_decision=counted.own, others=counted.others, labels=labels)


@dataclass
class Servers:
    """The servers of one deployment. `random` draws who answers, and what."""

    random: np.random.Generator
    by_model: dict[str, Server] = field(default_factory=dict)

    def answer(self, state: State, interval: Interval, record_of: RecordOf) -> Mapping[str, ModelRecord]:
        """Let an interval's requests be answered under a state's split; give what each model did.

        Args:
            state: Who answers what part, who gets copies, and the number of the decision.
            interval: What was recorded.
            record_of: What a model is known to do about that time; None: nothing is known, so no label arrives.
        """
        shares = [share for share in state.traffic if share.weight]
        chances = np.array([share.weight for share in shares], dtype=float)
        counts = self.random.multinomial(interval.requests, chances / chances.sum()).tolist() if shares else []
        done = {}
        for share, count in zip(shares, counts, strict=True):
            done[share.model] = self._answer(share.model, state.traffic_sequence, count, record_of(share.model))
        for share in state.traffic:
            if share.shadow_percent and state.champion:
                copies = int(self.random.binomial(counts[0] if counts else 0, share.shadow_percent / 100))
                self._compare(state, share.model, copies, interval, record_of)
        server = self.by_model[state.champion.name] if state.champion else None
        if server and server.counted_as in interval.cells:
            # Whoever answers reads the same kind of rows; the champion's are watched.
            server.cells = interval.cells[server.counted_as] + (0 if server.cells is None else server.cells)
        return done

    def _answer(self, model: str, decision: int, count: int, record: ModelRecord | None) -> ModelRecord:
        server = self.by_model[model]
        all_of = record.requests + record.errors if record else 0
        errors = int(self.random.binomial(count, record.errors / all_of)) if record and all_of else 0
        answered = count - errors
        for outcome, number in (("ok", answered), ("server_error", errors)):
            server.add(decision, "requests_total", f'outcome="{outcome}",', number)
        server.add(decision, "rows_total", "", answered)
        server.add(decision, "latency_total", f'le="{_LATENCY}",', answered)
        labels = self._labels(answered, record)
        about = f'model="{model}",digest="{start_of(server.digest)}",'
        for (predicted, true), number in labels.items():
            is_wrong = predicted != true
            outcome = "wrong" if is_wrong else "correct"
            server.add(decision, "feedback_total", f'{about}outcome="{outcome}",', number)
            server.add(decision, "feedback_requests_total", f'{about}wrong="{int(is_wrong)}",', number)
            if predicted or true not in ("", "wrong"):
                cell = f'score="",predicted="{_escaped(predicted)}",true="{_escaped(true)}",outcome="{outcome}",'
                server.add(decision, "feedback_classes_total", about + cell, number)
        return ModelRecord(answered, errors, labels)

    def _labels(self, answered: int, record: ModelRecord | None) -> dict[tuple[str, str], int]:
        if record is None or not record.labelled:
            return {}
        coverage = min(1.0, record.labelled / record.requests) if record.requests else 1.0
        cells = list(record.labels)
        chances = np.array([record.labels[cell] for cell in cells], dtype=float)
        count = int(self.random.binomial(answered, coverage))
        drawn = self.random.multinomial(count, chances / chances.sum()).tolist()
        return dict(zip(cells, drawn, strict=True))

    def _compare(self, state: State, challenger: str, copies: int, interval: Interval, record_of: RecordOf) -> None:
        if state.champion is None:
            return
        champion = state.champion.name
        joint = interval.pairs.get((champion, challenger)) or _independent(record_of(champion), record_of(challenger))
        server, decision = self.by_model[champion], state.traffic_sequence
        about = f'challenger="{challenger}",'
        if not joint:
            server.add(decision, "shadow_pairs_total", f'{about}result="agree",', copies)
            return
        cells = list(joint)
        chances = np.array([joint[cell] for cell in cells], dtype=float)
        for (mine, theirs, true), number in zip(
            cells, self.random.multinomial(copies, chances / chances.sum()).tolist(), strict=True
        ):
            wrong = [int(said != true) for said in (mine, theirs)]
            said = ["wrong" if flag else "correct" for flag in wrong]
            result = "agree" if mine == theirs else "disagree"
            outcomes = f'champion="{said[0]}",challenger_outcome="{said[1]}",'
            shares = f'wrong="{wrong[0]}",challenger_wrong="{wrong[1]}",'
            server.add(decision, "shadow_pairs_total", f'{about}result="{result}",', number)
            server.add(decision, "shadow_feedback_total", about + outcomes, number)
            server.add(decision, "shadow_feedback_requests_total", about + shares, number)
            if true not in ("", "wrong"):
                names = [_escaped(name) for name in (mine, theirs, true)]
                classes = 'predicted="{}",challenger_predicted="{}",true="{}",'.format(*names)
                server.add(decision, "shadow_feedback_classes_total", about + classes, number)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _independent(one: ModelRecord | None, other: ModelRecord | None) -> Mapping[PairCell, float]:
    """Pair two models' answers as if they erred independently given the truth: nothing else is known from counts."""
    if one is None or other is None or not one.labelled or not other.labelled:
        return {}
    if RIGHT in one.labels or RIGHT in other.labels:
        mine, theirs = one.wrong / one.labelled, other.wrong / other.labelled
        chances = {("", "", ""): (1 - mine) * (1 - theirs), ("wrong", "", ""): mine * (1 - theirs)}
        return {**chances, ("", "wrong", ""): (1 - mine) * theirs, ("wrong", "wrong", ""): mine * theirs}
    found: dict[PairCell, float] = {}
    for true in sorted({true for _, true in one.labels}):
        mine_of = {p: n for (p, t), n in one.labels.items() if t == true}
        theirs_of = {p: n for (p, t), n in other.labels.items() if t == true}
        both = sum(theirs_of.values())
        for predicted, count in mine_of.items():
            for said, number in theirs_of.items():
                found[predicted, said, true] = count * number / both
    return {cell: chance for cell, chance in found.items() if chance}
