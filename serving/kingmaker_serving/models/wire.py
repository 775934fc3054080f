"""The protobuf wire format: a message walked a field at a time, and fields written anew.

ONNX files are read and changed at this level, so that neither a generated parser nor a second copy of the weights is
needed to look at a few names.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

_MAX_KEY: Final = 2**32 - 1
_BYTES: Final = 2

# An attribute's numbers come one field each; a forest has millions. Runs of them are skipped at the speed of `re`.
_RUNS: Final = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])++|(?:\x3d.{4})++", re.DOTALL)


class Field(NamedTuple):
    """One field of a message."""

    number: int
    start: int
    """Where its bytes begin; of a number, the value itself."""
    end: int
    """Where they end; 0 for a number."""
    key: int
    """Where its key begins."""


def walk(data: bytes, start: int, end: int, *, numbers: bool = False) -> Iterator[Field]:
    """Walk one message.

    Args:
        data: The whole file.
        start: Where the message begins.
        end: Where it ends.
        numbers: Whether fields 7 and 8, of which an attribute may have millions, are wanted too when they are numbers.

    Raises:
        ValueError: A field reaches over the end of its message, or has a key or wire type that ONNX does not use.
    """
    position = start
    while position < end:
        run = None if numbers else _RUNS.match(data, position, end)
        if run:
            position = run.end()
            continue
        begin = position
        key, position = varint(data, position, end)
        if key > _MAX_KEY:
            # ONNX Runtime's protobuf drops the bits above: to it this would be another field than to us.
            message = f"a field's key at byte {position} has more than 32 bits"
            raise ValueError(message)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = varint(data, position, end)
            yield Field(number, value, 0, begin)
            continue
        if wire == _BYTES:
            length, position = varint(data, position, end)
        elif wire in {1, 5}:
            length = 8 if wire == 1 else 4
        else:
            message = f"wire type {wire} at byte {position}"
            raise ValueError(message)
        if position + length > end:
            message = f"a field ends at byte {position + length}, its message at {end}"
            raise ValueError(message)
        yield Field(number, position, position + length, begin)
        position += length


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a number; give it and where it ends.

    Raises:
        ValueError: It does not end in time.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            message = f"it ends within a number at byte {position}"
            raise ValueError(message)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    message = f"a number at byte {position} is too long"
    raise ValueError(message)


def signed(value: int) -> int:
    """Read a number as the `int64` that it stands for."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def text(data: bytes, start: int, end: int) -> str:
    """Read a text; what is not UTF-8 in it is replaced."""
    return data[start:end].decode("utf-8", "replace")


def written(number: int, content: bytes) -> bytes:
    """Write a field of bytes, of a text or of a message."""
    return _head(number, len(content)) + content


def edited(data: bytes, edits: Mapping[int, bytes]) -> bytes:
    """Write a message with some fields replaced, at any depth.

    Args:
        data: The message. Nothing changes where no edit is.
        edits: By where a field's key begins: the fields that stand there instead, as `written` gives them, or nothing.
            What encloses them must be messages.
    """
    return b"".join(_pieces(data, edits, sorted(edits), 0, len(data)))


def _pieces(
    data: bytes, edits: Mapping[int, bytes], places: Sequence[int], start: int, end: int
) -> Iterator[bytes | memoryview]:
    view, copied = memoryview(data), start
    for field in walk(data, start, end):
        next_place = bisect_left(places, field.key)
        if not field.end or next_place == len(places) or places[next_place] >= field.end:
            continue
        yield view[copied : field.key]
        copied = field.end
        if field.key in edits:
            yield edits[field.key]
            continue
        inner = list(_pieces(data, edits, places, field.start, field.end))
        yield _head(field.number, sum(map(len, inner)))
        yield from inner
    yield view[copied:end]


def _head(number: int, size: int) -> bytes:
    return _number(number << 3 | _BYTES) + _number(size)


def _number(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
