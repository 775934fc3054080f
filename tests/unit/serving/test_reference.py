"""How a reference is cut into cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.counts.baseline import Kind
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.package.reference import cut_column
from support.columns import build_column


def normal(rows: int = 1000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=rows).astype(np.float32)


def test_ten_cells_hold_a_tenth_each() -> None:
    column = build_column(normal(), datatype="FP32")
    ordinary = [cell for cell in column.cells if not cell.rare]
    assert column.kind is Kind.NUMERIC
    assert [cell.count for cell in ordinary] == [100] * 10


def test_a_frequent_value_gets_a_cell_of_its_own() -> None:
    values = np.concatenate([np.zeros(300, np.float32), np.abs(normal(700)) + 1])
    column = build_column(values, datatype="FP32", is_category=False)
    atom = next(cell for cell in column.cells if cell.atom)
    assert (atom.lower, atom.upper, atom.count) == (0.0, 0.0, 300)


def test_an_atom_inside_takes_nothing_of_its_neighbours() -> None:
    values = np.concatenate([np.full(200, 0.25, np.float32), normal(800)])
    column = build_column(values, datatype="FP32", is_category=False)
    atom = next(cell for cell in column.cells if cell.atom)
    assert atom.count == int((values == np.float32(0.25)).sum())


@pytest.mark.parametrize(("dtype", "datatype"), [(np.float32, "FP32"), (np.int64, "INT64")])
def test_few_numbers_keep_their_order(dtype: type, datatype: str) -> None:
    months = np.tile(np.arange(1, 7), 50).astype(dtype)
    column = build_column(months, datatype=datatype, input="x")
    assert column.kind is Kind.NUMERIC
    assert [cell.upper for cell in column.cells if not cell.rare] == [1, 2, 3, 4, 5, 6]
    counter = CellCounts([column], {"x": datatype})
    counter.add({"x": np.array([7, 0, 3], dtype=dtype)})
    counted = dict(zip([cell.name for cell in column.cells], counter.counts.tolist(), strict=True))
    assert {name: count for name, count in counted.items() if count} == {"below": 1, "2": 1, "above": 1}


def test_numbers_are_categories_when_they_are_declared() -> None:
    codes = np.tile(np.array([10115, 80331, 20095], dtype=np.int64), 20)
    column = build_column(codes, datatype="INT64", is_category=True)
    assert column.kind is Kind.CATEGORICAL
    assert [cell.value for cell in column.cells if not cell.rare] == [10115, 20095, 80331]


def test_a_constant_that_goes_live_is_above() -> None:
    column = build_column(np.zeros(100, np.float32), datatype="FP32", input="x")
    counter = CellCounts([column], {"x": "FP32"})
    counter.add({"x": np.ones(3, np.float32)})
    assert [cell.name for cell, count in zip(column.cells, counter.counts.tolist(), strict=True) if count] == ["above"]


def test_singletons_tell_how_many_codes_are_still_to_come() -> None:
    # Good 1953: of 1,000 codes that are equally frequent, 2,000 rows leave about 135 unseen, one in seven new rows.
    random = np.random.default_rng(0)
    codes = np.array([f"code {i}" for i in range(1000)], dtype=object)
    column = build_column(codes[random.integers(0, 1000, 2000)], datatype="BYTES", input="x")
    counter = CellCounts([column], {"x": "BYTES"})
    counter.add({"x": codes[random.integers(0, 1000, 20_000)]})
    unseen = dict(zip([cell.name for cell in column.cells], counter.counts.tolist(), strict=True))["unseen"]
    assert column.singletons is not None
    assert column.singletons / 2000 == pytest.approx(unseen / 20_000, abs=0.02)
    assert unseen > 2000


def test_codes_that_come_again_are_categories_however_many_there_are() -> None:
    codes = np.random.default_rng(0).integers(0, 1000, 1000)
    column = build_column(np.array([f"code {i}" for i in codes], dtype=object), datatype="BYTES")
    assert column.kind is Kind.CATEGORICAL


def test_of_texts_that_hardly_come_back_the_length_is_cut() -> None:
    texts = np.array([f"{'x' * (i % 97)} comment {i}" for i in range(500)] + [""], dtype=object)
    column = build_column(texts, datatype="BYTES", input="x")
    assert (column.kind, column.measure) == (Kind.NUMERIC, "length")
    assert sum(cell.count for cell in column.cells) == 501
    counter = CellCounts([column], {"x": "BYTES"})
    counter.add({"x": np.array(["", "y" * 5000, "a"], dtype=object)})
    counted = dict(zip([cell.name for cell in column.cells], counter.counts.tolist(), strict=True))
    assert {name: count for name, count in counted.items() if count} == {"missing": 1, "above": 1, "below": 1}


def test_few_rows_make_no_categories() -> None:
    assert build_column(normal(15), datatype="FP32").kind is Kind.NUMERIC


def test_a_threshold_is_an_edge() -> None:
    scores = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    column = build_column(scores, datatype="FP32", cells=20, edges=[0.5], is_category=False)
    assert 0.5 in [cell.upper for cell in column.cells]


def test_rows_are_counted_in_the_cells_they_lie_in() -> None:
    values = np.arange(100, dtype=np.float32)
    cut = cut_column(values, datatype="FP32")
    assert cut.count(values >= 90) == [0] * 10 + [10] + [0] * 3
    assert cut.means(values)[1:3] == [4.5, 14.5]
    assert cut.means(values)[0] is None


def test_a_class_that_is_true_but_never_predicted_is_no_surprise() -> None:
    column = build_column(
        np.ones(50, np.int64), datatype="INT64", is_category=True, known=np.array([0, 1], dtype=np.int64)
    )
    assert [(cell.value, cell.count) for cell in column.cells if not cell.rare] == [(0, 0), (1, 50)]


def test_a_column_of_nothing_but_missing_values_has_cells() -> None:
    column = build_column(np.full(10, np.nan, np.float32), datatype="FP32", is_category=False)
    assert {cell.name: cell.count for cell in column.cells if cell.count} == {"missing": 10}


def test_the_smallest_number_of_a_datatype_is_not_below_itself() -> None:
    least = np.finfo(np.float32).min
    column = build_column(np.array([least, 0, 1], np.float32), datatype="FP32", is_category=False)
    assert column.cells[0].upper is None
    assert column.cells[0].count == 0


DATATYPES = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    width = int(datatype[2:])
    elements = st.floats(width=width) | st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5])
    return datatype, draw(hnp.arrays(DATATYPES[datatype], st.integers(1, 200), elements=elements))


@given(columns(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    drawn: tuple[str, np.ndarray], is_category: bool, random: st.DataObject
) -> None:
    datatype, values = drawn
    order = list(range(len(values)))
    random.shuffle(order)
    straight, mixed = (build_column(v, datatype=datatype, is_category=is_category) for v in (values, values[order]))
    assert straight == mixed


@given(columns(), st.booleans())
def test_every_row_of_the_reference_lies_in_one_cell_and_none_is_a_surprise(
    drawn: tuple[str, np.ndarray], is_category: bool
) -> None:
    datatype, values = drawn
    column = build_column(values, datatype=datatype, is_category=is_category)
    assert sum(cell.count for cell in column.cells) == len(values)
    surprises = {"below", "above"} if not is_category else set()
    assert not [cell for cell in column.cells if cell.name in surprises and cell.count]
    unseen = {cell.name: cell.count for cell in column.cells}.get("unseen", 0)
    assert unseen == (np.isinf(values).sum() if is_category else 0)


@given(columns())
def test_an_edge_and_its_next_number_are_in_different_cells(drawn: tuple[str, np.ndarray]) -> None:
    datatype, values = drawn
    column = build_column(values, datatype=datatype, input="x")
    dtype = DATATYPES[datatype]
    for place, cell in enumerate(column.cells[:-3]):
        if cell.upper is None:
            continue
        edge = np.array([cell.upper], dtype=dtype)
        with np.errstate(over="ignore"):
            after = np.nextafter(edge, dtype(np.inf))
        counter = CellCounts([column], {"x": datatype})
        counter.add({"x": edge})
        assert counter.counts.argmax() == place
        if np.isfinite(after[0]):
            counter = CellCounts([column], {"x": datatype})
            counter.add({"x": after})
            assert counter.counts.argmax() > place
