"""BF16, of which numpy has no type: the upper half of an FP32, held as `uint16`."""

from typing import Final

import numpy as np

_SHIFT: Final = np.uint32(16)
_QUIET: Final = np.uint16(0x7FC0)
"""A NaN. Rounding the bits of one could carry them over into an infinity."""


def to_float32(bits: np.ndarray) -> np.ndarray:
    """Read BF16 bits as numbers; exact.

    Args:
        bits: `uint16`, any shape.
    """
    return (bits.astype(np.uint32) << _SHIFT).view(np.float32)


def from_float32(numbers: np.ndarray) -> np.ndarray:
    """Round numbers to BF16, the nearest one, of two equally near the even one.

    Args:
        numbers: `float32`, any shape.

    Returns:
        Their bits, `uint16`, same shape.
    """
    wide = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    lowest_kept = (wide >> _SHIFT) & np.uint32(1)
    with np.errstate(over="ignore"):
        rounded = ((wide + np.uint32(0x7FFF) + lowest_kept) >> _SHIFT).astype(np.uint16)
    return np.where(np.isnan(numbers), _QUIET, rounded).reshape(np.shape(numbers))
