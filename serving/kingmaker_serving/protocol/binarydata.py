"""Tensors as bytes: little-endian, row-major, without padding. What gRPC calls raw contents, and the binary extension.

A BYTES element is its length as four bytes, then its content, which is text in UTF-8.
"""

import struct
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from kingmaker_serving.errors import invalid_tensor
from kingmaker_serving.protocol.signature import NUMPY, TensorSpec
from kingmaker_serving.protocol.tensors import check_count

_LENGTH: Final = struct.Struct("<I")
_WIRE: Final = {name: dtype.newbyteorder("<") for name, dtype in NUMPY.items()}


def read_binary(data: memoryview, spec: TensorSpec, shape: Sequence[int], count: int) -> np.ndarray:
    """Read one tensor.

    Args:
        data: All of its bytes.
        spec: What the model takes.
        shape: As checked by `check_tensor`.
        count: Elements of that shape.

    Returns:
        C-contiguous array that owns its memory; BYTES as `str` objects.

    Raises:
        ServingError: INVALID_TENSOR when the bytes do not fill the shape, or a text is not UTF-8.
    """
    if spec.datatype == "BYTES":
        return _read_texts(data, spec, shape, count)
    dtype = NUMPY[spec.datatype]
    if len(data) != count * dtype.itemsize:
        message = (
            f'input "{spec.name}": {len(data)} bytes of data, but {count} elements of {spec.datatype} '
            f"have {count * dtype.itemsize}"
        )
        raise invalid_tensor(message)
    if spec.datatype == "BOOL":
        # Any byte but 0 is true; numpy would keep a 2 as it is.
        return np.not_equal(np.frombuffer(data, np.uint8), 0).reshape(shape)
    # A copy: the body begins with JSON of any length, so that numbers in it lie anywhere, and it can go now.
    return np.frombuffer(data, _WIRE[spec.datatype]).astype(dtype).reshape(shape)


def write_binary(array: np.ndarray) -> bytes:
    """Write one tensor.

    Args:
        array: Any datatype; texts as `str` or `bytes`, the latter as they are.
    """
    if not array.dtype.hasobject:
        return (array if sys.byteorder == "little" else array.byteswap()).tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)


def _read_texts(data: memoryview, spec: TensorSpec, shape: Sequence[int], count: int) -> np.ndarray:
    if len(data) < count * _LENGTH.size:
        check_count(spec, len(data) // _LENGTH.size, count, shape)
    array = np.empty(count, dtype=object)
    position, end = 0, len(data)
    try:
        for index in range(count):
            (size,) = _LENGTH.unpack_from(data, position)
            position += _LENGTH.size
            if size > end - position:
                raise _cut_off(spec, index, size, end - position)
            array[index] = str(data[position : position + size], "utf-8")
            position += size
    except struct.error as error:
        raise _cut_off(spec, index, _LENGTH.size, end - position) from error
    except UnicodeDecodeError as error:
        message = f'input "{spec.name}": element {index} is not UTF-8; BYTES are texts here, send others as numbers'
        raise invalid_tensor(message) from error
    if position != end:
        message = f'input "{spec.name}": {end - position} bytes are left after {count} elements of BYTES'
        raise invalid_tensor(message)
    return array.reshape(shape)


def _cut_off(spec: TensorSpec, index: int, wanted: int, left: int) -> Exception:
    text = f'input "{spec.name}": element {index} of BYTES needs {wanted} bytes, and {left} are left'
    return invalid_tensor(f"{text}; each element is its length as 4 bytes, then its content")
