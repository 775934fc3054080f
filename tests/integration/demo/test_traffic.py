"""The load generator as a process, against a small server: rate, labels, worlds, failures, and that it ends."""

import asyncio
import contextlib
import csv
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kingmaker_laptop.demo.client import Traffic, generator_arguments
from kingmaker_laptop.demo.population import World

RATE = 100.0
NAMES = ("mean radius", "mean texture", "worst radius")


@dataclass
class Server:
    """Answers as the protocol says, unless `spoil` changes the reply; remembers what it was asked."""

    url: str = ""
    spoil: Callable[[dict[str, Any]], web.Response | None] = lambda _: None
    rows: list[list[float]] = field(default_factory=list)
    labels: dict[str, list[int]] = field(default_factory=dict)
    open_requests: dict[str, int] = field(default_factory=dict)
    put_off: set[str] = field(default_factory=set)
    numbers: Any = field(default_factory=itertools.count)

    async def infer(self, request: web.Request) -> web.Response:
        body = await request.json()
        (tensor,) = body["inputs"]
        count, width = tensor["shape"]
        self.rows += [tensor["data"][i * width : (i + 1) * width] for i in range(count)]
        label = {"name": "label", "shape": [count], "datatype": "INT64", "data": [0] * count}
        scores = {"name": "probabilities", "shape": [count, 2], "datatype": "FP32", "data": [0.5] * 2 * count}
        reply = {"model_name": "m", "model_version": "m-1", "outputs": [label, scores]}
        spoiled = self.spoil(reply)
        if spoiled is not None:
            return spoiled
        token = f"r{next(self.numbers)}"
        self.open_requests[token] = count
        return web.json_response(reply, headers={"kingmaker-model": "m-1", "kingmaker-request-id": token})

    async def feedback(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["id"] not in self.put_off:
            self.put_off.add(body["id"])
            return web.json_response({"error": "not yet"}, status=503, headers={"retry-after": "1"})
        self.labels[body["id"]] = body["labels"]
        return web.json_response({"matched": len(body["labels"])})


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application()
    application.router.add_post("/v2/models/m/infer", server.infer)
    application.router.add_post("/v2/models/m/feedback", server.feedback)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def generating(server: Server, folder: Path) -> AsyncIterator[Traffic]:
    for name, label in (("recorded", 0), ("judged", 1)):
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            rows = [[10.0 + i, 1.0 + i, 20.0 + 5 * i, label] for i in range(5)]
            csv.writer(stream).writerows([[*NAMES, "malignant"], *rows])
    log = folder / "traffic.log"
    fresh = folder / "fresh.csv"
    arguments = generator_arguments(url=server.url, model="m", rate=RATE, rows=folder, fresh=fresh)
    traffic = await Traffic.start((sys.executable, *arguments), log=log)
    try:
        yield traffic
        await traffic.stop()
        assert log.read_text() == ""
    finally:
        traffic.kill()


async def reached(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def test_it_asks_at_its_rate_and_every_request_is_accounted_for(tmp_path: Path) -> None:
    async with served() as server, generating(server, tmp_path) as traffic:
        await reached(lambda: traffic.report["sent"] > 50)
        began, sent = time.monotonic(), traffic.report["sent"]
        await reached(lambda: traffic.report["sent"] >= sent + 3 * RATE)
        rate = (traffic.report["sent"] - sent) / (time.monotonic() - began)
        last = await traffic.stop()
    assert 0.8 * RATE < rate < 1.3 * RATE
    assert last["sent"] == last["answered"]
    assert last["failed"] == 0
    assert last["byModel"] == {"m-1": last["answered"]}


async def test_labels_arrive_late_for_judged_rows_and_recorded_ones_are_written_down(tmp_path: Path) -> None:
    async with served() as server, generating(server, tmp_path) as traffic:
        await reached(lambda: traffic.report["labelsPosted"] >= 50)
        fresh = tmp_path / "fresh.csv"
        await reached(lambda: fresh.exists() and len(fresh.read_text().splitlines()) > 50)
        last = await traffic.stop()
        assert all(len(labels) == server.open_requests[token] for token, labels in server.labels.items())
        assert {label for labels in server.labels.values() for label in labels} == {1}
    lines = list(csv.DictReader(fresh.read_text().splitlines()))
    assert {line["malignant"] for line in lines} == {"0"}
    assert all(abs(float(line["arrived"]) - time.time()) < 120 for line in lines)
    assert last["labelFailures"] == {}
    assert last["wrongRows"]["m-1"] == last["labelledRows"]["m-1"] > 0


async def test_the_world_changes_on_command(tmp_path: Path) -> None:
    async with served() as server, generating(server, tmp_path) as traffic:
        await reached(lambda: len(server.rows) > 20)
        assert max(row[0] for row in server.rows) < 100
        await traffic.change_world(World.BROKEN_UNIT)
        await reached(lambda: server.rows[-1][0] > 1000)
        await traffic.change_world(World.NORMAL)
        await reached(lambda: server.rows[-1][0] < 100)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: web.json_response({"error": "busy"}, status=503), "503"),
        (web.json_response, "wrong answer"),
        (lambda _: web.Response(text="not json"), "wrong answer"),
        (
            lambda reply: web.json_response(reply | {"outputs": []}, headers={"kingmaker-model": "m-1"}),
            "wrong answer",
        ),
    ],
    ids=["503", "no header", "not JSON", "no outputs"],
)
async def test_each_failed_or_wrong_answer_counts(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], web.Response], reason: str
) -> None:
    async with served() as server, generating(server, tmp_path) as traffic:
        server.spoil = spoil
        await reached(lambda: traffic.report["failed"] >= 20)
        last = await traffic.stop()
    assert any(found.startswith(reason) for found in last["failures"])
    assert last["sent"] == last["answered"] + last["failed"]


async def test_a_server_that_is_gone_fails_requests_and_does_not_end_the_generator(tmp_path: Path) -> None:
    nowhere = Server(url="http://127.0.0.1:9")
    async with generating(nowhere, tmp_path) as traffic:
        await reached(lambda: traffic.report["failed"] >= 50)
        traffic.check()
        last = await traffic.stop()
    assert last["failed"] == last["sent"]


async def test_it_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    async with served() as server, generating(server, tmp_path) as traffic:
        await reached(lambda: traffic.report["sent"] > 10)
        # What the end of the parent does: its end of the pipe closes.
        async with asyncio.timeout(10):
            await traffic.stop()
        with pytest.raises(Exception, match="the load generator ended with 0"):
            traffic.check()
