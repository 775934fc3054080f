"""Counts over the lives of pods, servers and operators: each once, and only what nobody lived to tell is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.findings import Severity, WindowFinding
from kingmaker.core.counts.ledger import Ledger, Seen, fold, is_due, note_news
from kingmaker.core.counts.process import Arm, DecisionCounts, ProcessCounts, Shadow, start_of
from kingmaker.core.counts.seen_cells import CellsOf
from kingmaker.core.counts.storage import dump_ledger, load_ledger
from kingmaker.core.counts.windows import Windows, advance
from support.references import START
from support.world import digest

MODEL, REFERENCE, RIVAL = digest("a"), digest("b"), digest("c")
BASELINE = Baseline(REFERENCE, 10, (Feature("f", Kind.CATEGORICAL, (Cell("c0", 5), Cell("c1", 5))),))
WATCHED = CellsOf(MODEL, BASELINE)
WANTED = {MODEL: frozenset({1, 2}), RIVAL: frozenset({1})}


@dataclass
class Pod:
    """A serving pod: counts from its start, and may start again or end."""

    uid: str
    start: int = 1
    counted: int = 0
    decisions: Mapping[int, DecisionCounts] = field(default_factory=dict)
    foreign: int = 0
    """Labels of another model's answers that arrived here."""

    def serve(self, requests: int) -> None:
        self.counted += requests

    def restart(self) -> None:
        self.start, self.counted, self.foreign = self.start + 1, 0, 0

    def look(self) -> ProcessCounts:
        decisions = {1: DecisionCounts(Arm(answered=self.counted, rows=self.counted))} | dict(self.decisions)
        cells = np.array([self.counted, 0], dtype=np.int64)
        others = {start_of(RIVAL): {1: DecisionCounts(Arm(wrong=self.foreign)), 7: DecisionCounts(Arm(wrong=99))}}
        return ProcessCounts(
            self.uid, "a", MODEL, REFERENCE, f"{self.start}.000", decisions, cells, others if self.foreign else {}
        )


@dataclass
class Operator:
    """Whoever looks, with a ledger in memory, a stored one, and the cells that came to the windows."""

    ledger: Ledger = Ledger()
    stored: str = ""
    cells: int = 0
    stored_cells: int = 0
    gap: bool = False

    def look(self, *pods: Pod, exist: tuple[Pod, ...] = ()) -> int:
        before = self.ledger
        uids = frozenset(pod.uid for pod in (*pods, *exist))
        folded = fold(before, [p.look() for p in pods], pods=uids, wanted=WANTED, watched=WATCHED)
        self.ledger, self.gap = note_news(before, folded.ledger), folded.cells.gap
        assert folded.cells.counts is not None
        self.cells += folded.cells.counts.rows
        return self.answered

    def store(self) -> None:
        self.stored, self.stored_cells = dump_ledger(self.ledger), self.cells

    def crash(self) -> None:
        """Windows are part of the ledger: what is in them goes back to what was stored, too."""
        self.ledger = load_ledger(self.stored) if self.stored else Ledger()
        self.cells = self.stored_cells

    @property
    def answered(self) -> int:
        return self.ledger.totals.get(MODEL, {}).get(1, DecisionCounts()).arm.answered

    @property
    def labelled(self) -> int:
        """Labels of the other model's answers, wherever they arrived."""
        return self.ledger.totals.get(RIVAL, {}).get(1, DecisionCounts()).arm.wrong


def test_a_count_is_added_once_however_often_it_is_seen() -> None:
    pod, operator = Pod("p"), Operator()
    pod.serve(10)
    assert [operator.look(pod) for _ in range(3)] == [10, 10, 10]
    pod.serve(5)
    assert (operator.look(pod), operator.cells) == (15, 15)


def test_a_restarted_server_counts_from_nothing_and_its_sums_stay() -> None:
    pod, operator = Pod("p"), Operator()
    pod.serve(10)
    operator.look(pod)
    pod.restart()
    pod.serve(3)
    assert (operator.look(pod), operator.cells) == (13, 13)
    assert list(operator.ledger.seen) == ["p"], "only its newest process is remembered"


def test_counts_that_fall_and_rise_again_are_not_counted_twice() -> None:
    pod, operator = Pod("p"), Operator()
    for counted in (10, 0, 10, 0, 11):
        pod.counted = counted
        operator.look(pod)
    assert (operator.answered, operator.cells) == (11, 11)


def test_a_pod_that_is_gone_is_forgotten_and_its_sums_stay() -> None:
    pod, other, operator = Pod("p"), Pod("q"), Operator()
    pod.serve(10)
    operator.look(pod, other)
    assert operator.look(other) == 10
    assert set(operator.ledger.seen) == {"q"}


def test_decisions_that_nobody_asks_for_are_neither_kept_nor_counted_again() -> None:
    pod, operator = Pod("p", decisions={7: DecisionCounts(Arm(answered=9))}), Operator()
    pod.serve(10)
    operator.look(pod)
    assert set(operator.ledger.totals[MODEL]) == {1}
    without = fold(operator.ledger, [pod.look()], pods=frozenset({"p"}), wanted={}, watched=None).ledger
    assert (without.totals, without.cells) == ({}, None)


def test_labels_count_for_the_model_that_predicted_wherever_they_arrive() -> None:
    operator, first, second = Operator(), Pod("p"), Pod("q")
    first.foreign, second.foreign = 3, 4
    operator.look(first, second)
    operator.look(first, second)
    assert operator.labelled == 7
    operator.store()
    first.foreign += 5
    operator.look(first, second)
    operator.crash()
    operator.look(first, second)
    assert operator.labelled == 12
    first.restart()
    first.foreign = 2
    operator.look(first, second)
    operator.look(second)
    assert operator.labelled == 14
    assert set(operator.ledger.totals[RIVAL]) == {1}


def test_shadows_add_up_per_challenger() -> None:
    pod, operator = Pod("p"), Operator()
    for agree in (3, 8):
        pod.decisions = {2: DecisionCounts(shadows={"b": Shadow(agree=agree, disagree=1)})}
        operator.look(pod)
    assert operator.ledger.totals[MODEL][2].shadows == {"b": Shadow(agree=8, disagree=1)}


def test_a_crash_loses_nothing_of_processes_that_still_run() -> None:
    pods, operator = (Pod("p"), Pod("q")), Operator()
    for pod in pods:
        pod.serve(10)
    operator.look(*pods)
    operator.store()
    for pod in pods:
        pod.serve(5)
    operator.look(*pods)
    operator.crash()
    assert (operator.look(*pods), operator.cells, operator.gap) == (30, 30, False)


def test_after_a_crash_cells_wait_for_the_last_pod_to_answer() -> None:
    p, q = Pod("p", counted=10), Pod("q", counted=20)
    operator = Operator()
    operator.look(p, q)
    operator.store()
    operator.crash()
    p.serve(1)
    q.serve(1)
    operator.look(p, exist=(q,))
    assert (operator.answered, operator.cells, operator.gap) == (31, 30, True)
    p.serve(1)
    operator.store()
    operator.crash()
    operator.look(p, exist=(q,))
    operator.look(p, q)
    assert (operator.answered, operator.cells, operator.gap) == (33, 33, False)


def test_what_a_process_counted_that_ended_unseen_after_a_crash_is_lost_and_told() -> None:
    p, q = Pod("p", counted=10), Pod("q", counted=20)
    operator = Operator()
    operator.look(p, q)
    operator.store()
    p.serve(1)
    q.serve(1)
    operator.crash()
    q.restart()
    q.serve(4)
    operator.look(p, q)
    assert operator.answered == 10 + 20 + 1 + 4, "the one row of the process that ended is lost"
    assert (operator.cells, operator.gap) == (30 + 4, True), "of cells what the others counted meanwhile, too"
    p.serve(1)
    operator.look(p, q)
    assert (operator.answered, operator.cells, operator.gap) == (36, 35, False)


def test_a_process_whose_cells_were_never_looked_at_begins_with_the_first_look() -> None:
    pod = Pod("p", counted=10)
    seen = fold(Ledger(), [pod.look()], pods=frozenset({"p"}), wanted=WANTED, watched=None).ledger
    operator = Operator(seen)
    operator.look(pod)
    assert (operator.cells, operator.gap) == (0, True)
    pod.serve(2)
    operator.look(pod)
    assert (operator.cells, operator.gap) == (2, False)


events = st.tuples(
    st.integers(0, 2), st.sampled_from(["serve", "look", "restart", "store", "crash"]), st.integers(1, 50)
)


@settings(max_examples=200)
@given(st.lists(events, max_size=60))
def test_nothing_is_counted_twice_whatever_happens(story: list[tuple[int, str, int]]) -> None:
    pods, operator, served, crashed, ended = [Pod("p"), Pod("q"), Pod("r")], Operator(), 0, False, False
    operator.look(*pods)
    operator.store()
    for which, event, count in story:
        match event:
            case "serve":
                pods[which].serve(count)
                served += count
            case "look":
                operator.look(*pods)
            case "restart":
                ended = True
                pods[which].restart()
            case "store":
                operator.store()
            case _:
                operator.crash()
                crashed = True
        assert operator.answered <= served
        assert operator.cells <= served
    operator.look(*pods)
    assert operator.answered <= served
    assert operator.cells <= operator.answered, "cells lose at least what sums lose"
    if not ended:
        assert (operator.answered, operator.cells) == (served, served)
    assert crashed or operator.cells == operator.answered


# When it is stored.

INTERVAL = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def due(ledger: Ledger, *, minutes: float = 1, decided: bool = False) -> bool:
    return is_due(ledger, now=START + minutes * MINUTE, interval=INTERVAL, decided=decided)


def watching(*, rows: int = 0, since: float = 0) -> DataMonitor:
    windows = Windows.for_baseline(
        None, model=MODEL, baseline=BASELINE, scales=[timedelta(minutes=9)], now=START + since * MINUTE
    )
    delta = CellCounts.of(((rows, 0),))
    return DataMonitor(windows=advance(windows, now=START + since * MINUTE, delta=delta, complete=True))


def test_without_news_nothing_is_stored() -> None:
    ledger = Ledger(stored=START)
    assert not any(due(ledger, minutes=m, decided=decided) for m in (1, 100) for decided in (True, False))


def test_news_are_stored_with_a_decision_else_once_per_interval() -> None:
    news = Ledger(stored=START, unsaved=True)
    assert not due(news)
    assert due(news, decided=True)
    assert due(news, minutes=5)
    assert due(replace(news, stored=None)), "the first news at once"


def test_deployments_with_other_phases_are_stored_at_other_times() -> None:
    watched = watching(rows=1)
    assert watched.windows is not None
    later = replace(watched, windows=replace(watched.windows, phase=120_000, scales=()))
    news = Ledger(watch=later, stored=START, unsaved=True)
    assert [minutes for minutes in range(1, 9) if due(news, minutes=minutes)] == [3, 4, 5, 6, 7, 8]
    assert not due(replace(news, stored=None, watch=watched), minutes=1)


def test_news_are_stored_when_a_slot_is_complete() -> None:
    news = Ledger(watch=watching(rows=1), stored=START + MINUTE, unsaved=True)
    assert not due(news, minutes=2)
    assert due(news, minutes=3)


def test_that_time_passed_is_no_news() -> None:
    before = Ledger(watch=watching(rows=5))
    windows = before.watch.windows
    assert windows is not None
    later = advance(windows, now=START + MINUTE, delta=windows.empty, complete=True)
    idle = replace(before, watch=replace(before.watch, windows=later, evaluated_at=START + MINUTE))
    assert not note_news(before, idle).unsaved
    counted = advance(later, now=START + MINUTE, delta=CellCounts.of(((0, 1),)), complete=True)
    assert note_news(before, replace(before, watch=replace(before.watch, windows=counted))).unsaved
    assert note_news(before, replace(before, watch=replace(before.watch, features=("f",)))).unsaved


def test_what_is_said_of_a_deployment_that_never_counted_is_no_news() -> None:
    told = DataMonitor(drift_message="the champion's Model has no baseline")
    assert not note_news(Ledger(), Ledger(watch=told, seen={"p": Seen("1.000")})).unsaved
    assert not note_news(Ledger(), Ledger(watch=watching())).unsaved
    assert note_news(Ledger(watch=watching()), Ledger(watch=watching(rows=1))).unsaved


def test_news_stay_news_until_they_are_stored() -> None:
    assert note_news(Ledger(), Ledger(unsaved=True)).unsaved


def test_what_is_unknown_for_want_of_rows_is_no_news_whatever_its_words() -> None:
    def found(severity: Severity, words: str) -> Ledger:
        finding = WindowFinding(timedelta(hours=1), START, severity, lacking=words)
        return Ledger(watch=DataMonitor(findings=(finding,), drift_message=words))

    unknown = found(Severity.UNKNOWN, "nothing was counted yet")
    assert not note_news(unknown, found(Severity.UNKNOWN, "0 rows, at least 200 needed")).unsaved
    assert note_news(unknown, found(Severity.DRIFT, "")).unsaved
