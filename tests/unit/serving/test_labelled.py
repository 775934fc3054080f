"""Counts of labels: rows, and one observation per request."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.counts.baseline import Cell, Column, Kind
from kingmaker_serving.counts.labelled import (
    KEPT_DECISIONS,
    MOST_CELLS,
    MOST_CLASSES,
    MOST_MODELS,
    ClassNames,
    LabelCounts,
    Seen,
    error_cell,
    name_class,
    share_of,
)
from kingmaker_serving.counts.series import PAST

RIGHT = Seen([True], "0", "a", "a", is_right=True)


def a_prediction(*values: str | int, seldom: bool = False) -> Column:
    cells = [Cell(f"c{i}", 5, value=value) for i, value in enumerate(values)]
    cells += [Cell("other", 1, values=["seldom"])] if seldom else []
    return Column(kind=Kind.CATEGORICAL, output="label", cells=[*cells, Cell("unseen", 0), Cell("missing", 0)])


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 2**64 - 1))
def test_a_share_is_one_of_the_two_eighths_beside_it(wrong: int, rows: int, random: int) -> None:
    wrong = min(wrong, rows)
    share = float(share_of(wrong, rows, random))
    assert abs(share - wrong / rows) < 1 / 8
    if 8 * wrong % rows == 0:
        assert share == wrong / rows


@pytest.mark.parametrize("wrong", [1, 7, 13, 19])
def test_the_mean_over_requests_is_the_mean_of_the_shares(wrong: int) -> None:
    draws = np.random.default_rng(1).integers(0, 2**32, 20_000)
    shares = [float(share_of(wrong, 20, int(random))) for random in draws]
    assert np.mean(shares) == pytest.approx(wrong / 20, abs=5 * 0.0625 / math.sqrt(20_000))


@given(st.floats(min_value=1e-11, max_value=1e23) | st.integers(1, 2**60))
def test_an_error_lies_below_its_edge_and_above_the_one_before(error: float) -> None:
    cell = int(error_cell(error)[1:])
    assert 2 ** ((cell - 1) / 2) * (1 - 1e-9) <= error <= 2 ** (cell / 2) * (1 + 1e-9)
    assert error_cell(-error) == error_cell(error)


@pytest.mark.parametrize(
    ("error", "cell"),
    [(0.0, "0"), (-0.0, "0"), (1e-300, "k-80"), (1e300, "k160"), (math.inf, "nan"), (math.nan, "nan")],
)
def test_errors_beyond_all_edges_have_a_cell(error: float, cell: str) -> None:
    assert error_cell(error) == cell


def test_the_classes_of_the_baseline_have_names_from_the_start() -> None:
    names = ClassNames(a_prediction("basic", "gold", seldom=True))
    assert [names.of(value) for value in ("gold", "seldom", "new", None)] == ["gold", "other", "other", "other"]


def test_without_seldom_classes_the_first_that_come_have_names() -> None:
    names = ClassNames(a_prediction(0, 1))
    met = [names.of(value) for value in range(40)]
    assert met == [*map(str, range(MOST_CLASSES)), *["other"] * 8]
    assert names.of(True) == "1"
    assert names.of(1.0) == "1"


@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans())
def test_a_name_is_a_short_text_that_can_be_exposed(value: str | float | bool) -> None:
    name = name_class(value)
    assert len(name.encode()) <= 4 * 64
    assert len(name) <= 64
    assert name != "other"


def test_long_classes_with_the_same_beginning_stay_apart() -> None:
    assert name_class("x" * 100) != name_class("x" * 101)


def test_old_decisions_are_counted_as_past_and_nothing_is_lost() -> None:
    counts = LabelCounts()
    for decision in range(KEPT_DECISIONS + 5):
        counts.count(counts.key("m", "d", decision), RIGHT, cell=3, age_seconds=5)
    assert counts.key("m", "d", 0)[2] == PAST
    for series in (counts.rows, counts.requests, counts.classes):
        assert series.sum() == KEPT_DECISIONS + 5
        assert series.sum(decision=PAST) == 5
    assert counts.ages.counts == {("m", "d", "60"): KEPT_DECISIONS + 5}


def test_models_and_cells_are_bounded() -> None:
    counts = LabelCounts()
    for model in range(MOST_MODELS + 3):
        counts.count(counts.key(f"m{model}", "d", 1), RIGHT, cell=None, age_seconds=0)
    assert counts.rows.sum(model="other") == 3
    for cell in range(MOST_CELLS + 10):
        counts.count(counts.key("m1", "d", 1), RIGHT, cell=cell, age_seconds=0)
    assert len(counts.classes.counts) <= MOST_CELLS + 1
    assert counts.classes.sum() == MOST_CELLS + 10 + MOST_MODELS + 3
