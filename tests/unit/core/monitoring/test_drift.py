"""Drift verdicts: quiet without drift, sure of drift, honest about thin data."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.windows import Windows, advance, mark_broken
from kingmaker.core.monitoring.drift import (
    ATTRIBUTION,
    DriftPolicy,
    DriftVerdict,
    Severity,
    _attributed,
    judge_drift,
    persisted,
)
from support.references import LENGTH, START, Floats, a_baseline, a_categorical_feature, a_full_window, count_rows

FEATURES, REFERENCE_ROWS, ROWS = 24, 455, 1500
POLICY = DriftPolicy(windows=(LENGTH,))


class World:
    """Correlated, partly skewed features: three hidden causes, like measurements of the same cell nuclei."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.loadings = np.random.default_rng(0).normal(size=(3, FEATURES))

    def draw(self, rows: int) -> Floats:
        values = self.random.normal(size=(rows, 3)) @ self.loadings + self.random.normal(size=(rows, FEATURES))
        values /= np.sqrt((self.loadings**2).sum(axis=0) + 1)
        values[:, ::4] = np.exp(values[:, ::4])
        return values


def judge(baseline: Baseline, rows: Floats, policy: DriftPolicy = POLICY) -> DriftVerdict:
    windows, now = a_full_window(baseline, count_rows(baseline, rows))
    return judge_drift(baseline, windows, policy, now=now)


def test_no_false_alarm_in_two_hundred_windows_without_drift() -> None:
    world = World(1)
    # A budget of one alarm a day is thousands of times looser than the default.
    policy = replace(POLICY, false_alarm_interval=timedelta(days=1))
    states = [judge(a_baseline(world.draw(REFERENCE_ROWS)), world.draw(2000), policy).state for _ in range(200)]
    assert set(states) == {Severity.NONE}


def test_a_shift_of_one_deviation_in_a_third_of_the_features_is_always_found() -> None:
    world = World(2)
    for _ in range(20):
        reference = world.draw(REFERENCE_ROWS)
        rows = world.draw(ROWS)
        rows[:, ::3] += reference[:, ::3].std(axis=0)
        verdict = judge(a_baseline(reference), rows)
        assert verdict.state.rank >= Severity.DRIFT.rank
        assert {f.name for f in verdict.features} == {f"f{j}" for j in range(0, FEATURES, 3)}
        assert all("shifted up" in f.direction for f in verdict.features if int(f.name[1:]) % 4)


def test_severity_grows_with_the_shift_and_not_with_the_rows() -> None:
    random = np.random.default_rng(3)
    baseline = a_baseline(random.normal(size=(20_000, 3)))

    def state(shift: float) -> Severity:
        return judge(baseline, random.normal(size=(20_000, 3)) + shift).state

    assert [state(s) for s in (0.0, 0.05, 0.18, 0.35, 0.9)] == [
        Severity.NONE,
        Severity.NONE,
        Severity.WARNING,
        Severity.DRIFT,
        Severity.SEVERE,
    ]


def test_the_verdict_tells_what_moved_and_how() -> None:
    world = World(4)
    rows = world.draw(ROWS)
    rows[:, 5] = rows[:, 5] + 2
    verdict = judge(a_baseline(world.draw(REFERENCE_ROWS)), rows)
    (moved,) = verdict.features
    assert (moved.name, moved.window, moved.severity) == ("f5", LENGTH, Severity.SEVERE)
    assert moved.direction.startswith("shifted up")
    assert moved.p_value <= moved.level < 1e-6
    assert moved.psi == moved.test.debiased_psi > 0.25
    assert verdict.message.startswith(
        "1500 rows of 21s compared with the baseline: Severe, 1 of 24 features moved: f5 "
    )


def test_many_features_are_counted_in_the_message_and_not_all_named() -> None:
    world = World(5)
    verdict = judge(a_baseline(world.draw(REFERENCE_ROWS)), world.draw(ROWS) + 3)
    assert len(verdict.features) == FEATURES
    assert f"and {FEATURES - 5} more" in verdict.message


def test_ignored_features_are_not_judged() -> None:
    world = World(6)
    rows, baseline = world.draw(ROWS), a_baseline(world.draw(REFERENCE_ROWS))
    rows[:, 0] += 5
    assert judge(baseline, rows, replace(POLICY, ignore_features=frozenset({"f0"}))).state is Severity.NONE
    everything = frozenset(f.name for f in baseline.features)
    verdict = judge(baseline, rows, replace(POLICY, ignore_features=everything))
    assert verdict.state is Severity.UNKNOWN
    assert "every feature is ignored" in verdict.message


def test_categories_drift_too() -> None:
    plan = a_categorical_feature("plan", [300, 100, 55])
    baseline = Baseline("sha256:b", 455, (plan,))
    windows, now = a_full_window(baseline, CellCounts.of(((300, 900, 300, 0, 0),)))
    (moved,) = judge_drift(baseline, windows, POLICY, now=now).features
    assert (moved.name, moved.direction) == ("plan", "other shape")


@pytest.mark.parametrize(
    ("rows", "complete", "age", "why"),
    [
        (199, True, 2 * LENGTH, "21s: 199 rows, at least 200 needed"),
        (ROWS, False, 2 * LENGTH, "21s: 0% of its time observed, at least 80% needed"),
        (ROWS, True, LENGTH / 2, "counting began after"),
    ],
    ids=["few rows", "missing scrapes", "young"],
)
def test_thin_data_is_unknown_and_never_healthy(rows: int, complete: bool, age: timedelta, why: str) -> None:
    world = World(7)
    baseline = a_baseline(world.draw(REFERENCE_ROWS))
    windows = Windows.for_baseline(None, model="m", baseline=baseline, scales=(LENGTH,), now=START)
    windows = advance(windows, now=START + age, delta=count_rows(baseline, world.draw(rows)), complete=complete)
    now = START + age + LENGTH / 3
    windows = advance(windows, now=now, delta=CellCounts.empty(baseline), complete=complete)
    verdict = judge_drift(baseline, windows, POLICY, now=now)
    assert (verdict.state, verdict.features, verdict.until) == (Severity.UNKNOWN, (), None)
    assert why in verdict.message


def test_a_short_window_speaks_before_a_long_one_is_full() -> None:
    world = World(8)
    baseline, day = a_baseline(world.draw(REFERENCE_ROWS)), timedelta(days=1)
    windows = Windows.for_baseline(None, model="m", baseline=baseline, scales=(LENGTH, day), now=START)
    windows = advance(windows, now=START + 2 * LENGTH, delta=count_rows(baseline, world.draw(ROWS) + 2), complete=True)
    now = START + 2 * LENGTH + LENGTH / 3
    windows = advance(windows, now=now, delta=CellCounts.empty(baseline), complete=True)
    policy = replace(POLICY, windows=(LENGTH, day, 7 * day))
    verdict = judge_drift(baseline, windows, policy, now=now)
    assert (verdict.state, verdict.window) == (Severity.SEVERE, LENGTH)
    assert "not judged yet: 168h: not counted yet; 24h: counting began after" in verdict.message


def test_a_feature_that_moved_in_two_windows_is_named_once_by_the_worse() -> None:
    random = np.random.default_rng(9)
    baseline, longer = a_baseline(random.normal(size=(5000, 2))), 10 * LENGTH
    scales = (LENGTH, longer)
    windows, now = a_full_window(baseline, count_rows(baseline, random.normal(size=(4000, 2)) + 0.3), lengths=scales)
    for _ in range(40):
        now += LENGTH / 3
        windows = advance(windows, now=now, delta=count_rows(baseline, random.normal(size=(500, 2)) + 1), complete=True)
    verdict = judge_drift(baseline, windows, replace(POLICY, windows=scales), now=now)
    assert [f.severity for f in verdict.features] == [Severity.SEVERE, Severity.SEVERE]
    assert {f.name for f in verdict.features} == {"f0", "f1"}


def test_broken_features_are_left_out_while_a_window_holds_their_rows() -> None:
    world = World(10)
    rows, baseline = world.draw(ROWS), a_baseline(world.draw(REFERENCE_ROWS))
    rows[:, 3] *= 1000
    windows, now = a_full_window(baseline, count_rows(baseline, rows))
    assert judge_drift(baseline, windows, POLICY, now=now).state is Severity.SEVERE
    verdict = judge_drift(baseline, mark_broken(windows, ["f3"], now=now), POLICY, now=now)
    assert verdict.state is Severity.NONE
    assert verdict.message.endswith("left out as broken: f3")


def test_bursty_traffic_is_forgiven_once_its_overdispersion_is_known() -> None:
    random = np.random.default_rng(11)
    baseline = a_baseline(random.normal(size=(5000, 1)))
    # Each row arrives five times: a fifth of the information that its count suggests.
    rows = np.repeat(random.normal(size=(120, 1)), 5, axis=0) + 0.45
    policy = replace(POLICY, false_alarm_interval=timedelta(hours=10), tolerance=0.01)
    assert judge(baseline, rows, policy).state is not Severity.NONE
    assert judge(baseline, rows, replace(policy, overdispersion={"f0": 5.0})).state is Severity.NONE


def test_a_tolerance_above_the_severe_one_lifts_it() -> None:
    assert DriftPolicy(tolerance=0.4).steps[-1] == (Severity.SEVERE, 0.4)
    with pytest.raises(ValueError, match="0 <= warning <= tolerance"):
        DriftPolicy(tolerance=0.01, warning=0.02)


def test_lengths_are_said_as_the_api_writes_them() -> None:
    random = np.random.default_rng(12)
    baseline = a_baseline(random.normal(size=(500, 1)))
    for length, words in ((timedelta(minutes=10), "10m"), (timedelta(days=2), "48h"), (LENGTH, "21s")):
        windows, now = a_full_window(baseline, count_rows(baseline, random.normal(size=(300, 1))), lengths=(length,))
        verdict = judge_drift(baseline, windows, replace(POLICY, windows=(length,)), now=now)
        assert f"300 rows of {words} compared" in verdict.message


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], False),
        ([True], False),
        ([True, True], True),
        ([True, False, True], True),
        ([True, True, False, False], False),
    ],
)
def test_two_of_three_evaluations_persist(history: list[bool], expected: bool) -> None:
    assert persisted(history, of=3, needed=2) is expected
    assert persisted(history, of=0, needed=1) is False


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=30))
def test_features_are_attributed_as_scipy_controls_false_discoveries(p_values: list[float]) -> None:
    named = {str(n): p for n, p in enumerate(p_values)}
    adjusted = stats.false_discovery_control(p_values, method="bh")
    # Where both differ by rounding alone, either is right.
    doubtful = {str(n) for n, p in enumerate(adjusted) if abs(p - ATTRIBUTION) < 1e-12}
    expected = {str(n) for n, p in enumerate(adjusted) if p <= ATTRIBUTION}
    assert set(_attributed(named)) - doubtful == expected - doubtful
