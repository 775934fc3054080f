"""The memory of answered rows, and labels that judge them."""

import pytest

from kingmaker_serving.counts.profile import Identity, Profile
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.memory import Memory, Value, agree
from kingmaker_serving.protocol.signature import Task, TaskType

CLASSES = Task(TaskType.CLASSIFICATION, "label")
NUMBERS = Task(TaskType.REGRESSION, "price", error_tolerance="0.5")


def a_memory(task: Task = CLASSES, **fields: int) -> tuple[Memory, Profile]:
    profile = Profile(Identity("m", "d", "", "p", 0))
    return Memory(profile, task, **fields), profile


def test_labels_judge_each_row_under_the_decision_of_its_request() -> None:
    memory, profile = a_memory()
    memory.remember(1, decision="7", answers=[0, 1, 1])
    assert memory.judge(1, [0, 1, 0]) == 3
    assert dict(profile.feedback.counts) == {("7", "correct"): 2, ("7", "wrong"): 1}


def test_labels_count_once() -> None:
    memory, profile = a_memory()
    memory.remember(1, decision="7", answers=[0])
    memory.judge(1, [0])
    with pytest.raises(ServingError) as caught:
        memory.judge(1, [0])
    assert caught.value.code is ErrorCode.CONFLICT
    assert profile.feedback.sum() == 1


def test_the_oldest_rows_are_forgotten_first() -> None:
    memory, _ = a_memory(capacity_rows=100)
    for number in range(60):
        memory.remember(number, decision="1", answers=[0, 1])
    assert memory.rows == 100
    assert memory.judge(9, [0, 1]) is None
    assert memory.judge(10, [0, 1]) == 2


def test_a_request_larger_than_the_memory_forgets_nothing_else() -> None:
    memory, _ = a_memory(capacity_rows=10)
    memory.remember(1, decision="1", answers=[0])
    memory.remember(2, decision="1", answers=[0] * 11)
    assert memory.judge(2, [0] * 11) is None
    assert memory.judge(1, [0]) == 1


@pytest.mark.parametrize("early", [True, False], ids=["pair before labels", "labels before pair"])
def test_both_answers_of_a_pair_are_judged_whatever_comes_first(early: bool) -> None:
    memory, profile = a_memory()
    memory.remember(1, decision="7", answers=[0, 1])
    steps = [
        lambda: memory.pair(1, challenger="rival", decision="8", answers=[1, 1]),
        lambda: memory.judge(1, [0, 1]),
    ]
    for step in steps if early else reversed(steps):
        step()
    assert dict(profile.shadow_feedback.counts) == {
        ("rival", "8", "correct", "wrong"): 1,
        ("rival", "8", "correct", "correct"): 1,
    }


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0], "1 labels for a request of 2 rows"),
        ([0, "1"], "label 1 is str; the model's answers are a number each"),
        ([0, None], "label 1 is NoneType"),
        ([0, float("inf")], "label 1 is float"),
    ],
)
def test_labels_that_do_not_fit_are_refused_and_count_nothing(labels: list[Value], words: str) -> None:
    memory, profile = a_memory()
    memory.remember(1, decision="7", answers=[0, 1])
    with pytest.raises(ServingError) as caught:
        memory.judge(1, labels)
    assert words in caught.value.message
    assert caught.value.code.status == 400
    assert profile.feedback.sum() == 0
    assert memory.judge(1, [0, 1]) == 2


@pytest.mark.parametrize(
    ("task", "left", "right", "expected"),
    [
        (CLASSES, 1, 1, True),
        (CLASSES, 1, 1.0, True),
        (CLASSES, 1, True, True),
        (CLASSES, 1, 0, False),
        (CLASSES, "a", "a", True),
        (CLASSES, "1", 1, False),
        (CLASSES, 2**53, 2**53 + 1, False),
        (NUMBERS, 1.0, 1.5, True),
        (NUMBERS, 1.0, 1.51, False),
        (NUMBERS, None, 1.0, False),
        (NUMBERS, float("nan"), 1.0, False),
    ],
)
def test_answers_agree_as_the_task_says(task: Task, left: Value, right: Value, expected: bool) -> None:
    assert agree(left, right, task) is expected
