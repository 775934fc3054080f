"""The queue of reconciles: what is asked for is done, once, one at a time, and one broken key hurts no other."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from kingmaker.adapters.clock import SystemClock
from kingmaker.loop import WORKERS, Loop, Reconcile
from kingmaker.ports import ClusterError, ConflictError, Key

CLOCK = SystemClock()
A, B = Key("ModelDeployment", "ns", "a"), Key("ModelDeployment", "ns", "b")


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[None]:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(loop.run())
        yield
        task.cancel()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def settle() -> None:
    """Let everything happen that waits for no time."""
    for _ in range(50):
        await asyncio.sleep(0)


class Runs:
    """Reconciles that end when they are let, and what is known of them."""

    def __init__(self) -> None:
        self.began: list[Key] = []
        self.now: Counter[Key] = Counter()
        self.most: Counter[Key] = Counter()
        self.most_at_once = 0
        self.gate = asyncio.Event()

    async def __call__(self, key: Key) -> None:
        self.began.append(key)
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        self.most_at_once = max(self.most_at_once, self.now.total())
        await self.gate.wait()
        self.now[key] -= 1


async def test_what_is_asked_for_twice_before_it_begins_is_done_once() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    for _ in range(5):
        loop.add(A)
    assert loop.depth == 1
    runs.gate.set()
    async with running(loop):
        await settle()
    assert runs.began == [A]
    assert loop.depth == 0


async def test_what_is_asked_for_meanwhile_is_done_once_more_afterwards() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: runs.began)
        for _ in range(5):
            loop.add(A)
        await settle()
        assert runs.began == [A]
        runs.gate.set()
        await settle()
    assert runs.began == [A, A]
    assert runs.most[A] == 1


async def test_one_that_hangs_keeps_no_other_waiting() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: runs.began)
        loop.add(B)
        await until(lambda: B in runs.began)


async def test_who_has_least_patience_goes_first() -> None:
    runs = Runs()
    runs.gate.set()
    late = Key("Model", "ns", "late")
    loop = Loop(runs, CLOCK, patience={A: 60.0, B: 0.0, late: 59.0}.__getitem__)
    for key in (A, B, late):
        loop.add(key)
    async with running(loop):
        await until(lambda: len(runs.began) == 3)
    assert runs.began == [B, late, A]


async def test_who_waited_as_long_as_its_patience_lasts_goes_before_who_comes_now() -> None:
    runs = Runs()
    runs.gate.set()
    patience = {A: 0.01, B: 0.0}
    loop = Loop(runs, CLOCK, patience=patience.__getitem__)
    loop.add(A)
    began = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > began + 2 * patience[A])
    loop.add(B)
    async with running(loop):
        await until(lambda: len(runs.began) == 2)
    assert runs.began == [A, B]


async def test_no_more_run_at_once_than_there_are_workers() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    keys = [Key("Model", "ns", f"m{number}") for number in range(WORKERS + 10)]
    async with running(loop):
        for key in keys:
            loop.add(key)
        await settle()
        assert len(runs.began) == WORKERS
        runs.gate.set()
        await until(lambda: len(runs.began) == len(keys))
    assert runs.most_at_once == WORKERS


def failing(times: int, error: Exception) -> tuple[list[float], Reconcile]:
    """A reconcile of A that fails so many times, and when it was tried."""
    tried: list[float] = []

    async def reconcile(key: Key) -> None:
        if key == A:
            tried.append(asyncio.get_running_loop().time())
            if len(tried) <= times:
                raise error

    return tried, reconcile


@pytest.mark.parametrize("error", [ClusterError("away"), ValueError("a bug")], ids=["cluster", "bug"])
async def test_one_that_fails_is_tried_again_ever_later_and_stops_nobody(error: Exception) -> None:
    tried, reconcile = failing(2, error)
    told: list[tuple[Key, BaseException | None]] = []
    loop = Loop(reconcile, CLOCK, observe=lambda key, _, error: told.append((key, error)))
    async with running(loop):
        loop.add(A)
        await until(lambda: tried)
        loop.add(B)
        await until(lambda: (B, None) in told)
        assert len(tried) == 1
        await until(lambda: (A, None) in told)
    first, second = tried[1] - tried[0], tried[2] - tried[1]
    # Half a second, doubled, less a quarter at most.
    assert first > 0.37
    assert second > 0.74
    assert [error for key, error in told if key == A] == [error, error, None]


async def test_a_success_ends_what_earlier_failures_cost() -> None:
    tried: list[float] = []

    async def reconcile(_: Key) -> None:
        tried.append(asyncio.get_running_loop().time())
        if len(tried) in {1, 2, 4}:
            raise ClusterError("away")

    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: len(tried) == 3)
        await settle()
        loop.add(A)
        await until(lambda: len(tried) == 5)
    # A third failure in a row would have cost 1.5 s at least.
    assert tried[4] - tried[3] < 1.5


async def test_a_conflict_is_read_anew_at_once() -> None:
    tried, reconcile = failing(3, ConflictError("somebody was faster"))
    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: len(tried) == 4)
    assert all(later - earlier > 0.1 for earlier, later in itertools.pairwise(tried))


async def test_a_conflict_that_stays_is_tried_ever_later() -> None:
    tried, reconcile = failing(5, ConflictError("the name is taken"))
    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: len(tried) == 5)
    # 0.2 s, doubled three times, less a quarter at most.
    assert tried[4] - tried[3] > 1.1


async def test_an_event_does_not_wait_for_the_next_try_and_replaces_it() -> None:
    tried: Counter[Key] = Counter()

    async def reconcile(key: Key) -> None:
        tried[key] += 1
        if tried[key] <= {A: 1, B: 2}[key]:
            raise ClusterError("away")

    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: tried[A])
        await settle()
        loop.add(A)
        loop.add(B)
        await settle()
        assert tried[A] == 2
        # The second delay of B is over after the first one of A.
        await until(lambda: tried[B] == 3)
    assert tried[A] == 2


@pytest.mark.parametrize("seconds", [-5.0, 0.05])
async def test_it_looks_again_when_it_said(seconds: float) -> None:
    began: list[datetime] = []

    async def reconcile(_: Key) -> datetime | None:
        began.append(CLOCK.now())
        return began[0] + timedelta(seconds=seconds) if len(began) == 1 else None

    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: len(began) == 2)
        await settle()
    assert len(began) == 2
    assert began[1] - began[0] > timedelta(seconds=max(0.0, seconds) - 0.02)


async def test_one_that_takes_too_long_is_ended_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kingmaker.loop._TIMEOUT", 0.05)
    ended: list[BaseException | None] = []
    runs = Runs()
    loop = Loop(runs, CLOCK, observe=lambda *told: ended.append(told[2]))
    async with running(loop):
        loop.add(A)
        await until(lambda: len(runs.began) == 2)
    assert isinstance(ended[0], TimeoutError)


async def test_what_is_told_several_times_in_a_moment_is_done_once_and_soon() -> None:
    runs = Runs()
    runs.gate.set()
    loop = Loop(runs, CLOCK)
    async with running(loop):
        for _ in range(5):
            loop.add_soon(A)
            await settle()
        assert runs.began == []
        await until(lambda: runs.began)
        await settle()
        assert runs.began == [A]
        # Who asks for it at once, gets it at once, and once.
        loop.add_soon(A)
        loop.add(A)
        await settle()
        assert runs.began == [A, A]
        loop.add_soon(B)
        await until(lambda: B in runs.began)
    assert runs.began == [A, A, B]


async def test_what_is_told_of_one_that_runs_is_done_afterwards() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: runs.began)
        loop.add_soon(A)
        runs.gate.set()
        await until(lambda: len(runs.began) == 2)


async def test_a_look_that_is_due_later_does_not_hold_up_what_is_told() -> None:
    runs = 0

    async def reconcile(_: Key) -> datetime:
        nonlocal runs
        runs += 1
        return CLOCK.now() + timedelta(hours=1)

    loop = Loop(reconcile, CLOCK)
    async with running(loop):
        loop.add(A)
        await until(lambda: runs == 1)
        await settle()
        loop.add_soon(A)
        await until(lambda: runs == 2)


async def test_it_is_drained_when_nobody_waits_and_nobody_runs() -> None:
    runs = Runs()
    loop = Loop(runs, CLOCK)
    loop.add(A)
    async with running(loop):
        drained = asyncio.ensure_future(loop.drained())
        await until(lambda: runs.began)
        await settle()
        assert not drained.done()
        runs.gate.set()
        await drained
