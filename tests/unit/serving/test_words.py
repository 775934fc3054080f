"""NaN, Infinity and -Infinity in JSON, as Python's json module writes them."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker_serving.protocol import words

_VALUES = st.recursive(
    st.floats() | st.text() | st.booleans() | st.none() | st.sampled_from(['NaN "Infinity" \\', "-Infinity"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _strict(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def _expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expected(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expected(inner) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return None if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
    return value


@settings(deadline=None)
@given(_VALUES)
def test_only_words_outside_of_texts_are_replaced(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    replaced = words.replace(written)
    text = (written if replaced is None else replaced).decode("utf-8", "surrogatepass")
    assert _strict(text) == _expected(value)


def test_a_body_without_words_is_left_alone() -> None:
    assert words.replace(b'{"inputs": [1, 2') is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"NaN," * 500_000,
        b'"' + b'\\"' * 1_000_000 + b"NaN",
        b'"' + b'\\"' * 1_000_000 + b"NaN\\",
        b'"NaN",' * 300_000,
        b'""' * 1_000_000 + b"NaN",
        b'NaN""' * 200_000,
        b"N" * 2_000_000 + b"NaN",
        b"\\" * 2_000_000 + b"NaN",
    ],
    ids=[
        "words",
        "an open text",
        "an open text that ends in a backslash",
        "texts",
        "empty texts",
        "in turns",
        "N",
        "\\",
    ],
)
def test_no_body_takes_long(body: bytes) -> None:
    # A quadratic look at two million bytes would take minutes; bytes copied in a loop, many seconds.
    begin = time.process_time()
    words.replace(body)
    assert time.process_time() - begin < 3
