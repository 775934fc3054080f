"""While nobody answers, one key tries for all: seldom, in turn, and the first answer is everybody's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kingmaker.adapters.clock import SystemClock
from kingmaker.kube.errors import ApiError, ConflictError, RefusedError, unreachable
from kingmaker.loop import Loop
from kingmaker.ports import Key

KEYS = [Key("ModelDeployment", "ns", f"d{number}") for number in range(200)]
AWAY = unreachable("GET http://api", ConnectionRefusedError())


class Server:
    """Runs that fail with what is said of their key, and how often each was tried."""

    def __init__(self) -> None:
        self.errors: dict[Key, ApiError] = dict.fromkeys(KEYS, AWAY)
        self.tried: Counter[Key] = Counter()

    async def __call__(self, key: Key) -> None:
        self.tried[key] += 1
        if error := self.errors.get(key):
            raise error


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Tries come a hundred times as often as they do."""
    monkeypatch.setattr("kingmaker.outage._FIRST", 0.005)
    monkeypatch.setattr("kingmaker.outage._LONGEST", 0.04)
    return Server()


@asynccontextmanager
async def running(server: Server, keys: list[Key]) -> AsyncIterator[Loop]:
    """Everybody was tried once."""
    loop = Loop(server, SystemClock())
    for key in keys:
        loop.add(key)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(loop.run())
        await until(lambda: len(server.tried) == len(keys))
        yield loop
        task.cancel()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_one_tries_for_all_ever_later_and_in_turn(server: Server) -> None:
    async with running(server, KEYS):
        clock = asyncio.get_running_loop().time
        began = clock()
        await until(lambda: server.tried.total() == len(KEYS) + 10)
        # 5, 10, 20, then 40 ms each, less a quarter.
        assert clock() - began > 0.75 * 0.315
        assert max(server.tried.values()) == 2


async def test_the_first_answer_is_everybodys(server: Server) -> None:
    async with running(server, KEYS) as loop:
        await until(lambda: server.tried.total() == len(KEYS) + 3)
        before = server.tried.copy()
        server.errors.clear()
        await until(lambda: all(server.tried[key] > before[key] for key in KEYS))
        assert loop.depth == 0


@pytest.mark.parametrize("error", [ConflictError("changed", status=409), RefusedError("quota", status=403)])
async def test_a_refusal_is_an_answer(server: Server, error: ApiError) -> None:
    async with running(server, KEYS[:5]):
        server.errors = {KEYS[0]: error}
        await until(lambda: all(server.tried[key] > 1 for key in KEYS[:5]))


async def test_one_that_is_never_answered_keeps_nobody_else(server: Server) -> None:
    async with running(server, KEYS):
        server.errors = {KEYS[0]: AWAY}
        await until(lambda: all(server.tried[key] > 1 for key in KEYS[1:]))
        before = server.tried[KEYS[0]]
        await until(lambda: server.tried[KEYS[0]] > before + 2)
        del server.errors[KEYS[0]]
        before = server.tried[KEYS[0]]
        await until(lambda: server.tried[KEYS[0]] > before)


async def test_news_of_one_that_waits_are_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kingmaker.outage._FIRST", 3600.0)
    monkeypatch.setattr("kingmaker.outage._LONGEST", 3600.0)
    async with running(server, KEYS) as loop:
        loop.add(KEYS[7])
        await until(lambda: server.tried[KEYS[7]] == 2)
        assert server.tried.total() == len(KEYS) + 1
        server.errors.clear()
        loop.add(KEYS[7])
        await until(lambda: all(server.tried[key] > 1 for key in KEYS))
