"""Asking pods for their counts over HTTP: all at once, bounded, and whoever does not answer is left out."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from kingmaker.adapters import profiles as module
from kingmaker.adapters.profiles import PodProfiles
from kingmaker.ports import PodAddress

Answer = Callable[[web.Request], Awaitable[web.Response]]
DOCUMENT = json.dumps(
    {
        "format": "kingmaker.dev/baseline/v1",
        "rows": 4,
        "features": [{"name": "plan", "kind": "Categorical", "cells": [{"name": "c0", "value": "x", "count": 4}]}],
    }
).encode()
DIGEST = f"sha256:{hashlib.sha256(DOCUMENT).hexdigest()}"


def a_pod(number: int) -> PodAddress:
    return PodAddress(f"uid-{number}", f"127.0.9.{number}", f"pod-{number}")


def an_exposition(pod: str, *samples: str) -> bytes:
    labels = f'model="a",model_digest="sha256:a",baseline_digest="{DIGEST}",pod="{pod}"'
    lines = (f"info{{{labels}}} 1", "start_time_seconds 1700000000.000", *samples)
    return "".join(f"kingmaker_profile_{line}\n" for line in lines).encode()


@asynccontextmanager
async def serving(**answers: Answer) -> AsyncIterator[None]:
    """Pods answer by their number: `pod_1` is the pod at 127.0.9.1."""
    runners = []
    for name, answer in answers.items():
        app = web.Application()
        app.router.add_get("/{path}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, a_pod(int(name.removeprefix("pod_"))).ip, module.PORT).start()
        runners.append(runner)
    try:
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


def gives(body: bytes, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    return answer


async def never(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")


@pytest.fixture
async def profiles() -> AsyncIterator[PodProfiles]:
    async with aiohttp.ClientSession() as session:
        yield PodProfiles(session)


async def test_every_pod_that_answers_in_time_is_read(profiles: PodProfiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.5)
    rows = 'rows_total{decision="1"} 7'
    answers = {"pod_1": gives(an_exposition("pod-1", rows)), "pod_2": never, "pod_3": gives(b"no", status=500)}
    async with serving(**answers):
        found = await profiles.scrape([a_pod(n) for n in (1, 2, 3, 4)], {})
    assert [(counts.pod_uid, counts.by_decision[1].arm.rows) for counts in found] == [("uid-1", 7)]
    assert set(profiles.dropped.values()) == {0}


async def test_what_was_dropped_is_counted_by_reason(profiles: PodProfiles) -> None:
    hostile = ('requests_total{decision="1",outcome="exploded"} 1', "secrets_total 1", 'rows_total{decision="1"} NaN')
    answers = {"pod_1": gives(an_exposition("pod-1", *hostile)), "pod_2": gives(an_exposition("pod-1"))}
    async with serving(**answers):
        found = await profiles.scrape([a_pod(1), a_pod(2)], {})
    assert [counts.pod_uid for counts in found] == ["uid-1"], "the second address belongs to the first pod by now"
    assert profiles.dropped == {"family": 1, "label": 1, "value": 1, "cell": 0, "limit": 0, "scrape": 1}


async def test_a_baseline_comes_from_whoever_gives_it_first(
    profiles: PodProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 30.0)
    answers = {"pod_1": never, "pod_2": gives(b"another document"), "pod_3": gives(DOCUMENT)}
    async with serving(**answers), asyncio.timeout(10):
        found = await profiles.baseline([a_pod(n) for n in (1, 2, 3)], DIGEST)
    assert found is not None
    assert [feature.name for feature in found.features] == ["plan"]


async def test_where_the_first_pod_gives_it_no_other_is_asked(profiles: PodProfiles) -> None:
    async def nobody(_: web.Request) -> web.Response:
        asked.append(2)
        return web.Response(body=DOCUMENT)

    asked: list[int] = []
    async with serving(pod_1=gives(DOCUMENT), pod_2=nobody):
        assert await profiles.baseline([a_pod(1), a_pod(2)], DIGEST) is not None
    assert asked == []


async def test_thirty_pods_that_do_not_answer_cost_no_more_than_two(
    profiles: PodProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.5)
    async with serving(**{f"pod_{n}": never for n in range(1, 31)}):
        began = asyncio.get_running_loop().time()
        assert await profiles.baseline([a_pod(n) for n in range(1, 31)], DIGEST) is None
        assert asyncio.get_running_loop().time() - began < 5, "one after the other had taken fifteen"


async def test_a_baseline_of_another_digest_is_not_taken(profiles: PodProfiles) -> None:
    async with serving(pod_1=gives(DOCUMENT + b" ")):
        assert await profiles.baseline([a_pod(1)], DIGEST) is None
