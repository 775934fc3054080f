"""What is expected of a champion, and how its labelled requests are scored, as its baseline has it."""

from dataclasses import replace

import pytest

from kingmaker.api import PerformanceMonitoring
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.monitoring.references import expected_error, scoring_of
from kingmaker.core.monitoring.scores import CLIP, AbsoluteError, ErrorRate
from kingmaker.core.statistics.rates import Sample

CLASSES = (Cell("c0", 60, value="no", wrong=3), Cell("c1", 40, value="yes", wrong=7), Cell("other", 0))
NUMBERS = (
    Cell("0", 75, upper=1.0, absolute_error=1.0, squared_error=2.0),
    Cell("1", 25, upper=9.0, absolute_error=5.0, squared_error=40.0),
    Cell("above", 0, rare=True),
)
ANY, ERRORS = PerformanceMonitoring(), PerformanceMonitoring.model_validate({"measure": "AbsoluteError"})
LIMITED = PerformanceMonitoring.model_validate({"maximum": "0.2"})


def a_baseline(cells: tuple[Cell, ...], *, held_out: bool = True) -> Baseline:
    kind = Kind.CATEGORICAL if cells is CLASSES else Kind.NUMERIC
    return Baseline("sha256:b", 100, (), prediction=Feature("prediction", kind, cells, held_out=held_out))


def test_a_classifier_is_expected_to_err_as_on_held_out_rows() -> None:
    assert scoring_of(a_baseline(CLASSES), ANY, is_regression=False) == ErrorRate()
    assert expected_error(a_baseline(CLASSES), ErrorRate()) == Sample(100, 10)


@pytest.mark.parametrize(
    "baseline",
    [
        None,
        Baseline("sha256:b", 100, ()),
        a_baseline(CLASSES, held_out=False),
        a_baseline((CLASSES[0], replace(CLASSES[1], wrong=None))),
    ],
    ids=["no baseline", "no prediction", "rows it was fitted on", "a cell that does not say"],
)
def test_without_errors_on_held_out_rows_nothing_is_expected(baseline: Baseline | None) -> None:
    assert expected_error(baseline, ErrorRate()) is None
    assert scoring_of(baseline, ANY, is_regression=False) == ErrorRate()


def test_a_regression_is_scored_up_to_some_times_its_usual_error() -> None:
    baseline = a_baseline(NUMBERS)
    scoring = scoring_of(baseline, ANY, is_regression=True)
    # Usually off by (75·1 + 25·5) / 100 = 2, squared by 11.5: a variance of 7.5, of 2·(16-2) that it could be.
    assert scoring == AbsoluteError(CLIP * 2, pytest.approx(7.5 / 28))
    assert isinstance(scoring, AbsoluteError)
    assert expected_error(baseline, scoring) == Sample(100, pytest.approx(100 / CLIP))


def test_what_people_ask_for_is_measured_or_nothing_is() -> None:
    fitted = a_baseline(NUMBERS, held_out=False)
    assert scoring_of(fitted, ERRORS, is_regression=True) is None
    assert scoring_of(fitted, ANY, is_regression=True) == ErrorRate()
    assert scoring_of(a_baseline(NUMBERS), LIMITED, is_regression=True) == ErrorRate()
    perfect = a_baseline(tuple(replace(cell, absolute_error=0.0, squared_error=0.0) for cell in NUMBERS))
    assert scoring_of(perfect, ERRORS, is_regression=True) is None
    silent = a_baseline((replace(NUMBERS[0], squared_error=None), *NUMBERS[1:]))
    found = scoring_of(silent, ERRORS, is_regression=True)
    assert found == AbsoluteError(CLIP * 2, 1.0)
