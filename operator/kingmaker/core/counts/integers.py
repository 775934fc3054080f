"""Whole numbers in arrays, and as a short text for storage."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

MOST: Final = 2**19
"""Most numbers that are read: more than the cells that a baseline of 4 MiB can name."""


def pack_numbers(numbers: NDArray[np.int64]) -> str:
    """Give a short text of numbers in one row.

    Equal bytes of neighbouring numbers are put together first: their upper bytes are alike, and compress well.
    """
    planes = numbers.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()
    return base64.b64encode(zlib.compress(planes)).decode()


def unpack_numbers(text: str) -> NDArray[np.int64]:
    """Read what `pack_numbers` gave.

    Raises:
        ValueError: It is something else, or too large.
    """
    try:
        reader = zlib.decompressobj()
        planes = reader.decompress(base64.b64decode(text, validate=True), 8 * MOST)
    except (binascii.Error, zlib.error) as error:
        message = f"no packed counts: {error}"
        raise ValueError(message) from error
    if not reader.eof or len(planes) % 8 or not planes:
        message = "no packed counts: truncated, or too many"
        raise ValueError(message)
    return np.frombuffer(planes, dtype=np.uint8).reshape(8, -1).T.copy().view("<i8").ravel().astype(np.int64)


class Packed(Protocol):
    """What is stored as a short text."""

    def pack(self) -> str:
        """Give the text."""


def stored_as_text(read: Callable[[object], Packed]) -> CoreSchema:
    """Say to pydantic how a value is stored: as the text of its `pack`.

    Args:
        read: Takes the value itself, or what was stored; raises ValueError or TypeError for anything else.
    """
    return core_schema.no_info_plain_validator_function(
        read, serialization=core_schema.plain_serializer_function_ser_schema(lambda packed: packed.pack())
    )


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """An array of whole numbers that is never written to, equal to another one of the same shape and numbers."""

    array: NDArray[np.int64]

    @classmethod
    def zeros(cls, *shape: int) -> Self:
        """Nothing, in that shape."""
        return cls(np.zeros(shape, dtype=np.int64))

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Integers):
            return NotImplemented
        return self is other or np.array_equal(self.array, other.array)

    @override
    def __hash__(self) -> int:
        return hash(self.array.shape)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        """Stored as text: the shape, then the numbers."""
        del source, handler
        return stored_as_text(cls._read)

    @classmethod
    def _read(cls, stored: object) -> Self:
        if isinstance(stored, cls):
            return stored
        if not isinstance(stored, str):
            message = "expected packed numbers"
            raise TypeError(message)
        numbers = unpack_numbers(stored)
        axes = int(numbers[0])
        shape, rest = numbers[1 : 1 + axes].tolist(), numbers[1 + axes :]
        if axes < 0 or min(shape, default=0) < 0 or int(np.prod(shape, dtype=np.int64)) != len(rest):
            message = "packed numbers do not fit their shape"
            raise ValueError(message)
        # Small numbers of either sign have small codes.
        return cls(((rest >> 1) ^ -(rest & 1)).reshape(shape))

    def pack(self) -> str:
        """Give a short text for storage."""
        flat = self.array.ravel()
        coded = (flat << 1) ^ (flat >> 63)
        return pack_numbers(np.concatenate(([self.array.ndim, *self.array.shape], coded)).astype(np.int64))
