"""How a reference is cut into cells."""

import numpy as np

from kingmaker_serving.counts.baseline import Kind
from kingmaker_serving.package.reference import build_column


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


def test_few_values_that_come_back_are_categories() -> None:
    column = build_column(np.tile(np.arange(4, dtype=np.float32), 50), datatype="FP32")
    assert column.kind is Kind.CATEGORICAL
    assert [cell.value for cell in column.cells if not cell.rare] == [0.0, 1.0, 2.0, 3.0]


def test_few_rows_make_no_categories() -> None:
    assert build_column(normal(15), datatype="FP32").kind is Kind.NUMERIC


def test_a_threshold_is_an_edge() -> None:
    scores = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    column = build_column(scores, datatype="FP32", cells=20, edges=[0.5], is_category=False)
    assert 0.5 in [cell.upper for cell in column.cells]


def test_wrong_answers_are_counted_per_cell() -> None:
    values = np.arange(100, dtype=np.float32)
    column = build_column(values, datatype="FP32", wrong=values >= 90, is_category=False)
    assert [cell.wrong for cell in column.cells if not cell.rare] == [0] * 9 + [10]


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
