"""Tensor data in JSON, written: flat, NaN as `null`, infinities as texts, so that every JSON parser reads it."""

from math import inf, isfinite
from typing import Any, Final

import msgspec
import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol import bfloat16

_PIECE_ELEMENTS: Final = 64 * 1024
"""Elements that are written at once. Python's numbers take eight times the room of those in an array."""
_ENCODER: Final = msgspec.json.Encoder()


def write_json(array: np.ndarray, datatype: str, *, max_bytes: int) -> bytes:
    """Write one tensor as a flat list.

    Args:
        array: Any dtype; BF16 as its bits.
        datatype: Of the tensor.
        max_bytes: Bound of the text.

    Raises:
        ServingError: INVALID_REQUEST when it is longer.
    """
    flat = array.ravel()
    if datatype == "BF16":
        flat = bfloat16.to_float32(flat)
    if flat.size <= _PIECE_ELEMENTS:
        text = _write_piece(flat)
        size = len(text)
    else:
        parts, size = [], 0
        for start in range(0, flat.size, _PIECE_ELEMENTS):
            parts.append(_write_piece(flat[start : start + _PIECE_ELEMENTS])[1:-1])
            size += len(parts[-1]) + 1
            if size > max_bytes:
                break
        text = b"[" + b",".join(parts) + b"]"
    if size > max_bytes:
        message = f"the answer has over {max_bytes} bytes as JSON; ask for fewer rows or outputs, or for binary data"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return text


def _write_piece(flat: np.ndarray) -> bytes:
    values = flat.tolist()
    if flat.dtype.hasobject:
        return _write_texts(values)
    text = _ENCODER.encode(values)
    # Of numbers only NaN and the infinities are written as null.
    if b"n" in text:
        text = _ENCODER.encode([value if isfinite(value) else _word(value) for value in values])
    return text


def _word(value: float) -> str | None:
    if value == inf:
        return "Infinity"
    return "-Infinity" if value == -inf else None


def _write_texts(values: list[Any]) -> bytes:
    """Write texts. What is not UTF-8 gets the replacement character in its place."""
    try:
        if bytes not in map(type, values):
            return _ENCODER.encode(values)
    except UnicodeEncodeError:
        pass
    return _ENCODER.encode(
        [
            (value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
            for value in values
        ]
    )
