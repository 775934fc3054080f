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
from kingmaker.core.counts.findings import Severity
from kingmaker.core.counts.windows import Windows, advance, mark_broken
from kingmaker.core.monitoring.drift import DriftPolicy, DriftVerdict, judge_drift
from kingmaker.core.monitoring.panel import ATTRIBUTION, attributed
from support.references import LENGTH, START, Floats, a_baseline, a_categorical_feature, a_full_window, count_rows

FEATURES, REFERENCE_ROWS, ROWS = 24, 455, 1500
# Windows of seconds for half a year would be tested so often that 455 rows could show nothing.
POLICY = DriftPolicy(windows=(LENGTH,), season=None, false_alarm_interval=timedelta(days=1))


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
    states = [judge(a_baseline(world.draw(REFERENCE_ROWS)), world.draw(2000)).state for _ in range(200)]
    assert set(states) == {Severity.NONE}


def test_a_shift_of_one_deviation_in_a_third_of_the_features_is_always_found() -> None:
    world = World(2)
    moved, wrongly = {f"f{j}" for j in range(0, FEATURES, 3)}, 0
    for _ in range(20):
        reference = world.draw(REFERENCE_ROWS)
        rows = world.draw(ROWS)
        rows[:, ::3] += reference[:, ::3].std(axis=0)
        verdict = judge(a_baseline(reference), rows)
        assert verdict.state.rank >= Severity.DRIFT.rank
        named = {f.name for f in verdict.features}
        assert named >= moved
        wrongly += len(named - moved)
        assert all("shifted up" in f.direction for f in verdict.features if f.name in moved and int(f.name[1:]) % 4)
    assert wrongly <= ATTRIBUTION * 20 * len(moved)


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
    assert moved.p_value < 1e-6
    assert moved.psi > 0.25
    assert moved.shift == pytest.approx(2, abs=0.3)
    assert verdict.message.startswith(
        "1500 rows of 21s compared with the baseline: Severe, 1 of 24 features moved: f5 shifted up"
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
    world, counted = World(7), False
    baseline = a_baseline(world.draw(REFERENCE_ROWS))
    windows = Windows.for_baseline(None, model="m", baseline=baseline, scales=(LENGTH,), now=START)
    now = START
    while now < START + age + LENGTH / 3:
        delta = CellCounts.empty(baseline) if counted or now < START + age else count_rows(baseline, world.draw(rows))
        counted = counted or not delta.is_empty
        windows = advance(windows, now=now, delta=delta, complete=complete)
        now += timedelta(seconds=1)
    verdict = judge_drift(baseline, windows, POLICY, now=now)
    assert (verdict.state, verdict.features, verdict.until) == (Severity.UNKNOWN, (), None)
    assert why in verdict.message


def test_a_short_window_speaks_before_a_long_one_is_full() -> None:
    world = World(8)
    baseline, day = a_baseline(world.draw(REFERENCE_ROWS)), timedelta(days=1)
    windows, now = a_full_window(baseline, count_rows(baseline, world.draw(ROWS) + 2))
    windows = Windows.for_baseline(windows, model="sha256:m", baseline=baseline, scales=(LENGTH, day), now=now)
    policy = replace(POLICY, windows=(LENGTH, day, 7 * day))
    verdict = judge_drift(baseline, windows, policy, now=now)
    assert (verdict.state, verdict.window) == (Severity.SEVERE, LENGTH)
    assert "not judged yet: 24h: counting began after" in verdict.message
    assert verdict.message.endswith("168h: not counted yet")


def test_a_feature_that_moved_in_two_windows_is_named_once_by_the_worse() -> None:
    random = np.random.default_rng(9)
    baseline, longer = a_baseline(random.normal(size=(5000, 2))), 10 * LENGTH
    scales = (LENGTH, longer)
    windows, now = a_full_window(baseline, count_rows(baseline, random.normal(size=(4000, 2)) + 0.3), lengths=scales)
    for _ in range(200):
        now += LENGTH / 15
        windows = advance(windows, now=now, delta=count_rows(baseline, random.normal(size=(100, 2)) + 1), complete=True)
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


def test_bursty_traffic_is_forgiven_where_requests_have_many_rows() -> None:
    random = np.random.default_rng(11)
    baseline = a_baseline(random.normal(size=(5000, 1)))
    # Each row arrives five times: a fifth of the information that its count suggests.
    rows = np.repeat(random.normal(size=(120, 1)), 5, axis=0) + 0.35
    policy = replace(POLICY, false_alarm_interval=timedelta(hours=10), tolerance=0.01)
    windows, now = a_full_window(baseline, count_rows(baseline, rows))
    assert judge_drift(baseline, windows, policy, now=now).state.rank > Severity.NONE.rank
    forgiven = judge_drift(baseline, windows, policy, now=now, rows_per_request=5)
    assert forgiven.state.rank <= Severity.NONE.rank


def test_a_tolerance_above_the_severe_one_lifts_it() -> None:
    assert DriftPolicy(tolerance=0.4).steps[-1] == (Severity.SEVERE, 0.4)
    with pytest.raises(ValueError, match="0 <= warning <= tolerance"):
        DriftPolicy(tolerance=0.01, warning=0.02)


def test_lengths_are_said_as_the_api_writes_them() -> None:
    random = np.random.default_rng(12)
    baseline = a_baseline(random.normal(size=(5000, 1)))
    for length, words in ((timedelta(minutes=10), "10m"), (timedelta(days=2), "48h"), (LENGTH, "21s")):
        windows, now = a_full_window(baseline, count_rows(baseline, random.normal(size=(3000, 1))), lengths=(length,))
        verdict = judge_drift(baseline, windows, replace(POLICY, windows=(length,)), now=now)
        assert f"3000 rows of {words} compared" in verdict.message


@pytest.mark.parametrize(("rows", "visible"), [(30, "only shifts of 1.1"), (200, "only shifts of 0.6")])
def test_a_baseline_that_could_not_show_a_severe_shift_says_so_and_never_none(rows: int, visible: str) -> None:
    random = np.random.default_rng(13)
    baseline = a_baseline(random.normal(size=(rows, 5)))
    verdict = judge(baseline, random.normal(size=(20_000, 5)), replace(POLICY, false_alarm_interval=timedelta(days=7)))
    assert verdict.state is Severity.UNKNOWN
    assert visible in verdict.message
    assert "standard deviations and more would be seen" in verdict.message


def test_what_matters_to_the_model_is_named_first() -> None:
    random = np.random.default_rng(14)
    sample = a_baseline(random.normal(size=(5000, 3)))
    features = tuple(replace(f, importance=i) for f, i in zip(sample.features, (0.1, 0.8, 0.1), strict=True))
    baseline = replace(sample, features=features)
    verdict = judge(baseline, random.normal(size=(5000, 3)) + np.array([1.5, 1.0, 0.0]))
    assert [(f.name, f.importance) for f in verdict.features] == [("f1", 0.8), ("f0", 0.1)]


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=30))
def test_features_are_attributed_as_scipy_controls_false_discoveries(p_values: list[float]) -> None:
    adjusted = stats.false_discovery_control(p_values, method="bh")
    # Where both differ by rounding alone, either is right.
    doubtful = {n for n, p in enumerate(adjusted) if abs(p - ATTRIBUTION) < 1e-12}
    expected = {n for n, p in enumerate(adjusted) if p <= ATTRIBUTION}
    # The alarm that came before says that some column moved: the likeliest is named at least.
    expected = expected or {n for n, p in enumerate(p_values) if p == min(p_values)}
    judged = np.ones(len(p_values), dtype=bool)
    assert set(attributed(np.array(p_values), judged)) - doubtful == expected - doubtful
