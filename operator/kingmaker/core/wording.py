"""Figures in words, the same wherever people read them: e-values, lengths of time, percentages, splits of traffic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

_UNITS: Final = ((3600, "h"), (60, "m"))
_MILLION: Final = math.log(1e6)


def short_e_value(log_e: float) -> str:
    """Give an e-value from its natural logarithm. They span hundreds of decades: past a million the exponent says all.

    >>> short_e_value(math.log(20)), short_e_value(100.0)
    ('20', '1e43')
    """
    return f"1e{log_e / math.log(10):.0f}" if log_e > _MILLION else f"{math.exp(log_e):.3g}"


def percent(rate: float) -> str:
    """Give a rate of 0..1 as a percentage with one decimal.

    >>> percent(0.0512)
    '5.1%'
    """
    return f"{rate:.1%}"


def duration(length: timedelta) -> str:
    """Give a length of time as the API writes durations: in the greatest unit that it is a whole number of.

    >>> duration(timedelta(hours=24)), duration(timedelta(minutes=90)), duration(timedelta(seconds=20))
    ('24h', '90m', '20s')
    """
    seconds = length.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size and math.isclose(seconds % size, 0):
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def split(shares: Iterable[tuple[int, int]]) -> str:
    """Put a split of the traffic into a word.

    Args:
        shares: Percent of the answers and percent of the copies of each model, the champion first.

    >>> split([(95, 0), (5, 0)]), split([(100, 0), (0, 20)])
    ('95/5', '100+20s')
    """
    pairs = tuple(shares)
    answers = "/".join(str(weight) for weight, _ in pairs if weight)
    return answers + "".join(f"+{copies}s" for _, copies in pairs if copies)
