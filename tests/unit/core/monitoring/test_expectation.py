"""The estimate without labels, window by window: what a champion's scores let expect."""

from datetime import timedelta

import numpy as np
import pytest

from kingmaker.api import Reason
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.monitoring.expectation import Expected, judge_expected, shown_of
from kingmaker.core.monitoring.performance import PerformancePolicy
from support.references import LENGTH, a_full_window

UPPER = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
WRONG = (0.01, 0.1, 0.4, 0.4, 0.1, 0.01)
EASY, HARD = (0.4, 0.08, 0.02, 0.02, 0.08, 0.4), (0.1, 0.1, 0.3, 0.3, 0.1, 0.1)
ROWS = 20_000


def a_score(*, held_out: bool = True) -> Baseline:
    cells = [
        Cell(str(i), round(ROWS * part), upper=upper, wrong=round(ROWS * part * wrong))
        for i, (upper, part, wrong) in enumerate(zip(UPPER, EASY, WRONG, strict=True))
    ]
    rare = [Cell(name, 0, rare=True) for name in ("below", "above", "missing", "infinite")]
    score = Feature("score", Kind.NUMERIC, (rare[0], *cells, *rare[1:]), held_out=held_out)
    return Baseline("sha256:b", ROWS, (), score=score)


def judge(
    baseline: Baseline, parts: tuple[float, ...], *, rows: int = 5000, min_rows: int = 200, **policy: float
) -> Expected | None:
    counts = CellCounts.of([[0, *np.rint(np.array(parts) * rows).astype(int).tolist(), 0, 0, 0]])
    windows, now = a_full_window(baseline, counts)
    rules = PerformancePolicy(windows=(LENGTH,), false_alarm_interval=timedelta(days=1), **policy)
    return shown_of(
        judge_expected(baseline, windows, rules, min_rows=min_rows, of_sizes=False, requests_per_row=1.0, now=now)
    )


def test_requests_as_hard_as_before_are_expected_to_be_answered_as_well() -> None:
    found = judge(a_score(), EASY)
    assert found is not None
    assert found.reason is None
    truth = float(np.dot(EASY, WRONG))
    assert found.estimate.error == pytest.approx(truth, abs=0.003)
    assert found.estimate.reference == pytest.approx(truth, abs=0.003)


def test_harder_requests_are_expected_to_be_answered_worse() -> None:
    found = judge(a_score(), HARD)
    assert found is not None
    assert found.reason is Reason.ESTIMATE_ABOVE_REFERENCE
    assert found.estimate.error == pytest.approx(float(np.dot(HARD, WRONG)), abs=0.02)


def test_the_highest_error_that_is_good_enough_is_asked_first() -> None:
    found = judge(a_score(), HARD, maximum=0.2)
    assert found is not None
    assert found.reason is Reason.ESTIMATE_ABOVE_MAXIMUM
    kept = judge(a_score(), HARD, maximum=0.5, tolerance=10.0)
    assert kept is not None
    assert kept.reason is None


@pytest.mark.parametrize(
    ("baseline", "min_rows"), [(a_score(held_out=False), 200), (a_score(), 6000)], ids=["fitted rows", "few rows"]
)
def test_what_is_not_known_is_not_estimated(baseline: Baseline, min_rows: int) -> None:
    assert judge(baseline, HARD, min_rows=min_rows) is None
