"""Answers as bytes in a request id."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kingmaker_serving.labels.answers import pack, unpack, values_of

NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?"]


@given(st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), st.integers(1, 70))))
def test_numbers_come_back_as_they_were(answers: Any) -> None:
    packed = pack(answers, 1000)
    assert packed is not None
    np.testing.assert_array_equal(unpack(*packed), answers.tolist())


@given(st.lists(st.text(max_size=30), min_size=1, max_size=40))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    packed = pack(np.array(texts, dtype=object), 10_000)
    assert packed is not None
    assert unpack(*packed) == texts


@given(st.integers(0, 9), st.binary(max_size=80))
def test_bytes_that_are_no_answers_are_refused_or_read(form: int, content: bytes) -> None:
    try:
        unpack(form, content)
    except (ValueError, IndexError, KeyError):
        return


@pytest.mark.parametrize(
    ("answers", "most", "size"),
    [
        (np.zeros(256, dtype=np.int64), 256, 256),
        (np.full(128, 200, dtype=np.int64), 256, 256),
        (np.full(64, 1.5, dtype=np.float32), 256, 256),
        (np.full(32, 1.5, dtype=np.float64), 256, 256),
        (np.full(100, "a class", dtype=object), 256, 1 + 8 + 100),
        (np.array(["é"], dtype=object), 256, 1 + 3 + 1),
        (np.array([b"raw"], dtype=object), 256, 1 + 4 + 1),
    ],
)
def test_answers_take_no_more_than_they_need(answers: np.ndarray, most: int, size: int) -> None:
    packed = pack(answers, most)
    assert packed is not None
    assert len(packed[1]) == size


@pytest.mark.parametrize(
    "answers",
    [
        np.zeros(257, dtype=np.int64),
        np.full(129, 200, dtype=np.int64),
        np.full(65, 1.5, dtype=np.float32),
        np.array(["x" * 256], dtype=object),
        np.array([f"class {i}" for i in range(40)], dtype=object),
        np.full(300, "a", dtype=object),
    ],
)
def test_answers_that_take_more_are_not_packed(answers: np.ndarray) -> None:
    assert pack(answers, 256) is None


def test_a_text_that_is_not_utf_8_is_read_with_marks() -> None:
    assert values_of(np.array([b"caf\xe9", "café"], dtype=object)) == ["caf\ufffd", "café"]
