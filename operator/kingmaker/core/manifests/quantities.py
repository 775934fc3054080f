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
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is no quantity such as 500m, 2 or 1Gi")
    number, suffix = Decimal(form[1]), form[2] or ""
    if suffix in _BINARY[1:]:
        return _binary(number * 1024 ** _BINARY.index(suffix))
    if suffix in _DECIMAL:
        mantissa, exponent = _reduced(number.scaleb(_DECIMAL[suffix]))
        return str(mantissa) + next(name for name, power in _DECIMAL.items() if power == exponent)
    mantissa, exponent = _reduced(number.scaleb(int(suffix[1:])))
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)


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
