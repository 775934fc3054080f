"""What packaging counted, a server counts again in the document that it read, whatever the datatype and the values."""

from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker.core.counts.cells import CellCounts as OperatorCounts
from kingmaker_serving.counts.baseline import FORMAT, Baseline, Column, read_baseline
from kingmaker_serving.counts.cells import CellCounts, find_cells
from kingmaker_serving.labels.scores import ScoreCells
from kingmaker_serving.models.loading import count_features
from kingmaker_serving.package.reference import cut_column
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec

WORDS = st.sampled_from(["", "basic", "pro", "a", "ä", "\x00"]) | st.text(max_size=6).filter(lambda t: t.isprintable())


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, np.ndarray, np.ndarray, bool]:
    """A datatype, a reference, live values, and whether they are declared to be categories."""
    datatype = draw(st.sampled_from(["FP16", "FP32", "FP64", "INT8", "UINT8", "INT64", "UINT64", "BOOL", "BYTES"]))
    dtype = NUMPY[datatype]
    few: st.SearchStrategy[Any] = st.sampled_from([0, 1, 2, 3])
    if datatype == "BYTES":
        elements: st.SearchStrategy[Any] = WORDS
    elif datatype == "BOOL":
        elements = st.booleans()
    elif dtype.kind == "f":
        elements = st.floats(width=dtype.itemsize * 8) | few
    else:
        elements = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) | few
    reference, live = (draw(hnp.arrays(dtype, st.integers(1, 120), elements=elements)) for _ in range(2))
    return datatype, reference, live, draw(st.booleans())


def through_the_file(column: Column, datatype: str, rows: int) -> tuple[Column, Signature]:
    signature = Signature(inputs=(TensorSpec("x", datatype, (-1,)),), outputs=())
    content = msgspec.json.encode(Baseline(FORMAT, rows, [column]))
    return read_baseline(content, signature).document.features[0], signature


@given(samples())
def test_a_server_counts_the_reference_as_packaging_did(drawn: tuple[str, np.ndarray, np.ndarray, bool]) -> None:
    datatype, reference, live, is_category = drawn
    column = cut_column(reference, datatype=datatype, name="f", input="x", is_category=is_category).column
    read, signature = through_the_file(column, datatype, len(reference))
    counter = count_features([read], signature)
    counter.add({"x": reference})
    assert counter.counts.tolist() == [cell.count for cell in column.cells]
    places = find_cells(column, live, datatype)
    assert np.array_equal(places, find_cells(read, live, datatype))
    one_by_one = np.concatenate([find_cells(read, live[i : i + 1], datatype) for i in range(len(live))])
    assert np.array_equal(places, one_by_one)


@given(samples(), st.integers(0, 120), st.integers(0, 120))
def test_counts_of_parts_add_up_in_any_order(
    drawn: tuple[str, np.ndarray, np.ndarray, bool], first: int, second: int
) -> None:
    datatype, reference, live, is_category = drawn
    column = cut_column(reference, datatype=datatype, name="f", input="x", is_category=is_category).column

    def counted(values: np.ndarray) -> OperatorCounts:
        counter = CellCounts([column], {"x": datatype})
        counter.add({"x": values})
        return OperatorCounts.of([counter.counts.tolist()])

    low, high = sorted((first, second))
    a, b, c = counted(live[:low]), counted(live[low:high]), counted(live[high:])
    assert (a + b) + c == a + (b + c) == c + b + a == counted(live) == counted(live[::-1])
    assert counted(live).rows == len(live)


@given(hnp.arrays(np.float32, st.integers(1, 80), elements=st.floats(width=32)), st.floats(width=32))
def test_a_label_finds_the_cell_that_a_score_was_counted_in(reference: np.ndarray, score: float) -> None:
    column = cut_column(reference, datatype="FP32", output="p", cells=20, edges=[0.5]).column
    scores = np.array([score], dtype=np.float32)
    assert ScoreCells(column, "FP32").find(scores, 0) == find_cells(column, scores, "FP32")[0]
