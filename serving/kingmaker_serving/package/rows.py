"""Reference rows as the model's own input tensors."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from kingmaker_serving.package.tables import Table, as_array, invalid, is_absent, objects
from kingmaker_serving.protocol.bfloat16 import from_float32
from kingmaker_serving.protocol.signature import FLOATS, NUMPY, Signature, TensorSpec

MISSING_WORDS: Final = frozenset({"", "na", "nan", "null", "none"})
"""Texts of a CSV that mean: no value. Only a float tensor can hold that."""

_TRUTHS: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def tensors_from(rows: np.ndarray | Table, signature: Signature, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Arrange rows as the model's inputs.

    Args:
        rows: An array (rows, columns) for a model of one input, or columns or tensors by name.
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
            raise invalid(f"the model has inputs {[str(s) for s in inputs]}; give a mapping by input name")
        return {inputs[0].name: _cast(rows, inputs[0])}
    columns = rows.columns
    if all(spec.name in columns for spec in inputs):
        return {spec.name: _cast(columns[spec.name], spec) for spec in inputs}
    if len(inputs) != 1:
        lacking = [spec.name for spec in inputs if spec.name not in columns]
        found = str(sorted(columns))[:500]
        raise invalid(f"columns {found} lack the model's inputs {lacking}; name columns as the inputs")
    order = list(names or columns)
    lacking = [name for name in order if name not in columns]
    if lacking:
        raise invalid(f"there are no columns {str(lacking)[:500]}, only {str(sorted(columns))[:500]}")
    spec = inputs[0]
    parts = [_cast(columns[name], TensorSpec(name, spec.datatype, (-1,))) for name in order]
    return {spec.name: _cast(np.stack(parts, axis=1), spec)}


def cast_labels(labels: Any, spec: TensorSpec) -> np.ndarray:  # noqa: ANN401
    """Cast labels as the model's answers are, shape (rows,).

    Raises:
        VerbError: They can't be, or some are missing.
    """
    given = as_array(labels).reshape(-1)
    missing = sum(is_absent(label) or label == "" for label in given.tolist()) if given.dtype.kind in "fOU" else 0
    if missing:
        raise invalid(f"{missing} of {len(given)} labels are missing; leave out their rows, or give no labels")
    return _cast(given, TensorSpec("label", spec.datatype, (-1,)))


def truths(values: np.ndarray, name: str) -> np.ndarray:
    """Read a column of truth values, shape (rows,).

    Raises:
        VerbError: One is neither true nor false.
    """
    return _cast(values, TensorSpec(name, "BOOL", (-1,)))


def _cast(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    try:
        if spec.datatype == "BYTES":
            array = objects([_text(value) for value in array.ravel().tolist()]).reshape(array.shape)
        elif array.dtype.kind in "mM":
            raise ValueError("times are no numbers; turn them into what the model was trained on")
        elif array.dtype.kind in "OUS":
            array = _numbers(array, spec)
        cast = _as_datatype(array, spec.datatype)
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(f"{spec.name!r} can't be read as {spec.datatype}: {error}") from error
    if cast.ndim < len(spec.shape):
        cast = cast.reshape(*cast.shape, *[1] * (len(spec.shape) - cast.ndim))
    if spec.mismatch((_rows_of_a_run(cast, spec), *cast.shape[1:])):
        raise invalid(f"{spec.name!r} has shape {list(cast.shape)}, but the model takes {spec}")
    return cast


def _as_datatype(array: np.ndarray, datatype: str) -> np.ndarray:
    """Cast numbers, and refuse those that would become other ones."""
    # What is too large for a float becomes infinite, as it does on its way to a server.
    with np.errstate(over="ignore"):
        if datatype == "BF16":
            return from_float32(array.astype(np.float32))
        dtype = NUMPY[datatype]
        if dtype.kind in "iu" and array.dtype.kind in "iuf":
            _check_whole(array, dtype)
        if dtype.kind == "b" and array.dtype.kind in "iuf" and not np.isin(array, (0, 1)).all():
            raise ValueError("a truth value is 0 or 1, and never missing")
        return array.astype(dtype)


def _check_whole(array: np.ndarray, dtype: np.dtype[Any]) -> None:
    missing = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    if missing:
        message = f"{missing} values are missing, which integers can't say; export the model with float inputs"
        raise ValueError(message)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    wrong = [x for x in (array.min(initial=0).item(), array.max(initial=0).item()) if not low <= x <= high]
    if array.dtype.kind == "f":
        wrong += array[array != np.floor(array)].ravel()[:1].tolist()
    if wrong:
        message = f"{wrong[0]} is no whole number from {low} to {high}"
        raise ValueError(message)


def _rows_of_a_run(array: np.ndarray, spec: TensorSpec) -> int:
    """Give how many rows the model gets at a time: all, or the number that the file fixes, as often as it takes."""
    fixed = spec.shape[0] if spec.shape else -1
    return fixed if fixed > 0 and len(array) % fixed == 0 else len(array)


def _numbers(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    texts = [str(value).strip() for value in array.ravel().tolist()]
    if spec.datatype == "BOOL":
        numbers: list[float] = [_truth(text) for text in texts]
    elif spec.datatype in FLOATS:
        numbers = [float("nan") if text.lower() in MISSING_WORDS else float(text) for text in texts]
    else:
        numbers = [_whole(text) for text in texts]
    return np.array(numbers).reshape(array.shape)


def _truth(text: str) -> bool:
    """Read a truth value as frames and CSV files write them."""
    if text.lower() not in _TRUTHS:
        message = f"{text!r} is neither true nor false"
        raise ValueError(message)
    return _TRUTHS[text.lower()]


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
    """Write a category; what is missing is the empty string."""
    return "" if is_absent(value) else str(value)
