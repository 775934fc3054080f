"""Against a small HTTP server that speaks the query API of Prometheus."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from kingmaker.adapters import prometheus
from kingmaker.adapters.prometheus import PrometheusQueries
from kingmaker.core.observed import Answer, Question

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(handler: Handler, path: str = "") -> AsyncIterator[PrometheusQueries]:
    app = web.Application()
    app.router.add_post(f"{path}/api/v1/query", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield PrometheusQueries(session, {"": f"http://127.0.0.1:{port}{path}/", "gone": "http://127.0.0.1:9"})
    finally:
        await runner.cleanup()


def answering(data: object, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        form = await request.post()
        assert form["query"] == "up > 0"
        document = {"status": "success", "data": data} if status == 200 else data
        return web.json_response(document, status=status)

    return handler


def series(*values: str) -> dict[str, object]:
    return {
        "resultType": "vector",
        "result": [{"metric": {"n": str(n)}, "value": [1.5, v]} for n, v in enumerate(values)],
    }


UP = Question("", "up > 0")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (series("0.25"), Answer(0.25)),
        ({"resultType": "scalar", "result": [1.5, "-3e2"]}, Answer(-300.0)),
        (series(), Answer(None, "no series")),
        (series("1", "2"), Answer(None, "2 series, expected one")),
        (series("NaN"), Answer(None, "the result is not a finite number")),
        (series("+Inf"), Answer(None, "the result is not a finite number")),
        (
            {"resultType": "matrix", "result": []},
            Answer(None, "a result of type matrix, expected a scalar or a vector of one series"),
        ),
        ({"resultType": "scalar", "result": 7}, Answer(None, "a result that holds no number")),
        ({"resultType": "vector", "result": [3]}, Answer(None, "a result that holds no number")),
        (None, Answer(None, "a result of type None, expected a scalar or a vector of one series")),
    ],
)  # fmt: skip
async def test_one_number_is_taken_and_nothing_else(data: object, answer: Answer) -> None:
    async with asking(answering(data), "/base") as queries:
        assert await queries.ask(UP) == answer


async def test_errors_are_no_numbers() -> None:
    refused = {"status": "error", "errorType": "bad_data", "error": "parse error:  unexpected end"}
    async with asking(answering(refused, 400)) as queries:
        assert await queries.ask(UP) == Answer(None, "HTTP status 400: parse error: unexpected end")
        assert (await queries.ask(Question("gone", "x"))).problem.startswith("it can't be asked")
        assert (
            "knows no Prometheus named evil; it was started with: gone"
            in (await queries.ask(Question("evil", "x"))).problem
        )
    async with aiohttp.ClientSession() as session:
        none = PrometheusQueries(session, {"": ""})
        assert "no default Prometheus" in (await none.ask(UP)).problem


async def test_nobody_is_followed_elsewhere() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"location": "http://169.254.169.254/"})

    async with asking(elsewhere) as queries:
        assert await queries.ask(UP) == Answer(None, "HTTP status 307, and no result")


async def test_long_and_broken_answers_are_none() -> None:
    async def long(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps({"status": "success", "data": series("1"), "warnings": ["w" * 2**20]}))

    async def broken(request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async with asking(long) as queries:
        assert (await queries.ask(UP)).problem == "an answer of more than 1048576 bytes"
    async with asking(broken) as queries:
        assert (await queries.ask(UP)).problem == "HTTP status 200, and no result"


async def test_who_is_slow_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_SECONDS", 0.05)
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response()

    async with asking(slow) as queries:
        assert await queries.ask(UP) == Answer(None, "no answer within 0.05 s")
        gate.set()
