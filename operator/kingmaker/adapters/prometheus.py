"""A Prometheus, asked for single numbers by its HTTP API (`POST /api/v1/query`)."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from kingmaker.core.observed import Answer, Question

TIMEOUT_SECONDS: Final = 5.0
"""For one question. What takes longer has no answer this time."""
_LIMIT: Final = 2**20
_AT_ONCE: Final = 16
_MOST_WORDS: Final = 200


class PrometheusQueries:
    """Implements the port `Queries`. Only addresses that the operator was started with are ever asked."""

    def __init__(self, session: aiohttp.ClientSession, sources: Mapping[str, str]) -> None:
        """Take a session, and base URLs by name; that of the default one is empty. Redirects are never followed."""
        self._session = session
        self._sources = sources
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, question: Question) -> Answer:
        """Ask one question; whatever is wrong, the answer says so."""
        url = self._sources.get(question.source)
        if not url:
            return Answer(None, self._unknown(question.source))
        form = {"query": question.query, "timeout": f"{TIMEOUT_SECONDS:g}s"}
        try:
            async with self._slots, asyncio.timeout(TIMEOUT_SECONDS):
                request = self._session.post(f"{url.rstrip('/')}/api/v1/query", data=form, allow_redirects=False)
                async with request as response:
                    return _read(response.status, await _bounded(response))
        except TimeoutError:
            return Answer(None, f"no answer within {TIMEOUT_SECONDS:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(None, f"it can't be asked: {type(error).__name__}")

    def _unknown(self, source: str) -> str:
        if not source:
            return "the operator has no default Prometheus: start it with --prometheus-url, or name a source"
        known = ", ".join(sorted(name for name, url in self._sources.items() if name and url)) or "none"
        return f"the operator knows no Prometheus named {source}; it was started with: {known}"


async def _bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Read a body; None when it is too long."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        if len(content) > _LIMIT:
            return None
    return bytes(content)


def _read(status: int, content: bytes | None) -> Answer:
    if content is None:
        return Answer(None, f"an answer of more than {_LIMIT} bytes")
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if status != 200 or not isinstance(document, dict) or document.get("status") != "success":
        said = str(document.get("error", "")) if isinstance(document, dict) else ""
        words = " ".join(said.split())[:_MOST_WORDS]
        return Answer(None, f"HTTP status {status}" + (f": {words}" if words else ", and no result"))
    return _number(document.get("data"))


def _number(data: object) -> Answer:
    """Take the one number out of a result: of a scalar, or of an instant vector with one series."""
    kind = data.get("resultType") if isinstance(data, dict) else None
    result: Any = data.get("result") if isinstance(data, dict) else None
    if kind == "vector" and isinstance(result, list):
        if len(result) != 1:
            return Answer(None, f"{len(result)} series, expected one" if result else "no series")
        result = result[0].get("value") if isinstance(result[0], dict) else None
    elif kind != "scalar":
        return Answer(None, f"a result of type {kind!s:.20}, expected a scalar or a vector of one series")
    try:
        value = float(result[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return Answer(None, "a result that holds no number")
    return Answer(value) if math.isfinite(value) else Answer(None, "the result is not a finite number")
