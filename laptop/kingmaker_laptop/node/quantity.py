"""Kubernetes quantities (`500m`, `2Gi`) as exact numbers."""

import math
from decimal import Decimal, InvalidOperation

_SUFFIXES = {
    "": Decimal(1),
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}


def parse_quantity(text: str) -> Decimal:
    """Read a quantity.

    >>> parse_quantity("1.5Gi") == 1.5 * 1024**3
    True
    """
    number = text.rstrip("KMGTPEkmuni")
    suffix = text[len(number) :]
    try:
        return Decimal(number) * _SUFFIXES[suffix]
    except (KeyError, InvalidOperation):
        raise ValueError(
            f"quantity {text!r}: expected a number with one of the suffixes m k M G T P E Ki Mi Gi Ti"
        ) from None


def divide_quantity(text: str, divisor: str) -> str:
    """Count how many `divisor` the quantity is, rounded up, as `resourceFieldRef` does.

    >>> divide_quantity("1500m", "1"), divide_quantity("1500m", "1m"), divide_quantity("1Gi", "1Mi")
    ('2', '1500', '1024')
    """
    unit = parse_quantity(divisor) if divisor not in {"", "0"} else Decimal(1)
    return str(math.ceil(parse_quantity(text) / unit))
