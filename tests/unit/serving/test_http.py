"""Bodies within bounds, and work within bounds."""

import asyncio
import gzip
import threading
from collections.abc import MutableMapping
from typing import Any

import pytest

from kingmaker_serving.engine.runner import Runner
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import Stop
from kingmaker_serving.server.http import Bodies, DisconnectedError


def receiving(*parts: bytes, stall: bool = False) -> Any:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if not stall:
        messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> MutableMapping[str, Any]:
        if messages:
            return messages.pop(0)
        return await asyncio.get_running_loop().create_future()

    return receive


async def read(*parts: bytes, limit: int = 100, seconds: float = 5, stall: bool = False, **headers: str) -> bytes:
    named = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    return await Bodies(max_bytes=limit, seconds=seconds).read(named, receiving(*parts, stall=stall))


async def test_a_body_in_parts_is_put_together() -> None:
    assert await read(b"ab", b"", b"c", content_type="application/json; charset=utf-8") == b"abc"


async def test_a_packed_body_is_unpacked() -> None:
    assert await read(gzip.compress(b"hello"), content_encoding="gzip") == b"hello"


@pytest.mark.parametrize(
    ("parts", "headers", "code"),
    [
        ([b"x" * 101], {}, ErrorCode.TOO_LARGE),
        ([b"x" * 60, b"x" * 60], {}, ErrorCode.TOO_LARGE),
        ([], {"content_length": "101"}, ErrorCode.TOO_LARGE),
        ([gzip.compress(bytes(10**6))[:90]], {"content_encoding": "gzip"}, ErrorCode.TOO_LARGE),
        ([gzip.compress(b"hello")[:-3]], {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        ([gzip.compress(b"hello") + b"more"], {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        ([b"hello"], {"content_encoding": "gzip"}, ErrorCode.INVALID_REQUEST),
        ([b"hello"], {"content_encoding": "br"}, ErrorCode.UNSUPPORTED_MEDIA),
        ([b"hello"], {"content_type": "text/plain"}, ErrorCode.UNSUPPORTED_MEDIA),
        ([b"hello"], {"inference_header_content_length": "3"}, ErrorCode.UNSUPPORTED_MEDIA),
    ],
)
async def test_a_body_out_of_bounds_is_refused(parts: list[bytes], headers: dict[str, str], code: ErrorCode) -> None:
    with pytest.raises(ServingError) as caught:
        await read(*parts, **headers)
    assert caught.value.code is code


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(ServingError) as caught:
        await read(b"half", stall=True, seconds=0.01)
    assert caught.value.code is ErrorCode.SLOW_BODY


async def test_all_bodies_together_are_bounded_and_given_back() -> None:
    bodies = Bodies(max_bytes=10, seconds=5)
    slow = [asyncio.ensure_future(bodies.read({}, receiving(b"x" * 10, stall=True))) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(ServingError) as caught:
        await bodies.read({}, receiving(b"x"))
    assert caught.value.code is ErrorCode.OVERLOADED
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await bodies.read({}, receiving(b"x")) == b"x"


async def test_a_client_that_goes_away_ends_its_request() -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(DisconnectedError):
        await Bodies(max_bytes=10, seconds=5).read({}, receive)


async def test_work_beyond_the_queue_is_refused_at_once() -> None:
    runner = Runner(workers=1, queue=1)
    go = threading.Event()
    try:
        busy = [asyncio.ensure_future(runner.run(lambda _: go.wait(10), seconds=10)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (runner.taken, runner.waiting) == (2, 1)
        with pytest.raises(ServingError) as caught:
            await runner.run(lambda _: True, seconds=10)
        assert caught.value.code is ErrorCode.OVERLOADED
        go.set()
        assert await asyncio.gather(*busy) == [True, True]
        assert await runner.run(lambda _: 5, seconds=10) == 5
    finally:
        go.set()
        runner.close()


async def test_time_that_is_up_tells_the_worker() -> None:
    runner = Runner(workers=1, queue=1)

    def work(stop: Stop) -> bool:
        return stop._asked.wait(10)

    try:
        assert await runner.run(work, seconds=0.02)
    finally:
        runner.close()


async def test_cancelled_work_gives_its_place_back() -> None:
    runner = Runner(workers=1, queue=0)
    task = asyncio.ensure_future(runner.run(lambda stop: stop._asked.wait(10), seconds=10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runner.taken == 0
    runner.close()
