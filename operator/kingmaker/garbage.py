"""When Python looks for garbage in cycles: among what is young, and seldom among what stays.

What is known of a cluster is millions of small objects. By default the collector goes through all of them again and
again, and nothing else happens meanwhile: half a second at 1,000 ModelDeployments. Bodies, counts and plans hold no
cycles, so they are freed as soon as nobody refers to them; cycles come from tasks and exceptions, and end young.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_YOUNG: Final = 10_000
"""Objects made beyond those freed from which on the youngest are looked through: a millisecond or two."""
_MIDDLE: Final = 5
"""Times of that, after which what outlived them is looked through as well: ten milliseconds."""
_NEVER: Final = 1_000_000
_AT_FIRST: Final = 200_000
"""The first of these while everything is read: nearly all of what is made then stays."""

_EVERY: Final = 60.0
"""Seconds after which what is older is taken to stay."""
_ALL_AFTER: Final = 60
"""Times of that, after which everything is looked through once: nothing may grow for ever."""


def postpone() -> None:
    """Collect hardly anything until everything is read."""
    gc.set_threshold(_AT_FIRST, _MIDDLE, _NEVER)


def settle() -> None:
    """Take it that what is there stays: the collector leaves it alone, and looks at the young from now on."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)


async def collect() -> None:
    """Settle what came new now and then, and collect everything once in an hour, for ever."""
    while True:
        for _ in range(_ALL_AFTER):
            await asyncio.sleep(_EVERY)
            gc.collect(1)
            settle()
        gc.unfreeze()
        gc.collect()
        settle()
