"""Every value falls into exactly one cell, however many are looked up at once, and counts add."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.counts.baseline import Cell, Column, Kind
from kingmaker_serving.counts.cells import CellCounts
from support.columns import build_column

FLOATS = st.floats(width=32)
REFERENCES = hnp.arrays(np.float32, st.integers(1, 300), elements=FLOATS | st.sampled_from([0.0, 1.0, -1.0, 2.5]))


def a_column(reference: np.ndarray, *, is_category: bool = False, **fields: Any) -> Column:
    return build_column(reference, datatype="FP32", name="f", input="x", is_category=is_category, **fields)


def counted(column: Column, values: np.ndarray, datatype: str = "FP32") -> list[int]:
    counter = CellCounts([column], {"x": datatype})
    counter.add({"x": values})
    return counter.counts.tolist()


def in_words(column: Column, value: float) -> str:
    """Which cell a value belongs to, by the words of the format and nothing else."""
    if np.isnan(value):
        return "missing"
    if np.isinf(value):
        return "infinite"
    for cell in column.cells[:-3]:
        if cell.upper is not None and value <= np.float32(cell.upper):
            return cell.name
    return "above"


@given(REFERENCES, hnp.arrays(np.float32, st.integers(1, 200), elements=FLOATS))
def test_every_float_falls_into_the_one_cell_that_the_format_names(reference: np.ndarray, values: np.ndarray) -> None:
    column = a_column(reference)
    names = [cell.name for cell in column.cells]
    expected = [0] * len(names)
    for value in values:
        expected[names.index(in_words(column, value))] += 1
    assert counted(column, values) == expected


@given(st.lists(REFERENCES, min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.sampled_from(["FP32", "INT32"]))
def test_many_rows_of_several_columns_are_counted_as_each_alone(
    references: list[np.ndarray], seed: int, datatype: str
) -> None:
    dtype = np.float32 if datatype == "FP32" else np.int32
    references = [np.nan_to_num(reference.clip(-9, 9)).astype(dtype) for reference in references]
    columns = [
        build_column(reference, datatype=datatype, name=f"f{place}", input="x", is_category=False, column=place)
        for place, reference in enumerate(references)
    ]
    values = np.random.default_rng(seed).integers(-9, 10, size=(150, len(columns))).astype(dtype)
    together, alone = (CellCounts(columns, {"x": datatype}) for _ in range(2))
    together.add({"x": values})
    for row in values:
        alone.add({"x": row[None]})
    assert together.counts.tolist() == alone.counts.tolist()


@given(REFERENCES, hnp.arrays(np.float32, st.integers(1, 200), elements=FLOATS), st.integers(0, 200))
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(reference: np.ndarray, values: np.ndarray, cut: int) -> None:
    for is_category in (False, True):
        column = a_column(reference, is_category=is_category)
        whole = counted(column, values)
        parts = [counted(column, part) for part in (values[:cut], values[cut:]) if len(part)]
        assert whole == np.sum(parts, axis=0).tolist()
        assert sum(whole) == len(values)


@given(REFERENCES)
def test_the_reference_is_never_below_above_or_unseen(reference: np.ndarray) -> None:
    for is_category in (False, True):
        column = a_column(reference, is_category=is_category)
        surprises = {"below", "above"} if not is_category else set()
        assert sum(cell.count for cell in column.cells) == len(reference)
        assert not [cell for cell in column.cells if cell.name in surprises and cell.count]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=200), st.integers(-(2**31), 2**31 - 1))
def test_integers_fall_into_one_cell_at_both_ends_of_their_range(reference: list[int], value: int) -> None:
    values = np.array([*reference, -(2**31), 2**31 - 1], dtype=np.int32)
    column = build_column(values, datatype="INT32", input="x", is_category=False)
    assert sum(counted(column, np.array([value], dtype=np.int32), "INT32")) == 1


def test_a_value_on_an_edge_belongs_below_it() -> None:
    cells = [Cell("below", 0, upper=0.0, rare=True), Cell("0", 1, upper=1.0), Cell("1", 1, upper=2.0)]
    ends = [Cell(name, 0, rare=True) for name in ("above", "missing", "infinite")]
    column = Column(kind=Kind.NUMERIC, cells=[*cells, *ends], input="x")
    edge = np.nextafter(np.float32(1), np.float32(2))
    assert counted(column, np.array([0, 1, edge, 2, 3], dtype=np.float32)) == [1, 1, 2, 1, 0, 0]


def test_an_edge_is_compared_in_the_datatype_of_the_tensor() -> None:
    # 0.1 as a double is below 0.1 as a float: without the cast, the reference's own value would be over its edge.
    cells = [Cell("below", 0, upper=0.0, rare=True), Cell("0", 1, upper=0.1)]
    ends = [Cell(name, 0, rare=True) for name in ("above", "missing", "infinite")]
    column = Column(kind=Kind.NUMERIC, cells=[*cells, *ends], input="x")
    assert counted(column, np.array([0.1], dtype=np.float32)) == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("rows", [1, 64, 65, 1000])
def test_many_columns_of_one_tensor_are_counted_each_by_its_own_cells(rows: int) -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(rows, 3)).astype(np.float32) * [1, 10, 100]
    references = random.normal(size=(500, 3)).astype(np.float32) * [1, 10, 100]
    columns = [
        build_column(
            references[:, i].astype(np.float32), datatype="FP32", name=str(i), input="x", column=i, cells=i + 2
        )
        for i in range(3)
    ]
    together = CellCounts(columns, {"x": "FP32"})
    together.add({"x": values.astype(np.float32)})
    for index, column in enumerate(columns):
        column.column = 0
        assert together.of(index).tolist() == counted(column, values[:, index].astype(np.float32))


def test_texts_are_categories_with_missing_and_unseen() -> None:
    reference = np.array(["basic"] * 30 + ["pro"] * 20 + ["gold"] * 2, dtype=object)
    column = build_column(reference, datatype="BYTES", name="plan", input="x")
    shown = [(cell.name, cell.value, cell.values, cell.count) for cell in column.cells]
    assert shown == [
        ("c0", "basic", None, 30),
        ("c1", "pro", None, 20),
        ("other", None, ["gold"], 2),
        ("unseen", None, None, 0),
        ("missing", None, None, 0),
    ]
    values = np.array(["pro", "gold", "new", ""], dtype=object)
    assert counted(column, values, "BYTES") == [0, 1, 1, 1, 1]


def test_with_very_many_categories_nothing_is_unseen() -> None:
    reference = np.array([f"user-{i}" for i in range(3000)], dtype=object)
    column = build_column(reference, datatype="BYTES", input="x", is_category=True)
    assert next(cell for cell in column.cells if cell.name == "other").values is None
    assert counted(column, np.array(["user-x"], dtype=object), "BYTES")[-3:] == [1, 0, 0]


def test_truth_values_are_categories() -> None:
    column = build_column(np.array([True, False, True]), datatype="BOOL", input="x")
    assert counted(column, np.array([True, True, False]), "BOOL") == [1, 2, 0, 0]


def test_a_tensor_without_columns_here_is_left_alone() -> None:
    counter = CellCounts([a_column(np.ones(3, np.float32))], {"x": "FP32"})
    counter.add({"y": np.ones(5, np.float32)})
    assert counter.counts.sum() == 0
