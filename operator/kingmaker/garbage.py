"""When Python looks for garbage in cycles: seldom, and never twice among what stays.

What is known of a cluster is millions of small objects. By default the collector goes through all of them again and
again, and nothing else happens meanwhile: half a second at 1,000 ModelDeployments. Bodies, counts and plans hold no
cycles, so they are freed as soon as nobody refers to them; cycles come from tasks and exceptions alone, and are young.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_YOUNG: Final = 20_000
"""Objects made beyond those freed from which on the youngest are looked through: some milliseconds."""

_MIDDLE: Final = 20
_EVERY: Final = 60.0
"""Seconds between two complete collections, of what came since the one before."""


def postpone() -> None:
    """Collect the young alone from now on, until somebody calls `settle`."""
    gc.set_threshold(_YOUNG, _MIDDLE, 1_000_000)


def settle() -> None:
    """Take it that what is there stays: no collection looks at it again."""
    gc.freeze()


async def collect() -> None:
    """Collect what came new now and then, for ever."""
    while True:
        await asyncio.sleep(_EVERY)
        gc.collect()
        settle()
