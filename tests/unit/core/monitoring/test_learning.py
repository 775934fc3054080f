"""What quiet windows teach: the season, and how much counts vary; and that windows are quiet then, and not blind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.decisions.b2 import WORLDS
from benchmarks.decisions.service import HOUR, NUMERIC, START, Service, Traffic, World, is_drift
from kingmaker.api import DriftState
from kingmaker.core.counts.baseline import Baseline, Season
from kingmaker.core.counts.findings import Severity
from kingmaker.core.counts.integers import Integers
from kingmaker.core.counts.learnt import SQUARE
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.storage import dump_ledger, load_ledger
from kingmaker.core.monitoring.drift import DriftPolicy, judge_drift
from kingmaker.core.monitoring.reference import reference_of
from support.references import LENGTH, a_baseline, a_full_window, a_numeric_feature, count_rows

DAYS = 3.5
SHORT = replace(DriftPolicy(), windows=(HOUR, 24 * HOUR))


def in_service(world: World, days: float = DAYS) -> tuple[Service, set[DriftState]]:
    """A champion after some days without drift, and what was said of it from the third day on."""
    service, said = Service.begin(Traffic(world, 10_000), SHORT), set()
    for after in service.weeks(days / 7):
        service = after
        if service.now > START + 51 * HOUR:
            said.add(service.watch.state)
    return service, said


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_nothing_is_said_where_nothing_happens(world: World) -> None:
    service, said = in_service(world)
    assert said <= {DriftState.NONE, DriftState.UNKNOWN}
    assert service.watch.broken == ()


def test_a_shift_is_seen_within_the_hour_beside_a_season() -> None:
    service, _ = in_service(WORLDS[3])
    drift = np.zeros(NUMERIC)
    drift[5] = 0.6
    waited = 0
    while not is_drift(service.watch):
        service, waited = service.next(drift), waited + 1
        assert waited <= 4
    assert service.watch.features == ("x5",)
    looks = service.watch.learnt[0].looks
    for _ in range(6):
        service = service.next(drift)
    assert service.watch.learnt[0].looks == looks, "nothing is learnt from an alarm"


def test_rows_that_come_together_are_found_to_vary_as_much_more() -> None:
    service, _ = in_service(WORLDS[2])
    hourly = service.watch.learnt[0]
    found = hourly.squares.array[:NUMERIC, 1] * SQUARE / hourly.looks
    # 20 rows that share half of what they are: 1 + 19/2.
    assert found.mean() == pytest.approx(10.5, rel=0.3)


def test_before_two_days_only_rare_cells_are_judged() -> None:
    service = Service.begin(Traffic(WORLDS[0], 10_001), SHORT)
    for _ in range(6):
        service = service.next(0.0)
    assert service.watch.state is DriftState.UNKNOWN
    assert "shorter than a season of 24h" in service.watch.drift_message
    for _ in range(3):
        # A shift by half a deviation might be the hour; values that nobody ever had are none.
        service = service.next(np.full(NUMERIC, 0.5))
    assert service.watch.state is DriftState.UNKNOWN
    far = np.zeros(NUMERIC)
    far[3] = 3.2
    for _ in range(3):
        service = service.next(far)
    assert service.watch.state is DriftState.DRIFT
    assert "x3 more above the range" in service.watch.drift_message


def test_what_was_learnt_survives_its_text() -> None:
    service, _ = in_service(WORLDS[0], days=1)
    assert load_ledger(dump_ledger(Ledger(watch=service.watch))).watch == service.watch
    numbers = Integers(np.array([[-3, 0, 2**40], [5, -(2**40), 1]]))
    assert Integers._read(numbers.pack()) == numbers


def test_a_baseline_with_a_season_lets_short_windows_be_judged_at_once() -> None:
    random = np.random.default_rng(10_004)
    hours = np.arange(24)
    sample = np.concatenate([random.normal(np.sin(2 * np.pi * h / 24), size=500) for h in hours])[:, None]
    feature = a_numeric_feature("x", sample[:, 0])
    plain = Baseline("sha256:b", len(sample), (feature,))
    per_hour = np.array([count_rows(plain, part).vector for part in np.split(sample, 24)], dtype=np.int32)
    baseline = replace(plain, season=Season(timedelta(hours=24), per_hour, np.array([True])))
    morning = datetime(2026, 1, 1, 6, tzinfo=UTC)
    mixed, has = reference_of(baseline).at_times([(morning, morning + HOUR, 300)])
    assert has.all()
    assert mixed.ordinary[0].tolist() == pytest.approx(per_hour[6][1:-3].tolist())
    policy = replace(SHORT, windows=(HOUR,), false_alarm_interval=timedelta(days=7), min_rows=50)

    def state(shift: float, known: Baseline) -> Severity:
        # The newest window of an hour begins at one past midnight.
        rows = random.normal(np.sin(2 * np.pi * 1.0 / 24) + shift, size=(3000, 1))
        windows, now = a_full_window(known, count_rows(known, rows), lengths=(HOUR,))
        return judge_drift(known, windows, policy, now=now).state

    assert state(0, plain) is Severity.UNKNOWN
    assert state(0, baseline).rank <= Severity.NONE.rank
    assert state(1.0, baseline).is_drift


@pytest.mark.parametrize("held_out", [True, False])
def test_predictions_are_judged_against_rows_that_the_model_did_not_see(held_out: bool) -> None:
    random = np.random.default_rng(10_005)
    sample = random.normal(size=(5000, 2))
    inputs = a_baseline(sample[:, :1])
    score = replace(a_numeric_feature("score", sample[:, 1]), held_out=held_out)
    baseline = replace(inputs, score=score)
    rows = random.normal(size=(5000, 2)) + np.array([0.0, 1.0])
    both = Baseline("sha256:b", 5000, (*inputs.features, score))
    windows, now = a_full_window(baseline, count_rows(both, rows))
    policy = DriftPolicy(windows=(LENGTH,), season=None, false_alarm_interval=timedelta(days=7))
    verdict = judge_drift(baseline, windows, policy, now=now)
    assert [(f.name, f.is_output) for f in verdict.features] == ([("score", True)] if held_out else [])
