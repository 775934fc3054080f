"""Tensor data in JSON, read: flat, or nested like the shape.

JSON has no NaN and no infinity. A missing value of a floating-point tensor is `null`, an infinity the text `"Infinity"`
or `"-Infinity"`, in requests and replies alike. `"NaN"` is read, too: these three are JSON's mapping of protobuf.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf, nan
from typing import Any, Final, Literal

import msgspec
import numpy as np

from kingmaker_serving.errors import NOT_JSON, ServingError, invalid_tensor
from kingmaker_serving.protocol import bfloat16
from kingmaker_serving.protocol.signature import FLOATS, NUMPY, TensorSpec
from kingmaker_serving.protocol.tensors import check_count, decoded_size, too_large

_PACKED: Final = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "BF16": "f", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""How `struct` packs a datatype: twice as fast as numpy on a list, and it tells what does not fit."""
_PIECE_BYTES: Final = 256 * 1024
"""JSON that is decoded at once. Python's numbers take eight times the room of those in an array."""
_FLOATS: Final = msgspec.json.Decoder(list[float])
_MISSING: Final = msgspec.json.Decoder(list[float | None])
_WORDS: Final = msgspec.json.Decoder(list[float | Literal["NaN", "Infinity", "-Infinity"] | None])
_VALUES: Final[dict[str | None, float]] = {None: nan, "NaN": nan, "Infinity": inf, "-Infinity": -inf}
_INTEGERS: Final = msgspec.json.Decoder(list[int])
_TRUTHS: Final = msgspec.json.Decoder(list[bool])
_TEXTS: Final = msgspec.json.Decoder(list[str])
_NESTED: Final = msgspec.json.Decoder(list[Any])
_PLAIN: Final[dict[str, msgspec.json.Decoder[list[Any]]]] = {
    name: _FLOATS if name in FLOATS else _TRUTHS if name == "BOOL" else _INTEGERS for name in _PACKED
}
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b"[],"))
_NO_ELEMENT: Final = b"[], \t\r\n"
_NESTED_LIST: Final = re.compile(rb"\[[ \t\r\n]*\[")
_INDEX: Final = re.compile(r"\$\[(\d+)\]")


def read_json(data: msgspec.Raw, spec: TensorSpec, shape: Sequence[int], count: int, *, limit: int) -> np.ndarray:
    """Read one tensor.

    Args:
        data: Valid JSON.
        spec: What the model takes; FP16 and BF16 are rounded.
        shape: As checked by `check_tensor`.
        count: Elements of that shape.
        limit: Bytes that it may have once decoded.

    Returns:
        C-contiguous array of the spec's dtype; BYTES as `str` objects. It may be read-only.

    Raises:
        ServingError: INVALID_TENSOR; TOO_LARGE before anything is allocated.
    """
    raw = bytes(data)
    if len(raw) <= _PIECE_BYTES:
        numbers = _quick(raw, spec)
        if len(numbers) == count and numbers:
            return _array(_pack(numbers, spec, 0), spec, shape)
    if raw[:1] != b"[":
        raise _unfit(spec, _expected_list(raw))
    if len(raw) > _PIECE_BYTES:
        size = decoded_size(spec, count)
        _count_elements(raw, spec, shape, count)
        if size > limit:
            raise too_large(spec, size, limit)
    if spec.datatype == "BYTES":
        return _read_texts(raw, spec, shape, count)
    if raw.find(b"[", 1) > 0:
        _check_structure(raw, spec, shape, count)
        raw = b"[" + raw.translate(None, b"[]") + b"]"
    if len(raw) <= _PIECE_BYTES or not count:
        return _array(_read_piece(raw, spec, shape, count), spec, shape)
    return _array(_read_pieces(raw, spec, count), spec, shape)


def _quick(raw: bytes, spec: TensorSpec) -> Sequence[float]:
    """Read a flat list without anything special in it, as nearly all are; nothing where it is none."""
    decoder = _PLAIN.get(spec.datatype)
    if decoder is None:
        return ()
    try:
        return decoder.decode(raw)
    except NOT_JSON:
        return ()


def _read_piece(raw: bytes, spec: TensorSpec, shape: Sequence[int], count: int) -> bytes:
    if not count and not raw.translate(None, _NO_ELEMENT):
        return b""
    numbers = _read_list(raw, spec, 0)
    check_count(spec, len(numbers), count, shape)
    return _pack(numbers, spec, 0)


def _read_pieces(raw: bytes, spec: TensorSpec, count: int) -> bytearray:
    """Read a list whose elements were counted."""
    itemsize = struct.calcsize(_PACKED[spec.datatype])
    buffer = bytearray(count * itemsize)
    index = 0
    for piece in _pieces(raw):
        numbers = _read_list(piece, spec, index)
        end = index + len(numbers)
        buffer[index * itemsize : end * itemsize] = _pack(numbers, spec, index)
        index = end
    return buffer


def _array(buffer: bytes | bytearray, spec: TensorSpec, shape: Sequence[int]) -> np.ndarray:
    if spec.datatype == "BF16":
        return bfloat16.from_float32(np.ndarray(shape, np.float32, buffer))
    return np.ndarray(shape, NUMPY[spec.datatype], buffer)


def _pieces(raw: bytes) -> Iterator[bytes]:
    """Cut a flat list of numbers at its commas."""
    start = 1
    while (end := raw.find(b",", start + _PIECE_BYTES)) > 0:
        yield b"[" + raw[start:end] + b"]"
        start = end + 1
    yield b"[" + raw[start:]


def _read_list(raw: bytes, spec: TensorSpec, index: int) -> Sequence[float]:
    """Read a flat list of numbers.

    Args:
        raw: JSON.
        spec: Whose.
        index: Of its first element in the tensor, for errors.
    """
    try:
        if spec.datatype in FLOATS:
            return _floats(raw)
        return _PLAIN[spec.datatype].decode(raw)
    except NOT_JSON as error:
        raise _unfit(spec, str(error), index) from error


def _pack(numbers: Sequence[float], spec: TensorSpec, index: int) -> bytes:
    """Turn numbers into the bytes of an array; `index` as above."""
    code = _PACKED[spec.datatype]
    try:
        return struct.pack(f"={len(numbers)}{code}", *numbers)
    except (struct.error, OverflowError) as error:
        raise _beyond(spec, code, numbers, index) from error


def _floats(raw: bytes) -> Sequence[float]:
    try:
        return _FLOATS.decode(raw)
    except msgspec.ValidationError:
        pass
    try:
        return [nan if value is None else value for value in _MISSING.decode(raw)]
    except msgspec.ValidationError:
        # What is neither a number nor one of the words must get the error that speaks of numbers.
        try:
            values = _WORDS.decode(raw)
        except msgspec.ValidationError:
            values = None
        if values is None:
            raise
    return [value if isinstance(value, float) else _VALUES[value] for value in values]


def _read_texts(raw: bytes, spec: TensorSpec, shape: Sequence[int], count: int) -> np.ndarray:
    try:
        if _NESTED_LIST.match(raw) and count:
            texts = msgspec.convert(_unnest(_NESTED.decode(raw), spec, shape), type=list[str])
        else:
            texts = _TEXTS.decode(raw) if count or raw.translate(None, _NO_ELEMENT) else []
    except NOT_JSON as error:
        raise _unfit(spec, str(error)) from error
    check_count(spec, len(texts), count, shape)
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array.reshape(shape)


def _unnest(nested: list[Any], spec: TensorSpec, shape: Sequence[int]) -> list[Any]:
    level = nested
    for size in shape[1:]:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            raise _unlike(spec, shape)
        level = list(chain.from_iterable(level))
    return level


def _check_structure(raw: bytes, spec: TensorSpec, shape: Sequence[int], count: int) -> None:
    """Compare brackets and commas with those of the shape, without building the lists."""
    lists = total = 1
    for size in shape[:-1]:
        total *= size
        lists += total
    expected = b""
    if 2 * lists + max(count - 1, 0) <= len(raw):
        for size in reversed(shape):
            expected = b"[" + b",".join([expected] * size) + b"]"
    if raw.translate(None, _NOT_STRUCTURE) != expected:
        raise _unlike(spec, shape)


def _count_elements(raw: bytes, spec: TensorSpec, shape: Sequence[int], count: int) -> None:
    """Count what is in a large list before it is read, and see that it is nested like the shape if it is nested.

    Numbers have no commas in them, and texts are left out.
    """
    if spec.datatype == "BYTES":
        raw, found = _STRING.subn(b"", raw)
        if raw.find(b"[", 1) > 0:
            _check_structure(raw, spec, shape, count)
    else:
        found = raw.count(b",") + 1 if count else len(raw.translate(None, _NO_ELEMENT))
    check_count(spec, found, count, shape)


def _expected_list(raw: bytes) -> str:
    kinds = {b"{": "object", b'"': "str", b"n": "null", b"t": "bool", b"f": "bool"}
    return f"Expected array, got {kinds.get(raw[:1], 'number')}" if raw else "there is none"


def _unlike(spec: TensorSpec, shape: Sequence[int]) -> ServingError:
    message = (
        f'input "{spec.name}": nested data does not follow shape {list(shape)}; send it flat, or as lists of lists'
    )
    return invalid_tensor(message)


def _unfit(spec: TensorSpec, text: str, index: int = 0) -> ServingError:
    if spec.datatype == "BYTES":
        values = 'texts ("" for a missing one)'
    elif spec.datatype in FLOATS:
        values = "numbers (null for a missing value)"
    else:
        values = "values"
    text = _INDEX.sub(lambda match: f"data[{int(match[1]) + index}]", text.replace("`", "")).replace("$", "data")
    message = f'input "{spec.name}": data must be a list of {spec.datatype} {values}: {text[:200]}'
    return invalid_tensor(message)


def _beyond(spec: TensorSpec, code: str, numbers: Sequence[float], index: int) -> ServingError:
    for number in numbers:
        try:
            struct.pack(f"={code}", number)
        except (struct.error, OverflowError):
            break
        index += 1
    found = str(number)[:40]
    return invalid_tensor(f'input "{spec.name}": element {index} ({found}) is beyond the range of {spec.datatype}')
