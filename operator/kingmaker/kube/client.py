"""Talk to the API server: a coroutine per verb, JSON in, JSON out. It never retries; callers know what that means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from pydantic_core import from_json, to_json

from kingmaker.kube.errors import ApiError, ConflictError, UnavailableError, error_of, unreachable
from kingmaker.kube.kubeconfig import Connection

Document = dict[str, Any]

Permit = Callable[[], None]
"""Called right before a write is sent. Where this process may not write any more, it does not return."""

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"

REQUEST_SECONDS: Final = 15.0
"""Deadline of an ordinary request: far above what a busy laptop needs, below the lease's 40 s."""

_PAGE: Final = 250
_PAGES_AT_ONCE: Final = 3
_MAX_LINE_BYTES: Final = 16 * 1024 * 1024


def always() -> None:
    """Permit: there is no other process that could write."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A collection at one moment: all of `items` as they were at resourceVersion `version`."""

    items: list[Document]
    version: str


class KubeClient:
    """A session with one API server. Use as an async context manager."""

    def __init__(
        self,
        connection: Connection,
        *,
        agent: str,
        permit: Permit = always,
        fence: re.Pattern[str] | None = None,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> None:
        """Take where the API server is, and how this process behaves.

        Args:
            connection: From a kubeconfig, or from what a pod is given.
            agent: Tells the API server who asks.
            permit: Called right before a write is sent.
            fence: A refusal whose message matches is about who may write at this moment, not about the object: it
                becomes a ConflictError.
            timeout_seconds: A request that takes longer has failed; watches are not meant.
        """
        self._connection = connection
        # Uncompressed: the API server is near, and to compress a long list takes it longer than to send it.
        self._headers = {"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._permit = permit
        self._fence = fence
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        return self._connection.server

    async def __aenter__(self) -> Self:
        """Open the session."""
        # Each watch holds a connection for minutes, so the pool has no limit.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._connection.tls or True)
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, cookie_jar=jar)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Document:
        """Read one object or one page of a list."""
        return await self.request("GET", path, params)

    async def list(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        shrink: Callable[[Document], Document] = lambda item: item,
    ) -> Listing:
        """Read a whole collection, page by page, as it was at the moment of the first page.

        Args:
            path: Collection.
            params: Selectors.
            shrink: Gives of an item what is kept; it is called before the next page is read.
        """
        query = {**(params or {}), "limit": str(_PAGE)}
        items: list[Document] = []
        while True:
            # Whoever starts reads many collections at once, and a page takes up much more room than what is kept of it.
            async with self._pages:
                page = await self.get(path, query)
                items += map(shrink, page.pop("items", None) or ())
            following = page["metadata"].get("continue")
            if not following:
                return Listing(items, str(page["metadata"]["resourceVersion"]))
            query["continue"] = following

    async def create(self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None) -> Document:
        """POST an object to its collection or subresource."""
        return await self.request("POST", path, params, body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Document:
        """PUT an object; ConflictError unless it is still at the body's resourceVersion."""
        return await self.request("PUT", path, None, body)

    async def patch(
        self, path: str, body: Mapping[str, Any], *, kind: str = MERGE, params: Mapping[str, str] | None = None
    ) -> Document:
        """PATCH an object; `kind` is the patch's content type."""
        return await self.request("PATCH", path, params, body, content_type=kind)

    async def delete(self, path: str, options: Mapping[str, Any]) -> Document:
        """DELETE with `DeleteOptions`; gives the object where it is still there for its finalizers, else a Status."""
        return await self.request("DELETE", path, None, options)

    async def watch(self, path: str, params: Mapping[str, str], *, idle_seconds: float) -> AsyncIterator[Document]:
        """Yield watch events until the server ends the stream.

        Args:
            path: Collection.
            params: Selectors and `resourceVersion`; `watch` and bookmarks are added.
            idle_seconds: Silence after which the connection counts as dead.

        Raises:
            ApiError: The stream could not be opened or broke.
        """
        query = {**params, "watch": "1", "allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=idle_seconds)
        what = f"WATCH {self.server}{path}"
        try:
            async with self._opened().get(
                self.server + path,
                params=query,
                headers=await self._connection.headers(),
                timeout=timeout,
                proxy=self._connection.proxy,
                server_hostname=self._connection.server_hostname,
            ) as response:
                if response.status >= 400:
                    raise self._error(what, response.status, await response.read())
                async for line in _lines(response.content):
                    yield from_json(line, cache_strings="all")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(what, error) from error

    async def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        """Send any request and give the answer's body; `content_type` is the body's.

        Raises:
            ApiError: The narrowest that says what the API server answered.
        """
        content = None if body is None else to_json(body)
        headers = await self._connection.headers()
        if body is not None:
            headers["Content-Type"] = content_type
        if method != "GET":
            self._permit()
        try:
            async with self._opened().request(
                method,
                self.server + path,
                params=params,
                data=content,
                headers=headers,
                timeout=self._timeout,
                proxy=self._connection.proxy,
                server_hostname=self._connection.server_hostname,
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(f"{method} {self.server}{path}", error) from error
        if response.status >= 400:
            raise self._error(f"{method} {path}", response.status, answer)
        document: Document = from_json(answer, cache_strings="all")
        return document

    def _error(self, what: str, status: int, answer: bytes) -> ApiError:
        error = error_of(what, status, answer)
        if self._fence and self._fence.search(str(error)):
            return ConflictError(str(error), status=status, reason=error.reason)
        return error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside its `async with` block")
        return self._session


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # StreamReader.readline refuses lines above 64 KiB; an object with its managedFields may be longer.
    rest = b""
    async for chunk in stream.iter_any():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            if line:
                yield line
        if len(rest) > _MAX_LINE_BYTES:
            raise UnavailableError(f"watch event above {_MAX_LINE_BYTES} bytes", reason="Unreachable")
