"""Reference rows in the forms that people have them. Frames of other libraries: `tests/programs/frames`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.package.rows import cast_labels, tensors_from, truths
from kingmaker_serving.package.tables import Table, as_array, as_table, objects, read_table
from kingmaker_serving.protocol.signature import Signature, TensorSpec


def takes(datatype: str, width: int = 1) -> Signature:
    return Signature(inputs=(TensorSpec("x", datatype, (-1, width)),), outputs=())


def cast(values: Any, datatype: str) -> list[Any]:
    return tensors_from(as_table({"x": values}), takes(datatype), None)["x"].ravel().tolist()


def test_a_csv_is_read_with_missing_values(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("age,plan\n31,basic\n,pro\n")
    table = read_table(file)
    assert table.rows == 2
    ages = tensors_from(Table({"x": table.columns["age"]}), takes("FP32"), None)["x"]
    assert np.isnan(ages[1, 0])


def test_an_array_with_named_fields_is_a_table() -> None:
    table = as_table(np.array([(1, 2.5), (2, 3.5)], dtype=[("a", "i4"), ("b", "f4")]))
    assert {name: column.tolist() for name, column in table.columns.items()} == {"a": [1, 2], "b": [2.5, 3.5]}


def test_numbers_among_objects_are_numbers_and_none_is_not_a_number() -> None:
    array = as_array(objects([1, None, 2.5]))
    assert array.dtype == float
    assert np.isnan(array[1])
    assert as_array(objects(["a", None])).tolist() == ["a", None]


@pytest.mark.parametrize(
    ("values", "datatype", "words"),
    [
        ([1.0, float("nan")], "INT64", "1 values are missing, which integers can't say; export the model with float"),
        ([1.5], "INT64", "1.5 is no whole number from"),
        ([300], "INT8", "300 is no whole number from -128 to 127"),
        ([-1], "UINT8", "-1 is no whole number from 0 to 255"),
        ([float("inf")], "INT32", "inf is no whole number"),
        ([2.0**63], "INT64", "is no whole number from"),
        (["yes"], "BOOL", "'yes' is neither true nor false"),
        ([None], "BOOL", "'None' is neither true nor false"),
        ([0.5], "BOOL", "a truth value is 0 or 1"),
        ([float("nan")], "BOOL", "a truth value is 0 or 1, and never missing"),
        (["basic"], "FP32", "could not convert string to float: 'basic'"),
        (np.array(["2026-01-01"], dtype="datetime64[s]"), "FP32", "times are no numbers"),
    ],
)
def test_a_value_that_would_become_another_one_is_refused(values: Any, datatype: str, words: str) -> None:
    with pytest.raises(VerbError) as caught:
        cast(values, datatype)
    assert caught.value.reason is Reason.INVALID_BASELINE
    assert words in caught.value.message
    assert "'x' can't be read as" in caught.value.message


@pytest.mark.parametrize(
    ("values", "datatype", "expected"),
    [
        (["1", "2.0"], "INT64", [1, 2]),
        ([1.0, 2.0], "INT8", [1, 2]),
        (["true", "0"], "BOOL", [True, False]),
        ([1e300], "FP32", [float("inf")]),
        (["a", None, float("nan")], "BYTES", ["a", "", ""]),
        ([2**63], "UINT64", [2**63]),
    ],
)
def test_a_value_is_read_as_the_model_takes_it(values: Any, datatype: str, expected: list[Any]) -> None:
    assert cast(objects(values), datatype) == expected


@pytest.mark.parametrize("labels", [[1.0, float("nan")], ["a", ""], ["a", None]])
def test_labels_are_all_there_or_none_are_given(labels: list[Any]) -> None:
    spec = TensorSpec("label", "BYTES" if isinstance(labels[0], str) else "FP32", (-1,))
    with pytest.raises(VerbError, match="1 of 2 labels are missing"):
        cast_labels(labels, spec)


def test_marks_are_read_as_truth_values() -> None:
    assert truths(objects(["1", "false", "True"]), "test").tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.xlsx", b"", "rows.xlsx is neither .csv, .npz, .parquet"),
        ("rows.csv", b"a,a\n1,2\n", "names must be unique"),
        ("rows.csv", b"", "rows.csv has no rows; expected a header"),
        ("rows.csv", b"a,b\n1,2\n1\n", "rows.csv has 1 values in line 3, expected 2 as in its header"),
        ("rows.csv", b"a\n\xff\n", "rows.csv can't be read"),
        ("rows.npz", b"PK", "rows.npz can't be read"),
        ("rows.parquet", b"PAR1", "rows.parquet"),
        ("none.csv", None, "No such file"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VerbError) as caught:
        read_table(tmp_path / name)
    assert words in caught.value.message
