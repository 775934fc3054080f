"""Rows fall into the cells into which a server would have counted them."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker.core.simulation.placing import place
from kingmaker_serving.counts.cells import CellCounts
from support.columns import build_column

FLOATS = st.floats(width=32) | st.sampled_from([0.0, 1.0, 2.5, float("nan"), float("inf")])
REFERENCES = hnp.arrays(np.float32, st.integers(1, 200), elements=FLOATS)


def counted_by_a_server(column: Any, values: np.ndarray, datatype: str) -> list[int]:
    counter = CellCounts([column], {"x": datatype})
    counter.add({"x": values})
    return counter.counts.tolist()


def counted_here(column: Any, values: Any) -> list[int]:
    document = msgspec.to_builtins(column)
    return np.bincount(place(document, values), minlength=len(document["cells"])).tolist()


@given(REFERENCES, hnp.arrays(np.float32, st.integers(1, 100), elements=FLOATS))
def test_numbers(reference: np.ndarray, values: np.ndarray) -> None:
    column = build_column(reference, datatype="FP32", name="f", input="x", is_category=False)
    expected = counted_by_a_server(column, values, "FP32")
    assert counted_here(column, values) == expected
    # A file of text says the same.
    texts = ["" if np.isnan(v) else repr(float(v)) for v in values]
    assert counted_here(column, texts) == expected


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1), st.lists(st.sampled_from(["a", "b", "z", ""])))
def test_categories(reference: list[str], values: list[str]) -> None:
    column = build_column(np.array(reference, dtype=object), datatype="BYTES", name="f", input="x", is_category=True)
    array = np.array(values, dtype=object)
    assert counted_here(column, values) == counted_by_a_server(column, array, "BYTES")


def test_free_texts_lie_in_cells_by_their_length() -> None:
    texts = np.array([f"{'ä' * (i % 60)} {i}" for i in range(200)], dtype=object)
    column = build_column(texts, datatype="BYTES", name="f", input="x")
    assert column.measure == "length"
    live = ["", "y" * 500, *texts.tolist()]
    assert counted_here(column, live) == counted_by_a_server(column, np.array(live, dtype=object), "BYTES")


def test_whole_numbers_are_the_same_category_however_a_file_writes_them() -> None:
    column = build_column(np.array([1, 1, 2, 2]), datatype="INT64", name="f", input="x", is_category=True)
    assert counted_here(column, np.array([1, 2, 9])) == counted_here(column, ["1", "2.0", "9"])


def test_a_text_where_the_baseline_has_numbers_is_named() -> None:
    column = build_column(np.arange(50.0, dtype=np.float32), datatype="FP32", name="age", input="x", is_category=False)
    with pytest.raises(ValueError, match=r"age: .*'old'; its baseline has numbers"):
        place(msgspec.to_builtins(column), ["1", "old"])
