"""A small HTTP/1.1 client for what this process asks others on its hot path: bounded, pooled, without surprises.

It follows no redirect, knows no proxy and no cookie. A connection is used for one request at a time.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

import httptools
from typing_extensions import override

_CONNECT_SECONDS: Final = 2.0
_MOST_IDLE: Final = 8
_MAX_HEAD_BYTES: Final = 64 * 1024


class RequestError(Exception):
    """There is no answer, or none that can be read."""


class RefusedError(RequestError):
    """Nobody listens there."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go: `http://host:port/path`."""

    host: str
    port: int
    path: str
    is_tls: bool = False

    @classmethod
    def read(cls, url: str, path: str = "") -> "Place":
        """Read a URL, to whose path another one is added."""
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        own = parts.path.rstrip("/") if path else parts.path or "/"
        return cls(parts.hostname or "", parts.port or (443 if is_tls else 80), own + path, is_tls)

    @property
    def authority(self) -> str:
        """Host and port as the header `host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Client:
    """Connections to others, kept for the next request."""

    def __init__(self) -> None:
        """Begin with none."""
        self._idle: dict[tuple[str, int, bool], deque[_Connection]] = {}

    async def post(
        self, place: Place, body: bytes, headers: Iterable[tuple[str, str]], *, seconds: float, max_bytes: int
    ) -> Response:
        """Send a body and wait for the answer.

        Args:
            place: Where to.
            body: Sent as it is.
            headers: Beside host and content-length.
            seconds: For everything.
            max_bytes: Of the answer's body.

        Raises:
            RefusedError: Nobody listens there.
            RequestError: There was no answer in time, none whole, or none within its bound.
        """
        lines = [f"POST {place.path} HTTP/1.1", f"host: {place.authority}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin1")
        try:
            async with asyncio.timeout(seconds):
                return await self._send(place, head, body, max_bytes)
        except TimeoutError as error:
            message = f"no answer within {seconds:g} s"
            raise RequestError(message) from error
        except ConnectionRefusedError as error:
            raise RefusedError(str(error)) from error
        except OSError as error:
            raise RequestError(str(error)) from error

    async def close(self) -> None:
        """End all connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.end()
        self._idle.clear()

    async def _send(self, place: Place, head: bytes, body: bytes, max_bytes: int) -> Response:
        key = (place.host, place.port, place.is_tls)
        idle = self._idle.setdefault(key, deque())
        while idle:
            connection = idle.pop()
            if connection.is_open:
                try:
                    return await self._ask(key, connection, head, body, max_bytes)
                except _GoneError:
                    # It was closed while nobody looked: the request was not read.
                    continue
        connection = await _connect(place)
        try:
            return await self._ask(key, connection, head, body, max_bytes)
        except _GoneError as error:
            raise RequestError("the connection was closed without an answer") from error

    async def _ask(
        self, key: tuple[str, int, bool], connection: "_Connection", head: bytes, body: bytes, max_bytes: int
    ) -> Response:
        try:
            response = await connection.ask(head, body, max_bytes)
        except BaseException:
            connection.end()
            raise
        idle = self._idle.setdefault(key, deque())
        if connection.is_open and len(idle) < _MOST_IDLE:
            idle.append(connection)
        else:
            connection.end()
        return response


class _GoneError(Exception):
    """Closed by the other side before it said anything."""


@dataclass(slots=True)
class _Incoming:
    future: "asyncio.Future[Response]"
    max_bytes: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    head_bytes: int = 0
    is_begun: bool = False


class _Connection(asyncio.Protocol):
    """One connection; httptools calls the methods named `on_…`."""

    def __init__(self) -> None:
        self._transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpResponseParser(self)
        self._incoming: _Incoming | None = None
        self.is_open = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._fail(exc or ConnectionResetError("the connection was closed within the answer"))

    @override
    def data_received(self, data: bytes) -> None:
        incoming = self._incoming
        if incoming is None:
            # Nobody asked.
            self.end()
            return
        incoming.is_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(RequestError(str(error.__cause__ or error.__context__ or error)))
            self.end()

    async def ask(self, head: bytes, body: bytes, max_bytes: int) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._incoming = _Incoming(future, max_bytes)
        self._transport.write(head)
        self._transport.write(body)
        return await future

    def end(self) -> None:
        self.is_open = False
        self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        incoming = self._incoming
        if incoming is None:
            return
        incoming.head_bytes += len(name) + len(value)
        if incoming.head_bytes > _MAX_HEAD_BYTES:
            raise RequestError("its answer's head is too large")
        incoming.headers[name.decode("latin1").lower()] = value.decode("latin1")

    def on_body(self, data: bytes) -> None:
        incoming = self._incoming
        if incoming is None:
            return
        incoming.body += data
        if len(incoming.body) > incoming.max_bytes:
            message = f"its answer has over {incoming.max_bytes} bytes"
            raise RequestError(message)

    def on_message_complete(self) -> None:
        incoming = self._incoming
        status = self._parser.get_status_code()
        if incoming is None or status < 200:
            return
        self._incoming = None
        if not self._parser.should_keep_alive():
            self.is_open = False
        if not incoming.future.done():
            incoming.future.set_result(Response(status, incoming.headers, bytes(incoming.body)))

    def _fail(self, error: Exception) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None and not incoming.future.done():
            gone = isinstance(error, OSError) and not incoming.is_begun
            incoming.future.set_exception(_GoneError() if gone else error)


async def _connect(place: Place) -> _Connection:
    context = ssl.create_default_context() if place.is_tls else None
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, place.host, place.port, ssl=context
        )
    return connection
