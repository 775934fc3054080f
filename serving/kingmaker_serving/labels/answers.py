"""A model's answers as bytes, one per row, as short as they may be: what a request id carries of them."""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

Value = str | int | float | bool | None
"""An answer, or a label."""


NONE, INT8, INT16, INT32, INT64, UINT64, FLOAT32, FLOAT64, TEXT = range(9)
"""Forms: how answers are written. Numbers have one width for all rows; of texts come the distinct ones, then which of
them each row has. None: nothing that a label could be compared with."""

_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    INT8: np.dtype(">i1"),
    INT16: np.dtype(">i2"),
    INT32: np.dtype(">i4"),
    INT64: np.dtype(">i8"),
    UINT64: np.dtype(">u8"),
    FLOAT32: np.dtype(">f4"),
    FLOAT64: np.dtype(">f8"),
}
_INTEGERS: Final = ((INT8, 8), (INT16, 16), (INT32, 32), (INT64, 64))
"""With their bits."""
_SMALL: Final = tuple(value.to_bytes(1, "big", signed=True) for value in (*range(128), *range(-128, 0)))
_MOST_TEXT: Final = 255
"""Bytes of one text, and distinct texts."""


def pack(answers: np.ndarray, most: int) -> tuple[int, bytes] | None:
    """Write answers.

    Args:
        answers: One per row, any shape of that size; numbers, truth values, or `str` and `bytes` objects.
        most: Bytes, at most.

    Returns:
        The form and the bytes; None when they take more.
    """
    if answers.size == 1:
        value = answers.item()
        # A class, as most answers are.
        if isinstance(value, int) and -128 <= value < 128:
            return INT8, _SMALL[value]
    if answers.dtype.kind == "O":
        return _pack_text(answers.ravel().tolist(), most)
    form = _form(answers)
    if answers.size * _DTYPES[form].itemsize > most:
        return None
    return form, answers.astype(_DTYPES[form]).tobytes()


def unpack(form: int, content: bytes) -> list[Value]:
    """Read answers.

    Raises:
        ValueError: They are none.
    """
    if form == INT8 and len(content) == 1:
        return [content[0] if content[0] < 128 else content[0] - 256]
    if form == NONE:
        return []
    if form == TEXT:
        return _unpack_text(content)
    values: list[Value] = np.frombuffer(content, dtype=_DTYPES[form]).tolist()
    return values


def as_text(value: str | bytes) -> str:
    """Give a text of a BYTES tensor; what is not UTF-8 in it can't be a label either."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def values_of(answers: np.ndarray) -> list[Value]:
    """Give answers as Python's own values, texts as `str`."""
    values: Sequence[Value | bytes] = answers.ravel().tolist()
    return [as_text(value) if isinstance(value, bytes) else value for value in values]


def _form(answers: np.ndarray) -> int:
    kind, width = answers.dtype.kind, answers.dtype.itemsize
    if kind == "f":
        return FLOAT32 if width <= 4 else FLOAT64
    if kind == "b":
        return INT8
    if kind == "u" and width == 8 and answers.max(initial=0) >= 2**63:
        return UINT64
    low, high = int(answers.min(initial=0)), int(answers.max(initial=0))
    bits = max(high.bit_length(), (~low).bit_length()) + 1
    return next(form for form, most in _INTEGERS if bits <= most)


def _pack_text(answers: Sequence[str | bytes], most: int) -> tuple[int, bytes] | None:
    if len(answers) > most:
        return None
    places: dict[bytes, int] = {}
    rows = bytearray()
    size = 1 + len(answers)
    for answer in answers:
        text = answer.encode(errors="replace") if isinstance(answer, str) else bytes(answer)
        place = places.get(text)
        if place is None:
            size += 1 + len(text)
            if len(places) == _MOST_TEXT or len(text) > _MOST_TEXT or size > most:
                return None
            place = places[text] = len(places)
        rows.append(place)
    table = b"".join(struct.pack("B", len(text)) + text for text in places)
    return TEXT, struct.pack("B", len(places)) + table + bytes(rows)


def _unpack_text(content: bytes) -> list[Value]:
    texts: list[str] = []
    at = 1
    for _ in range(content[0] if content else 0):
        end = at + 1 + content[at]
        texts.append(as_text(content[at + 1 : end]))
        at = end
    return [texts[place] for place in content[at:]]
