"""What every form of a tensor is held to, JSON, bytes or gRPC's lists, before anything is allocated for it."""

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError, invalid_tensor
from kingmaker_serving.protocol.signature import NUMPY, TensorSpec

MAX_DIMENSIONS: Final = 32
"""Of a tensor whose model says nothing of its shape."""
_MAX_ELEMENTS: Final = 2**40
"""More than fits any body. What is larger can't even be written into a sentence."""
TEXT_BYTES: Final = 16
"""What an element of BYTES counts for, beside its content; in memory it is four times as much."""
HALVES: Final = frozenset({"FP16", "BF16"})
"""Datatypes that have no JSON form, as in Triton."""


def check_tensor(spec: TensorSpec, datatype: str, shape: Sequence[int]) -> int:
    """Compare what a tensor claims to be with what the model takes.

    Whether dimensions of the same name must have the same size is for ONNX Runtime to say.

    Args:
        spec: What the model takes.
        datatype: The protocol's name of a datatype.
        shape: Any integers.

    Returns:
        Number of elements, 0 or more.

    Raises:
        ServingError: INVALID_TENSOR naming the tensor, what was found and what was expected.
    """
    if datatype != spec.datatype:
        message = f'input "{spec.name}" has datatype {datatype[:20]}, the model takes {spec.datatype}'
        raise invalid_tensor(message)
    if reason := spec.mismatch(shape) or _excess(shape):
        expected = f"does not fit model input {list(spec.shape)} ({reason})"
        raise invalid_tensor(f'input "{spec.name}": shape {_shown(shape)} {expected}')
    return prod(shape)


def check_count(spec: TensorSpec, found: int, count: int, shape: Sequence[int]) -> None:
    """Compare the number of elements that were sent with what the shape says.

    Raises:
        ServingError: INVALID_TENSOR.
    """
    if found != count:
        message = f'input "{spec.name}": {found} elements do not fill shape {_shown(shape)} ({count} expected)'
        raise invalid_tensor(message)


def decoded_size(spec: TensorSpec, count: int) -> int:
    """Tell how many bytes a tensor has once it is decoded, texts without their content."""
    return count * (TEXT_BYTES if spec.datatype == "BYTES" else NUMPY[spec.datatype].itemsize)


def too_large(spec: TensorSpec, size: int, limit: int) -> ServingError:
    """Build the error of a tensor that has more bytes than are left of the request's limit: status 413."""
    message = f'input "{spec.name}" has {size} bytes once decoded, {limit} are left of the limit; send fewer rows'
    return ServingError(ErrorCode.TOO_LARGE, message)


def held_bytes(array: np.ndarray) -> int:
    """Estimate what an array is in a message: its bytes, texts with their content."""
    if not array.dtype.hasobject:
        return array.nbytes
    return TEXT_BYTES * array.size + sum(map(len, array.ravel().tolist()))


def _excess(shape: Sequence[int]) -> str:
    """Say why no tensor can have this shape. Empty dimensions do not excuse huge ones, which numpy can't multiply."""
    if len(shape) > MAX_DIMENSIONS:
        return f"over {MAX_DIMENSIONS} dimensions"
    return "too many elements; send fewer rows" if prod(size or 1 for size in shape) > _MAX_ELEMENTS else ""


def _shown(shape: Sequence[int]) -> str:
    text = str([size if abs(size) < 10**24 else "huge" for size in shape[:16]]).replace("'", "")
    return text if len(shape) <= 16 else f"{text[:-1]}, ...]"
