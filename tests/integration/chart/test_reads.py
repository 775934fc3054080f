"""What the operator asks of the API server while nothing changes: nothing, by the API server's own record."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.audit import Audit
from support.loop import Loop, equals, eventually, running_loop
from support.operatorprocess import sum_of

QUIET_SECONDS = 6
IDLE_SECONDS = 10


@pytest.mark.timeout(300)
async def test_looking_at_counts_reads_and_writes_nothing(audit: Audit, tmp_path: Path) -> None:
    """Counts are looked at every second here: each look is a pass."""
    async with running_loop(audit.plane, tmp_path) as loop:
        await loop.model("a", "a")
        await loop.seat()
        await eventually(lambda: equals(loop.traffic(), "100"), 120)
        await quiet(audit)
        before, passes = len(audit.events()), await counted(loop)
        await asyncio.sleep(IDLE_SECONDS)
        assert [told(event) for event in audit.events()[before:] if asks(event)] == []
        assert await counted(loop) - passes >= IDLE_SECONDS / 2


async def quiet(audit: Audit) -> None:
    """Wait until the operator has asked nothing for a while."""
    async with asyncio.timeout(120):
        while True:
            before = len(audit.events())
            await asyncio.sleep(QUIET_SECONDS)
            if not [event for event in audit.events()[before:] if asks(event)]:
                return


async def counted(loop: Loop) -> float:
    """Passes so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{loop.url}/metrics") as response:
        return sum_of(await response.text(), "kingmaker_reconcile_duration_seconds_count")


def asks(event: dict[str, Any]) -> bool:
    """Whether a request is neither a watch nor the Lease's renewal."""
    return event["verb"] != "watch" and event.get("objectRef", {}).get("resource") != "leases"


def told(event: dict[str, Any]) -> str:
    return f"{event['verb']} {event['requestURI']}"
