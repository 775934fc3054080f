"""Amounts as the API server writes them back: without that, what was applied would never equal what is wanted."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

_FORM: Final = re.compile(r"([+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def canonical_quantity(text: str) -> str:
    """Write a quantity as Kubernetes does: no fraction, the largest suffix that needs none, the kind of suffix kept.

    >>> [canonical_quantity(q) for q in ("0.5", "1000m", "1.5Gi", "1024Mi", "5e3")]
    ['500m', '1', '1536Mi', '1Gi', '5e3']

    Raises:
        ValueError: `text` is no quantity.
    """
    number, suffix = _parts(text)
    if suffix in _BINARY[1:]:
        return _binary(_value(text))
    if suffix in _DECIMAL:
        mantissa, exponent = _reduced(_value(text))
        return str(mantissa) + next(name for name, power in _DECIMAL.items() if power == exponent)
    mantissa, exponent = _reduced(number.scaleb(int(suffix[1:])))
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)


def add_quantities(*texts: str) -> str:
    """Add amounts, written as Kubernetes does; with a binary suffix when the first has one.

    >>> add_quantities("10Gi", "512Mi", "1Gi")
    '11776Mi'

    Raises:
        ValueError: One of them is no quantity.
    """
    total = sum(_value(text) for text in texts)
    if texts[0].endswith("i"):
        return _binary(Decimal(total))
    return canonical_quantity(f"{total:f}")


def _value(text: str) -> Decimal:
    number, suffix = _parts(text)
    if suffix in _BINARY[1:]:
        return number * Decimal(1024) ** _BINARY.index(suffix)
    return number.scaleb(_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))


def _parts(text: str) -> tuple[Decimal, str]:
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is no quantity such as 500m, 2 or 1Gi")
    return Decimal(form[1]), form[2] or ""


def _binary(value: Decimal) -> str:
    rounded = int(value.to_integral_value(ROUND_CEILING))
    if abs(rounded) < 1024:
        return canonical_quantity(str(rounded))
    power = 0
    while rounded % 1024 == 0 and power < len(_BINARY) - 1:
        rounded, power = rounded // 1024, power + 1
    return f"{rounded}{_BINARY[power]}"


def _reduced(value: Decimal) -> tuple[int, int]:
    mantissa, exponent = int(value.scaleb(9).to_integral_value(ROUND_CEILING)), -9
    while mantissa % 1000 == 0 and mantissa and exponent < 18:
        mantissa, exponent = mantissa // 1000, exponent + 3
    return mantissa, exponent if mantissa else 0
