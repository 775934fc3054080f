"""Typed contents: a tensor as one of the protobuf lists of `InferTensorContents`."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from kingmaker_serving.errors import invalid_tensor
from kingmaker_serving.protocol.signature import NUMPY, TensorSpec
from kingmaker_serving.protocol.tensors import check_count

FIELDS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which list holds a datatype. FP16 and BF16 have none: they are raw."""


def read_contents(contents: Any, spec: TensorSpec, shape: Sequence[int], count: int) -> np.ndarray:  # noqa: ANN401
    """Read one tensor.

    Args:
        contents: `InferTensorContents`.
        spec: What the model takes.
        shape: As checked by `check_tensor`.
        count: Elements of that shape.

    Returns:
        C-contiguous array that owns its memory; BYTES as `str` objects.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    field = FIELDS.get(spec.datatype)
    if field is None:
        raise invalid_tensor(f'input "{spec.name}": {spec.datatype} has no typed contents; use raw_input_contents')
    # A slice of the list is taken at once; going through it one by one takes twice as long.
    values = getattr(contents, field)[:]
    if len(values) != count:
        others = [other.name for other, _ in contents.ListFields() if other.name != field]
        if others:
            text = f'input "{spec.name}" has {others[0]}; {spec.datatype} belongs into {field}'
            raise invalid_tensor(text)
        check_count(spec, len(values), count, shape)
    if spec.datatype == "BYTES":
        return _texts(values, spec).reshape(shape)
    try:
        return np.array(values, dtype=NUMPY[spec.datatype]).reshape(shape)
    except OverflowError as error:
        raise invalid_tensor(f'input "{spec.name}": {error}; the model takes {spec.datatype}') from error


def write_contents(contents: Any, array: np.ndarray, datatype: str) -> None:  # noqa: ANN401
    """Write one tensor; texts that are `bytes` go out as they are."""
    values: list[Any] = array.ravel().tolist()
    if datatype == "BYTES":
        values = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape") for text in values]
    getattr(contents, FIELDS[datatype]).extend(values)


def _texts(values: Sequence[bytes], spec: TensorSpec) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    index = 0
    try:
        for index, value in enumerate(values):  # named in the error
            array[index] = value.decode()
    except UnicodeDecodeError as error:
        message = f'input "{spec.name}": element {index} is not UTF-8; BYTES are texts here, send others as numbers'
        raise invalid_tensor(message) from error
    return array
