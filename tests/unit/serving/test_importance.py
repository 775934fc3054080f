"""Which features move a model: shuffled columns, and how far the answers go."""

from collections.abc import Mapping

import numpy as np
import pytest

from kingmaker_serving.package.importance import importances
from kingmaker_serving.protocol.signature import Task, TaskType

REGRESSION = Task(TaskType.REGRESSION, "y")
FEEDS = {"x": np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)}
COLUMNS = [("x", 0), ("x", 1), ("x", 2)]


def linear(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": 3 * feeds["x"][:, 0] + feeds["x"][:, 1]}


def measured(predict: object, task: Task = REGRESSION, feeds: Mapping[str, np.ndarray] = FEEDS) -> list[float] | None:
    return importances(predict, feeds, COLUMNS, task, lambda _: None)  # type: ignore[arg-type]


def test_a_linear_model_depends_on_its_columns_as_its_weights_say() -> None:
    found = measured(linear)
    assert found == pytest.approx([0.75, 0.25, 0], abs=0.02)
    assert sum(found or []) == pytest.approx(1, abs=1e-5)


def test_it_is_the_same_every_time_and_leaves_the_rows_alone() -> None:
    before = FEEDS["x"].copy()
    assert measured(linear) == measured(linear)
    assert np.array_equal(FEEDS["x"], before)


def test_of_a_classifier_without_scores_the_answers_that_change_count() -> None:
    task = Task(TaskType.CLASSIFICATION, "label")
    found = measured(lambda feeds: {"label": (feeds["x"][:, 1] > 0).astype(np.int64)}, task)
    assert found == [0, 1, 0]


def test_a_model_that_always_says_the_same_depends_on_nothing() -> None:
    assert measured(lambda feeds: {"y": np.zeros(len(feeds["x"]))}) is None


def test_an_answer_that_is_no_number_is_left_out() -> None:
    def with_gaps(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers = linear(feeds)["y"]
        answers[::7] = np.nan
        answers[::11] = np.inf
        return {"y": answers}

    assert measured(with_gaps) == pytest.approx([0.75, 0.25, 0], abs=0.03)
