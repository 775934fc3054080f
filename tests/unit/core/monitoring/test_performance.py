"""The champion's errors outside of contests: what is said of them, when, and what follows."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from kingmaker.api import ConditionStatus, Reason
from kingmaker.core.counts.label_windows import LabelWindows, Tally, advance_labels
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.performance_monitor import PerformanceMonitor
from kingmaker.core.counts.storage import LIMIT, dump_ledger, load_ledger
from kingmaker.core.monitoring.performance import PerformancePolicy, judge_labels
from support.world import START, World, a_model, a_spec
from unit.core.retraining.test_retraining_runs import RETRAINING

TEN_MINUTES = 600
DAY = 144
"""Looks of ten minutes."""


def a_world(*, performance: dict[str, object] | None = None, **spec: object) -> World:
    monitoring = {"performance": performance or {}}
    world = World(spec=a_spec(monitoring=monitoring, **spec), models={"a": a_model("a", "a"), "b": a_model("b", "b")})
    world.count("a", "requests_total", 0, outcome="ok")
    return world.settle()


class Labelled:
    """Labels of a champion's answers come every ten minutes, at random wrong."""

    def __init__(self, world: World, *, seed: int = 3, per_look: int = 100, **labels: str) -> None:
        self.world = world
        self._random = np.random.default_rng(seed)
        self._per_look = per_look
        self._labels = labels

    def go_on(self, looks: int, rate: float) -> PerformanceMonitor:
        for _ in range(looks):
            wrong = int(self._random.binomial(self._per_look, rate))
            self.world.count("a", "requests_total", 2 * self._per_look, outcome="ok")
            self.world.judge("a", self._per_look, wrong=wrong, **self._labels)
            self.world.now += timedelta(seconds=TEN_MINUTES)
            self.world.step()
        return self.world.ledger.performance


def test_errors_that_rise_from_one_to_sixty_percent_are_said_and_trained_for() -> None:
    world = a_world(retraining=RETRAINING | {"triggers": ["Performance"]})
    labelled = Labelled(world)
    monitor = labelled.go_on(8 * DAY, 0.01)
    assert (monitor.status, monitor.reason) == (ConditionStatus.FALSE, Reason.PERFORMANCE_AS_EXPECTED)
    assert world.actions == ["Deploy"]
    monitor = labelled.go_on(DAY, 0.6)
    assert (monitor.status, monitor.reason) == (ConditionStatus.TRUE, Reason.ERROR_ABOVE_REFERENCE)
    world.settle()
    assert world.condition("ModelPerformanceDegraded")["status"] == "True"
    assert world.actions == ["Deploy", "Retrain"]
    assert world.last["reason"] == "PerformanceDegraded"


def test_a_great_rise_is_seen_within_the_hour() -> None:
    labelled = Labelled(a_world())
    labelled.go_on(3 * DAY, 0.01)
    began = labelled.world.now
    while labelled.go_on(1, 0.6).status is not ConditionStatus.TRUE:
        assert labelled.world.now - began < timedelta(hours=1)


@pytest.mark.parametrize("decision", ["past", "none", "0", "7"])
def test_labels_count_under_whatever_decision_their_request_came(decision: str) -> None:
    labelled = Labelled(a_world(), decision=decision)
    labelled.go_on(3 * DAY, 0.01)
    assert labelled.go_on(12, 0.6).status is ConditionStatus.TRUE


def test_decisions_that_are_kept_apart_no_more_are_not_counted_twice() -> None:
    world = a_world()
    labelled = Labelled(world, decision="3")
    labelled.go_on(3 * DAY, 0.01)
    known = world.ledger.performance
    # The pod adds what it kept under 3 to what is past: the sum stays.
    for share in ("0", "1"):
        kept, past = (f'feedback_requests_total{{decision="{d}",wrong="{share}"}}' for d in ("3", "past"))
        world.counts["a"][past] += world.counts["a"].pop(kept)
    world.now += timedelta(seconds=TEN_MINUTES)
    world.step()
    assert known.windows is not None
    assert world.ledger.performance.windows is not None
    counts = [
        sum(slot.tally.labelled for slot in w.scales[-1].slots)
        for w in (known.windows, world.ledger.performance.windows)
    ]
    assert counts[0] == counts[1]


def test_labels_that_arrive_at_the_pod_of_another_model_count_for_the_one_that_predicted() -> None:
    world = a_world()
    world.count("b", "requests_total", 0, outcome="ok")
    world.step()
    world.judge("a", 50, wrong=5, pod="b")
    world.judge("b", 70, wrong=70, pod="b")
    world.now += timedelta(seconds=TEN_MINUTES)
    world.step()
    windows = world.ledger.performance.windows
    assert windows is not None
    assert [sum(s.tally.labelled for s in scale.slots) for scale in windows.scales] == [50, 50, 50]
    assert sum(s.tally.bad for s in windows.scales[0].slots) == 5


def test_requests_are_judged_not_rows() -> None:
    world = a_world()
    world.count("a", "feedback_total", 1_000_000, outcome="wrong")
    world.judge("a", 20, wrong=0)
    world.count("a", "feedback_requests_total", 4, wrong="0.25")
    world.now += timedelta(seconds=TEN_MINUTES)
    world.step()
    windows = world.ledger.performance.windows
    assert windows is not None
    (slot,) = (s for s in windows.scales[0].slots if s.tally.labelled)
    assert (slot.tally.labelled, slot.tally.bad) == (24, 1.0)


def test_without_labels_nothing_is_healthy() -> None:
    world = a_world()
    for _ in range(DAY):
        world.count("a", "requests_total", 100, outcome="ok")
        world.now += timedelta(seconds=TEN_MINUTES)
        world.step()
    monitor = world.ledger.performance
    assert (monitor.status, monitor.reason) == (ConditionStatus.UNKNOWN, Reason.NO_LABELS)
    assert not world.ledger.unsaved, "requests without labels are nothing to store"


def test_few_labels_are_unknown() -> None:
    monitor = Labelled(a_world(), per_look=0).go_on(2, 0.0)
    assert monitor.status is ConditionStatus.UNKNOWN
    monitor = Labelled(a_world(performance={"minLabels": 1000, "windows": ["1h"]}), per_look=20).go_on(2 * DAY, 0.5)
    assert (monitor.status, monitor.reason) == (ConditionStatus.UNKNOWN, Reason.TOO_FEW_LABELS)


def test_the_first_labels_of_a_reign_wait_for_those_that_take_longer() -> None:
    labelled = Labelled(a_world(performance={"labelDelay": "2d", "maximum": "0.1"}))
    monitor = labelled.go_on(2 * DAY - 1, 0.6)
    assert (monitor.status, monitor.reason) == (ConditionStatus.UNKNOWN, Reason.LABELS_PENDING)
    assert labelled.go_on(12, 0.6).status is ConditionStatus.TRUE


@pytest.mark.parametrize("limit", [{"minimum": {"accuracy": "0.9"}}, {"maximum": "0.1"}], ids=["minimum", "maximum"])
def test_an_error_above_the_highest_that_is_good_enough_needs_no_reference(limit: dict[str, object]) -> None:
    labelled = Labelled(a_world(performance={"labelDelay": "0s", **limit}))
    monitor = labelled.go_on(DAY, 0.05)
    assert monitor.status is ConditionStatus.FALSE
    labelled = Labelled(a_world(performance={"labelDelay": "0s", **limit}))
    monitor = labelled.go_on(DAY, 0.2)
    assert (monitor.status, monitor.reason) == (ConditionStatus.TRUE, Reason.ERROR_ABOVE_MAXIMUM)
    assert monitor.labelled is not None
    low, high = monitor.labelled.within
    assert 0.1 < low < 0.2 < high < 0.3


@pytest.mark.parametrize("varies", [False, True], ids=["steady", "from hour to hour"])
def test_an_error_that_stays_what_it_is_raises_no_alarm_in_half_a_year(*, varies: bool) -> None:
    random = np.random.default_rng(9)
    rates = random.beta(6, 54, 26 * 168) if varies else np.full(26 * 168, 0.1)
    wrong = random.binomial(60, np.repeat(rates, 6))
    # Where hours are as different as that, one of a thousand may look risen for as long as it lasts.
    assert alarms(wrong) <= (12 if varies else 0)


def test_an_hour_that_is_twice_as_hard_is_found_where_hours_are_alike() -> None:
    wrong = np.random.default_rng(9).binomial(60, np.repeat([0.1] * 48 + [0.2] * 3, 6))
    assert alarms(wrong) > 0


def alarms(wrong: np.ndarray) -> int:
    """Judgements that something rose, of 60 labels in every ten minutes."""
    policy, now = PerformancePolicy(), START
    windows = LabelWindows.going_on(None, model="a", score="ErrorRate", lengths=policy.windows, now=now)
    found = 0
    for bad in wrong.tolist():
        now += timedelta(seconds=TEN_MINUTES)
        windows = advance_labels(windows, Tally(60, float(bad)), now=now)
        verdict = judge_labels(windows, policy, reference=None)
        windows = verdict.windows
        found += any(one.reason for one in verdict.judged)
    return found


def test_the_same_evidence_is_not_counted_twice() -> None:
    world = a_world(performance={"windows": ["24h"]})
    labelled = Labelled(world)
    labelled.go_on(10 * DAY, 0.01)
    labelled.go_on(DAY, 0.3)
    history = world.ledger.performance.history
    apart = [b.until - a.until for a, b in pairwise(history)]
    assert min(apart) >= timedelta(hours=12)


def test_a_new_champion_is_watched_afresh() -> None:
    world = a_world(performance={"labelDelay": "0s"})
    labelled = Labelled(world)
    labelled.go_on(2 * DAY, 0.01)
    assert labelled.go_on(12, 0.6).status is ConditionStatus.TRUE
    world.edit(championRef={"name": "b"})
    world.settle()
    assert world.state.champion is not None
    assert world.state.champion.name == "b"
    assert world.condition("ModelPerformanceDegraded")["status"] == "Unknown"
    world.wait(TEN_MINUTES)
    assert world.ledger.performance.history == ()


def test_windows_of_labels_survive_a_restart_and_stay_small() -> None:
    world = a_world()
    labelled = Labelled(world)
    labelled.go_on(8 * DAY, 0.2)
    text = dump_ledger(world.ledger)
    assert load_ledger(text).performance == world.ledger.performance
    assert len(text) - len(dump_ledger(Ledger(world.ledger.totals, world.ledger.seen))) < LIMIT / 50


def test_labels_after_a_restart_are_counted_once() -> None:
    world = a_world()
    Labelled(world).go_on(3, 0.5)
    world.ledger = load_ledger(dump_ledger(world.ledger))
    world.judge("a", 10, wrong=10)
    world.now += timedelta(seconds=TEN_MINUTES)
    world.step()
    windows = world.ledger.performance.windows
    assert windows is not None
    assert sum(slot.tally.labelled for slot in windows.scales[-1].slots) == 310


def test_coverage_compares_labels_with_the_requests_that_they_are_about() -> None:
    world = a_world(performance={"labelDelay": "0s", "windows": ["1h"]})
    assert Labelled(world).go_on(20, 0.1).coverage == pytest.approx(0.5)
