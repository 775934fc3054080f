"""Data quality: broken units and holes are broken, a world that moves is not."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.windows import Windows, advance, window_counts
from kingmaker.core.monitoring.drift import DriftPolicy, Severity, judge_drift
from kingmaker.core.monitoring.quality import QualityPolicy, QualityState, QualityVerdict, judge_quality, watch_quality
from support.references import LENGTH, START, Floats, a_baseline, a_categorical_feature, a_full_window, count_rows

POLICY = QualityPolicy()
RANDOM = np.random.default_rng(1)
BASELINE = a_baseline(RANDOM.normal(loc=10, size=(455, 12)))


def sound(rows: int = 1500) -> Floats:
    return np.random.default_rng(rows).normal(loc=10, size=(rows, 12))


def judge(rows: Floats, policy: QualityPolicy = POLICY, baseline: Baseline = BASELINE) -> QualityVerdict:
    windows, now = a_full_window(baseline, count_rows(baseline, rows))
    return judge_quality(baseline, window_counts(windows, LENGTH, now), policy)


def test_sound_data_is_good() -> None:
    assert judge(sound()).state is QualityState.GOOD


@pytest.mark.parametrize(("factor", "kind"), [(1000, "above"), (0.001, "below"), (1.8, "above")])
def test_a_broken_unit_is_broken(factor: float, kind: str) -> None:
    rows = sound()
    rows[:, 4] *= factor
    verdict = judge(rows)
    (broken,) = verdict.features
    assert (verdict.state, broken.name, broken.kind) == (QualityState.BROKEN, "f4", kind)
    assert broken.share > 0.9
    assert "check what sends the data, retraining waits" in verdict.message


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "missing"), (np.inf, "infinite")])
def test_holes_are_broken_beyond_the_maximum(value: float, kind: str) -> None:
    rows = sound()
    rows[:75, 2] = value
    verdict = judge(rows)
    assert [(b.name, b.kind, b.share, b.reference_share) for b in verdict.features] == [("f2", kind, 0.05, 0.0)]
    assert judge(rows, replace(POLICY, maximum_percent=5)).state is QualityState.GOOD
    assert judge(rows, replace(POLICY, ignore_features=frozenset({"f2"}))).state is QualityState.GOOD


def test_unseen_categories_are_broken() -> None:
    baseline = Baseline("sha256:b", 400, (a_categorical_feature("plan", [300, 100]),))
    windows, now = a_full_window(baseline, CellCounts.of(((600, 200, 200, 0),)))
    verdict = judge_quality(baseline, window_counts(windows, LENGTH, now), POLICY)
    assert [(b.kind, b.share) for b in verdict.features] == [("unseen", 0.2)]


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5])
def test_a_real_shift_is_drift_and_not_broken(shift: float) -> None:
    rows = sound()
    rows[:, ::3] += shift
    windows, now = a_full_window(BASELINE, count_rows(BASELINE, rows))
    assert judge(rows).state is QualityState.GOOD
    assert judge_drift(BASELINE, windows, DriftPolicy(windows=(LENGTH,)), now=now).state.rank >= Severity.DRIFT.rank


def test_a_tenth_of_the_rows_out_of_range_is_drift() -> None:
    rows = sound()
    rows[:150, 0] = 100
    windows, now = a_full_window(BASELINE, count_rows(BASELINE, rows))
    (moved,) = judge_drift(BASELINE, windows, DriftPolicy(windows=(LENGTH,)), now=now).features
    assert (moved.name, moved.direction) == ("f0", "more above the range")
    assert judge(rows).state is QualityState.GOOD


def test_a_few_odd_values_in_few_rows_prove_nothing() -> None:
    rows = sound(60)
    rows[:2, 0] = np.nan
    assert judge(rows).state is QualityState.GOOD


def test_too_few_rows_are_unknown() -> None:
    verdict = judge(sound(49))
    assert (verdict.state, verdict.features) == (QualityState.UNKNOWN, ())
    assert "49 rows, at least 50 needed" in verdict.message


def test_missing_scrapes_never_make_data_good_but_do_not_hide_what_is_broken() -> None:
    windows, now = a_full_window(BASELINE, count_rows(BASELINE, sound()))
    counts = replace(window_counts(windows, LENGTH, now), coverage=0.5)
    verdict = judge_quality(BASELINE, counts, POLICY)
    assert verdict.state is QualityState.UNKNOWN
    assert "50% of its time observed, at least 80% needed" in verdict.message
    rows = sound()
    rows[:, 0] *= 1000
    broken = replace(counts, counts=count_rows(BASELINE, rows))
    assert judge_quality(BASELINE, broken, POLICY).state is QualityState.BROKEN


def test_many_broken_features_are_counted_and_the_worst_named_first() -> None:
    rows = sound()
    rows[:, :8] *= 1000
    rows[:900, 9] = np.nan
    verdict = judge(rows)
    assert (len(verdict.features), verdict.features[-1].name) == (9, "f9")
    assert "and 4 more" in verdict.message


def test_a_unit_that_breaks_and_heals_is_never_taken_for_drift() -> None:
    """From the first look with broken rows until the last window with them: quality or silence, no drift."""
    policy, shown = DriftPolicy(windows=(LENGTH, 3 * LENGTH)), []
    random, now = np.random.default_rng(2), START
    baseline = a_baseline(random.normal(loc=10, size=(455, 4)))
    windows = Windows.for_baseline(None, model="m", baseline=baseline, scales=policy.windows, now=START)
    for look in range(180):
        now += timedelta(seconds=1)
        rows = random.normal(loc=10, size=(100, 4))
        broken = 60 <= look < 90
        if broken:
            rows[:, 3] *= 1000
        windows = advance(windows, now=now, delta=count_rows(baseline, rows), complete=True)
        windows, quality = watch_quality(baseline, windows, POLICY, now=now)
        drift = judge_drift(baseline, windows, policy, now=now)
        assert drift.state in {Severity.NONE, Severity.UNKNOWN}
        # Within a slot (7 looks) of the break, since sound rows share its slot with broken ones.
        assert not 67 <= look < 90 or quality.state is QualityState.BROKEN
        shown.append(quality.state)
    assert shown[59] is shown[-1] is QualityState.GOOD
