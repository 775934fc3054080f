"""Reference rows in the forms people have them (arrays, data frames, CSV, npz) as the model's own input tensors."""

import csv
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.protocol.bfloat16 import from_float32
from kingmaker_serving.protocol.signature import FLOATS, NUMPY, Signature, TensorSpec

MISSING_WORDS: Final = frozenset({"", "na", "nan", "null", "none"})
"""Texts of a CSV that mean: no value. Only a float tensor can hold that."""


class Table:
    """Columns by name, each of one length."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        """Take arrays of shape (rows,) or (rows, width)."""
        self.columns = dict(columns)
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1 or not lengths or not all(lengths.values()):
            raise _invalid(f"columns have {lengths} rows; expected the same number, at least 1, in each")

    @property
    def rows(self) -> int:
        """How many rows each column has."""
        return len(next(iter(self.columns.values())))

    def take(self, name: str) -> np.ndarray:
        """Take a column out.

        Raises:
            VerbError: There is none of that name.
        """
        if name not in self.columns:
            raise _invalid(f"there is no column {name!r}, only {sorted(self.columns)}")
        return self.columns.pop(name)


def read_table(path: Path) -> Table:
    """Read a `.csv` with a header or a `.npz` with one array per column or tensor.

    Raises:
        VerbError: Another kind of file, or no table.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return Table({name: arrays[name] for name in arrays.files})
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                header, *lines = [line for line in reader if line]
                columns = list(zip(*lines, strict=True))
            if len(set(header)) != len(header) or len(columns) != len(header):
                raise _invalid(f"{path.name} has header {header} and {len(columns)} columns; names must be unique")
            return Table({name: _objects(column) for name, column in zip(header, columns, strict=True)})
    except (OSError, ValueError, UnicodeError) as error:
        raise _invalid(f"{path.name} can't be read: {error}") from error
    raise _invalid(f"{path.name} is neither .csv nor .npz")


def tensors_from(rows: Any, signature: Signature, names: Sequence[str] | None) -> dict[str, np.ndarray]:  # noqa: ANN401
    """Arrange rows as the model's inputs.

    Args:
        rows: An array (rows, columns) for a model of one input; a mapping of tensors or columns by name; anything with
            `columns` and `[name]`, such as a data frame; a `Table`.
        signature: What the model takes.
        names: Names of the columns of a model of one input, in order; None takes them from `rows`.

    Returns:
        One array per input, of the input's dtype and rank.

    Raises:
        VerbError: Rows and inputs do not fit; the message names both.
    """
    inputs = [spec for spec in signature.inputs if not spec.optional]
    if isinstance(rows, np.ndarray):
        if len(inputs) != 1:
            raise _invalid(f"the model has inputs {[str(s) for s in inputs]}; give a mapping by input name")
        return {inputs[0].name: _cast(rows, inputs[0])}
    columns = rows.columns if isinstance(rows, Table) else {str(key): np.asarray(rows[key]) for key in _keys(rows)}
    if all(spec.name in columns for spec in inputs):
        return {spec.name: _cast(columns[spec.name], spec) for spec in inputs}
    if len(inputs) != 1:
        lacking = [spec.name for spec in inputs if spec.name not in columns]
        raise _invalid(f"columns {sorted(columns)} lack the model's inputs {lacking}; name columns as the inputs")
    order = list(names or columns)
    lacking = [name for name in order if name not in columns]
    if lacking:
        raise _invalid(f"there are no columns {lacking}, only {sorted(columns)}")
    spec = inputs[0]
    parts = [_cast(columns[name], TensorSpec(name, spec.datatype, (-1,))) for name in order]
    return {spec.name: _cast(np.stack(parts, axis=1), spec)}


def cast_labels(labels: Any, spec: TensorSpec) -> np.ndarray:  # noqa: ANN401
    """Cast labels as the model's answers are, shape (rows,)."""
    return _cast(np.asarray(labels).reshape(-1), TensorSpec("label", spec.datatype, (-1,)))


def _keys(rows: Any) -> list[Any]:  # noqa: ANN401  # a data frame or a mapping
    if hasattr(rows, "columns"):
        return list(rows.columns)
    if isinstance(rows, Mapping):
        return list(rows)
    raise _invalid(f"rows are a {type(rows).__name__}; expected an array, a mapping or a data frame")


def _cast(values: Any, spec: TensorSpec) -> np.ndarray:  # noqa: ANN401
    array = np.asarray(values)
    try:
        if spec.datatype == "BYTES":
            array = _objects([_text(value) for value in array.ravel().tolist()]).reshape(array.shape)
        elif array.dtype.kind in "OUS":
            array = _numbers(array, spec)
        is_half = spec.datatype == "BF16"
        cast = from_float32(array.astype(np.float32)) if is_half else array.astype(NUMPY[spec.datatype])
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid(f"{spec.name!r} can't be read as {spec.datatype}: {error}") from error
    if cast.ndim < len(spec.shape):
        cast = cast.reshape(*cast.shape, *[1] * (len(spec.shape) - cast.ndim))
    if spec.mismatch((_rows_of_a_run(cast, spec), *cast.shape[1:])):
        raise _invalid(f"{spec.name!r} has shape {list(cast.shape)}, but the model takes {spec}")
    return cast


def _rows_of_a_run(array: np.ndarray, spec: TensorSpec) -> int:
    """Give how many rows the model gets at a time: all, or the number that the file fixes, as often as it takes."""
    fixed = spec.shape[0] if spec.shape else -1
    return fixed if fixed > 0 and len(array) % fixed == 0 else len(array)


def _numbers(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    texts = [str(value).strip() for value in array.ravel().tolist()]
    if spec.datatype == "BOOL":
        numbers: list[float] = [text.lower() in {"1", "1.0", "true"} for text in texts]
    elif spec.datatype in FLOATS:
        numbers = [float("nan") if text.lower() in MISSING_WORDS else float(text) for text in texts]
    else:
        numbers = [_whole(text) for text in texts]
    return np.array(numbers).reshape(array.shape)


def _whole(text: str) -> int:
    """Read an integer, also one written as 1.0."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)


def _text(value: Any) -> str:  # noqa: ANN401
    """Write a category; None and NaN, which a data frame has for a missing text, are the empty string."""
    is_missing = value is None or (isinstance(value, float) and isnan(value))
    return "" if is_missing else str(value)


def _objects(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _invalid(problem: str) -> VerbError:
    return VerbError(Reason.INVALID_BASELINE, f"training data: {problem}")
