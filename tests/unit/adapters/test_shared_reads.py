"""Readers share a read only if it began after they asked."""

import asyncio
from dataclasses import dataclass, field

import pytest

from kingmaker.adapters.sharedreads import SharedReads


@dataclass
class Source:
    """Counts reads; each waits until it is let go, then gives its number."""

    begun: int = 0
    gates: dict[int, asyncio.Event] = field(default_factory=dict)

    async def read(self) -> int:
        self.begun += 1
        number, gate = self.begun, asyncio.Event()
        self.gates[number] = gate
        await gate.wait()
        if number == 13:
            raise OSError("gone")
        return number


async def asked(shared: SharedReads, source: Source, what: str = "pods") -> "asyncio.Task[int]":
    """Ask, and let everything happen that can."""
    task = asyncio.create_task(shared.read(what, source.read))
    await settle()
    return task


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_during_a_read_gets_the_next_one_together() -> None:
    shared, source = SharedReads(), Source()
    first = await asked(shared, source)
    late = [await asked(shared, source) for _ in range(5)]
    assert source.begun == 1
    source.gates[1].set()
    assert await first == 1
    await settle()
    source.gates[2].set()
    assert [await task for task in late] == [2] * 5


async def test_different_things_do_not_wait_for_each_other() -> None:
    shared, source = SharedReads(), Source()
    await asked(shared, source, "pods")
    other = await asked(shared, source, "jobs")
    source.gates[2].set()
    assert await other == 2


async def test_a_reader_that_gives_up_leaves_the_others_their_read() -> None:
    shared, source = SharedReads(), Source()
    impatient = await asked(shared, source)
    impatient.cancel()
    patient = await asked(shared, source)
    source.gates[1].set()
    await settle()
    source.gates[2].set()
    assert await patient == 2


async def test_a_failure_reaches_all_and_is_not_kept() -> None:
    shared, source = SharedReads(), Source(begun=12)
    failing = await asked(shared, source)
    source.gates[13].set()
    with pytest.raises(OSError, match="gone"):
        await failing
    again = await asked(shared, source)
    source.gates[14].set()
    assert await again == 14
