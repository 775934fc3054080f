"""What a process remembers of requests beside their ids."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.counts.labelled import LabelCounts
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.ids import Answered
from kingmaker_serving.labels.memory import Pairs, WideAnswers
from kingmaker_serving.labels.ownids import LONGEST, OwnIds
from kingmaker_serving.labels.seen import SeenRequests
from kingmaker_serving.labels.verdict import agree
from kingmaker_serving.protocol.signature import Task, TaskType

CLASSES = Task(TaskType.CLASSIFICATION, "label")
NUMBERS = Task(TaskType.REGRESSION, "price", error_tolerance="0.5")


def an_id(number: int, answers: Any = (), tolerance: float | None = None) -> Answered:
    nonce = number.to_bytes(12, "big")
    return Answered(nonce, 7, 0, "m", "d", tolerance, None, "", is_wide=False, answers=list(answers))


def pair(pairs: Pairs, number: int, said: Any) -> None:
    pairs.pair(an_id(number).nonce, challenger="rival", decision=8, answers=np.asarray(said))


@pytest.mark.parametrize("early", [True, False], ids=["pair before labels", "labels before pair"])
def test_both_answers_of_a_pair_are_judged_once_whatever_comes_first(early: bool) -> None:
    counts = LabelCounts()
    pairs = Pairs(counts)
    steps = [lambda: pair(pairs, 1, [1, 1]), lambda: pairs.judge(an_id(1, [0, 1]), [0, 1])]
    for step in [*(steps if early else reversed(steps)), steps[1]]:
        step()
    assert dict(counts.pair_rows.counts) == {
        ("rival", "8", "correct", "wrong"): 1,
        ("rival", "8", "correct", "correct"): 1,
    }
    assert dict(counts.pair_requests.counts) == {("rival", "8", "0", "0.5"): 1}
    assert counts.pair_classes.sum() == 1
    assert pairs.bytes == 0


def test_pairs_of_numbers_are_counted_by_both_errors() -> None:
    counts = LabelCounts()
    pairs = Pairs(counts)
    pair(pairs, 1, [3.0])
    pairs.judge(an_id(1, [1.0], tolerance=0.5), [1.0])
    assert dict(counts.pair_errors.counts) == {("rival", "8", "0", "k2"): 1}
    assert dict(counts.pair_rows.counts) == {("rival", "8", "correct", "wrong"): 1}


def test_several_challengers_of_one_request_are_judged_each() -> None:
    counts = LabelCounts()
    pairs = Pairs(counts)
    pairs.pair(an_id(1).nonce, challenger="a", decision=8, answers=np.array([1]))
    pairs.judge(an_id(1, [1]), [1])
    pairs.pair(an_id(1).nonce, challenger="b", decision=8, answers=np.array([0]))
    assert {key[0]: n for key, n in counts.pair_rows.counts.items()} == {"a": 1, "b": 1}


def test_a_challenger_that_said_something_else_than_one_answer_per_row_is_left_out() -> None:
    counts = LabelCounts()
    pairs = Pairs(counts)
    pair(pairs, 1, [1, 1, 1])
    pairs.judge(an_id(1, [0, 1]), [0, 1])
    assert counts.pair_rows.sum() == 0


def test_the_oldest_pairs_are_forgotten_first() -> None:
    counts = LabelCounts()
    pairs = Pairs(counts, most_bytes=10_000)
    for number in range(100):
        pair(pairs, number, [1])
    assert pairs.bytes <= 10_000
    pairs.judge(an_id(0, [1]), [1])
    assert counts.pair_rows.sum() == 0
    pairs.judge(an_id(99, [1]), [1])
    assert counts.pair_rows.sum() == 1


def test_wide_answers_are_remembered_within_bounds() -> None:
    wide = WideAnswers(most_bytes=10_000)
    for number in range(10):
        wide.remember(an_id(number).nonce, np.arange(200))
    wide.remember(an_id(10).nonce, np.arange(5000))
    assert wide.complete(an_id(0)) is None
    assert wide.complete(an_id(10)) is None
    found = wide.complete(an_id(9))
    assert found is not None
    assert found.answers == list(range(200))
    assert wide.bytes <= 10_000


def test_a_part_of_a_batch_keeps_no_more_than_itself() -> None:
    wide = WideAnswers()
    batch = np.arange(1000)
    wide.remember(an_id(1).nonce, batch[:300])
    batch[:] = 0
    found = wide.complete(an_id(1))
    assert found is not None
    assert found.answers == list(range(300))


@given(st.lists(st.integers(1, 200), max_size=300))
def test_the_newest_requests_are_known_again(numbers: list[int]) -> None:
    seen = SeenRequests(generation=16)
    added: list[int] = []
    for number in numbers:
        # What is remembered for sure is the last generation of different ones.
        recent = list(dict.fromkeys(reversed(added)))[:16]
        if number in recent:
            assert number in seen
        if number not in added:
            assert number not in seen
        seen.add(number)
        added.append(number)


def test_a_million_requests_are_told_apart() -> None:
    seen = SeenRequests()
    numbers = np.random.default_rng(1).integers(1, 2**64, 60_000, dtype=np.uint64).tolist()
    for number in numbers:
        assert number not in seen
        seen.add(number)
    assert all(number in seen for number in numbers)


def test_a_client_s_own_id_means_its_newest_request() -> None:
    own = OwnIds(generation=10)
    own.know("order-1", "id-1")
    own.know("order-1", "id-2")
    assert own.find("order-1") == "id-2"
    for number in range(30):
        own.know(f"other-{number}", "x")
    assert own.find("order-1") is None
    assert own.find("other-20") == "x"


def test_an_empty_or_long_id_is_not_remembered() -> None:
    own = OwnIds()
    for text in ("", "x" * (LONGEST + 1)):
        own.know(text, "id")
        assert own.find(text) is None


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
        (NUMBERS, 2**64 - 1, -1.5, False),
    ],
)
def test_answers_agree_as_the_task_says(task: Task, left: Value, right: Value, expected: bool) -> None:
    assert agree(left, right, task) is expected
