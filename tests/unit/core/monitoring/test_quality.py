"""Data quality: broken units and holes are broken, a world that moves is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind, parse_baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.findings import Severity
from kingmaker.core.counts.windows import Windows, advance, window_counts
from kingmaker.core.monitoring.drift import DriftPolicy, judge_drift
from kingmaker.core.monitoring.quality import QualityPolicy, QualityState, QualityVerdict, judge_quality, watch_quality
from support.references import LENGTH, START, Floats, a_baseline, a_categorical_feature, a_full_window, count_rows

POLICY = QualityPolicy()
DRIFT = DriftPolicy(windows=(LENGTH,), season=None, false_alarm_interval=timedelta(days=1))
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
    (broken,) = verdict.broken
    assert (verdict.state, broken.name, broken.kind) == (QualityState.BROKEN, "f4", kind)
    assert broken.share > 0.9
    assert f"f4 {broken.share:.0%} {kind} the reference's range" in verdict.message


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "missing"), (np.inf, "infinite")])
def test_holes_are_broken_beyond_the_maximum(value: float, kind: str) -> None:
    rows = sound()
    rows[:75, 2] = value
    verdict = judge(rows)
    assert [(b.name, b.kind, b.share, b.reference_share) for b in verdict.broken] == [("f2", kind, 0.05, 0.0)]
    assert judge(rows, replace(POLICY, maximum_percent=5)).state is QualityState.GOOD
    assert judge(rows, replace(POLICY, ignore_features=frozenset({"f2"}))).state is QualityState.GOOD


def judge_column(feature: Feature, current: tuple[int, ...], policy: QualityPolicy = POLICY) -> QualityVerdict:
    baseline = Baseline("sha256:b", feature.rows, (feature,))
    windows, now = a_full_window(baseline, CellCounts.of((current,)))
    return judge_quality(baseline, window_counts(windows, LENGTH, now), policy)


def test_new_categories_are_new_and_not_broken() -> None:
    verdict = judge_column(a_categorical_feature("plan", [300, 100]), (600, 200, 200, 0))
    assert (verdict.state, verdict.broken) == (QualityState.GOOD, ())
    assert [(n.kind, n.share) for n in verdict.novel] == [("unseen", 0.2)]
    assert "plan 20% never seen in the reference" in verdict.message


def test_texts_of_which_hardly_one_was_ever_seen_are_broken() -> None:
    verdict = judge_column(a_categorical_feature("plan", [300, 100]), (3, 7, 990, 0))
    assert [b.kind for b in verdict.broken] == ["unseen"]


@pytest.mark.parametrize("seed", range(20))
def test_many_codes_of_which_the_reference_had_not_all_are_never_broken(seed: int) -> None:
    random = np.random.default_rng((10_000, seed))
    seen = np.bincount(random.integers(0, 1000, 2000), minlength=1000)
    now = random.integers(0, 1000, 1000)
    top = np.argsort(-seen)[:20]
    ordinary = [Cell(f"c{i}", int(seen[i])) for i in top]
    rest = int(seen.sum() - seen[top].sum())
    cells = (*ordinary, Cell("other", rest), Cell("unseen", 0, rare=True), Cell("missing", 0, rare=True))
    held = [int((now == i).sum()) for i in top]
    unseen = int((seen[now] == 0).sum())
    current = (*held, 1000 - sum(held) - unseen, unseen, 0)
    for singletons in (int((seen == 1).sum()), None):
        verdict = judge_column(Feature("code", Kind.CATEGORICAL, cells, singletons=singletons), current)
        assert (verdict.state, verdict.broken, verdict.novel) == (QualityState.GOOD, (), ())


def months(*, is_numeric: bool) -> dict[str, Any]:
    if is_numeric:
        cells = [
            {"name": str(m), "upper": float(m), "lower": float(m), "atom": True, "count": 100} for m in range(1, 7)
        ]
        rare = ("below", "above", "missing", "infinite")
    else:
        cells = [{"name": f"c{m}", "value": m, "count": 100} for m in range(1, 7)]
        rare = ("unseen", "missing")
    cells += [{"name": name, "count": 0, "rare": True} for name in rare]
    return {"name": "month", "kind": "Numeric" if is_numeric else "Categorical", "cells": cells}


@pytest.mark.parametrize("is_numeric", [True, False], ids=["as numbers", "as categories of an old document"])
@pytest.mark.parametrize("share", [0.1, 1.0], ids=["a few", "all"])
def test_july_after_six_months_is_new_and_not_broken(is_numeric: bool, share: float) -> None:
    document = {"format": "kingmaker.dev/baseline/v1", "rows": 600, "features": [months(is_numeric=is_numeric)]}
    (feature,) = parse_baseline(document, digest="sha256:b").features
    new, old = round(1000 * share), (1000 - round(1000 * share)) // 6
    verdict = judge_column(feature, (*[old] * 6, 0, new, 0, 0) if is_numeric else (*[old] * 6, new, 0))
    assert (verdict.state, verdict.broken) == (QualityState.GOOD, ())
    assert [n.name for n in verdict.novel] == ["month"]


def test_clients_that_never_send_a_feature_are_none_that_break() -> None:
    """5 % of the clients, in the reference too; 20 rows per request, so that requests miss it as a whole."""
    random = np.random.default_rng(10_003)
    cells = (Cell("0", 9500), *(Cell(n, c, rare=True) for n, c in (("below", 0), ("above", 0), ("missing", 500))))
    feature = Feature("x", Kind.NUMERIC, cells)
    states = set()
    for _ in range(300):
        missing = 20 * int(random.binomial(17, 0.05))
        baseline = Baseline("sha256:b", 10_000, (feature,))
        windows, now = a_full_window(baseline, CellCounts.of(((340 - missing, 0, 0, missing),)))
        known = np.full((1, 3), 10.0)
        counts = window_counts(windows, LENGTH, now)
        states.add(judge_quality(baseline, counts, POLICY, dispersion=known).state)
    assert states == {QualityState.GOOD}


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5])
def test_a_real_shift_is_drift_and_not_broken(shift: float) -> None:
    rows = sound()
    rows[:, ::3] += shift
    windows, now = a_full_window(BASELINE, count_rows(BASELINE, rows))
    assert judge(rows).state is QualityState.GOOD
    assert judge_drift(BASELINE, windows, DRIFT, now=now).state.rank >= Severity.DRIFT.rank


def test_a_tenth_of_the_rows_out_of_range_is_drift() -> None:
    rows = sound()
    rows[:150, 0] = 100
    windows, now = a_full_window(BASELINE, count_rows(BASELINE, rows))
    (moved,) = judge_drift(BASELINE, windows, DRIFT, now=now).features
    assert (moved.name, moved.direction) == ("f0", "more above the range")
    assert judge(rows).state is QualityState.GOOD


def test_a_few_odd_values_in_few_rows_prove_nothing() -> None:
    rows = sound(60)
    rows[:2, 0] = np.nan
    assert judge(rows).state is QualityState.GOOD


def test_too_few_rows_are_unknown() -> None:
    verdict = judge(sound(49))
    assert (verdict.state, verdict.broken) == (QualityState.UNKNOWN, ())
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
    assert (len(verdict.broken), verdict.broken[-1].name) == (9, "f9")
    assert "and 4 more" in verdict.message


def test_a_unit_that_breaks_and_heals_is_never_taken_for_drift() -> None:
    """From the first look with broken rows until the last window with them: quality or silence, no drift."""
    policy, shown = replace(DRIFT, windows=(LENGTH, 3 * LENGTH)), []
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
