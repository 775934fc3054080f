"""Talk to the API server: a coroutine per verb, JSON in, JSON out. It never retries; callers know what that means."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from kingmaker.kube.kubeconfig import Connection

Document = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

REQUEST_SECONDS = 15.0
"""Deadline of an ordinary request: far above what a busy laptop needs, below the lease's 40 s."""

_MAX_LINE_BYTES = 16 * 1024 * 1024


class ApiError(Exception):
    """The API server answered with an error, or not at all.

    Attributes:
        status: HTTP status; 0 when there was no answer (down, refused, timed out).
        reason: `reason` of the Status object, e.g. `NotFound`, or `Unreachable`.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_not_found(self) -> bool:
        """Whether the object isn't there."""
        return self.status == 404

    @property
    def is_lasting(self) -> bool:
        """Whether the same request would fail again: a refusal, not an outage or an overload."""
        return 400 <= self.status < 500 and self.status not in {408, 429}


class KubeClient:
    """A session with one API server. Use as an async context manager."""

    def __init__(self, connection: Connection, *, agent: str) -> None:
        self._server = connection.server
        self._tls = connection.tls
        self._headers = {"User-Agent": agent, "Accept": "application/json"}
        if connection.token:
            self._headers["Authorization"] = f"Bearer {connection.token}"
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        return self._server

    async def __aenter__(self) -> "KubeClient":
        # Each watch holds a connection for minutes, so the pool has no limit.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Document:
        """Read one object or one list."""
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: Document) -> Document:
        """POST an object to its collection or subresource."""
        return await self._request("POST", path, body=body)

    async def patch(self, path: str, body: Document, *, kind: str = MERGE) -> Document:
        """PATCH an object; `kind` is the patch's content type."""
        return await self._request("PATCH", path, body=body, content_type=kind)

    async def delete(self, path: str, options: Document) -> Document:
        """DELETE with `DeleteOptions`."""
        return await self._request("DELETE", path, body=options)

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
        try:
            async with self._opened().get(self._server + path, params=query, timeout=timeout) as response:
                await _raise_for(response)
                async for line in _lines(response.content):
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._server, error) from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
    ) -> Document:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with self._opened().request(
                method, self._server + path, params=params, data=content, headers=headers, timeout=timeout
            ) as response:
                await _raise_for(response)
                document: Document = json.loads(await response.read())
                return document
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._server, error) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside its `async with` block")
        return self._session


def _unreachable(server: str, error: BaseException) -> ApiError:
    return ApiError(0, "Unreachable", f"API server {server}: {error or type(error).__name__}")


async def _raise_for(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
        raise ApiError(response.status, str(status.get("reason", "")), str(status.get("message", text[:500])))
    except (ValueError, AttributeError):
        raise ApiError(response.status, response.reason or "", text[:500]) from None


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # StreamReader.readline refuses lines above 64 KiB; an object with its managedFields may be longer.
    rest = b""
    async for chunk in stream.iter_any():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            if line:
                yield line
        if len(rest) > _MAX_LINE_BYTES:
            raise ApiError(0, "Unreachable", f"watch event above {_MAX_LINE_BYTES} bytes")
