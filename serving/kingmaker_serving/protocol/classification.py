"""The classification extension: an output's best classes instead of its numbers, as Triton writes them."""

from typing import Final

import numpy as np

from kingmaker_serving.errors import invalid_tensor
from kingmaker_serving.protocol import bfloat16
from kingmaker_serving.protocol.signature import TensorSpec

CLASSIFIED: Final = "BYTES"
"""Datatype of what is given instead."""
_MAX_ELEMENTS: Final = 1_000_000
"""Triton's bound."""


def classify(array: np.ndarray, datatype: str, count: int, spec: TensorSpec) -> np.ndarray:
    """Give the best classes of each row.

    Args:
        array: Numbers. Rows are its first dimension; with one dimension or none it is one row.
        datatype: Of the output.
        count: How many classes at most.
        spec: The output, with the names of its classes where they are known.

    Returns:
        Texts `value:index` or `value:index:name`, best first, of equal ones the first; NaN is the worst.
        Shape `(rows, classes)`, or `(classes,)` for one dimension. Floats have six decimals.

    Raises:
        ServingError: INVALID_TENSOR when the output is no numbers, or has over a million of them.
    """
    if datatype in {"BYTES", "BOOL"}:
        message = f'output "{spec.name}": classification needs numbers, and it is {datatype}'
        raise invalid_tensor(message)
    if array.size > _MAX_ELEMENTS:
        message = f'output "{spec.name}": classification of {array.size} elements; it orders {_MAX_ELEMENTS} at most'
        raise invalid_tensor(message)
    if datatype == "BF16":
        array = bfloat16.to_float32(array)
    rows = array.reshape(len(array), -1) if array.ndim > 1 and array.size else array.reshape(1, -1)
    most = min(count, rows.shape[1])
    texts = np.empty((len(rows), most), dtype=object)
    for number, row in enumerate(rows):
        texts[number] = [_text(row[index], int(index), spec) for index in _order(row)[:most]]
    if array.ndim > 1:
        return texts if array.size else texts.reshape(len(array), 0)
    return texts.reshape(-1)


def _order(row: np.ndarray) -> np.ndarray:
    """Order indices by value, highest first, equal ones as they are."""
    values = np.where(np.isnan(row), -np.inf, row) if row.dtype.kind == "f" else row
    order: np.ndarray = np.arange(len(row))[::-1][np.argsort(values[::-1], kind="stable")][::-1]
    return order


def _text(value: np.generic, index: int, spec: TensorSpec) -> str:
    shown = f"{float(value):.6f}" if value.dtype.kind == "f" else str(value)
    name = f":{spec.classes[index]}" if index < len(spec.classes) else ""
    return f"{shown}:{index}{name}"
