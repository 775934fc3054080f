"""Bodies in, answers out: what both ASGI applications share. Bounded in size, packed or not, and in time."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kingmaker_serving.errors import ErrorCode, ServingError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
_BODIES_AT_ONCE: Final = 16
"""Largest bodies that are held at the same time; beyond that, requests are refused."""


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a client."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Bodies:
    """Reads request bodies within a common budget of memory."""

    def __init__(self, *, max_bytes: int, seconds: float) -> None:
        """Take the bounds of one body: its size, packed and unpacked, and the time for it to arrive."""
        self._max = max_bytes
        self._seconds = seconds
        self._budget = _BODIES_AT_ONCE * max_bytes

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Read one body and unpack it.

        Raises:
            ServingError: UNSUPPORTED_MEDIA, TOO_LARGE, SLOW_BODY, OVERLOADED, or INVALID_REQUEST for broken gzip.
            DisconnectedError: The client went away.
        """
        _check_content_type(headers)
        inflate = _decoder(headers)
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max:
            raise self._too_large(f"{int(declared)} bytes")
        if self._budget < self._max:
            raise ServingError(ErrorCode.OVERLOADED, "too many large requests are being read; try again")
        taken = 0
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise DisconnectedError
                    chunk: bytes = message.get("body", b"")
                    taken += len(chunk)
                    self._budget -= len(chunk)
                    if taken > self._max:
                        raise self._too_large(f"more than {self._max} bytes")
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
        except TimeoutError as error:
            text = f"the body did not arrive within {self._seconds:g} s"
            raise ServingError(ErrorCode.SLOW_BODY, text) from error
        finally:
            self._budget += taken
        body = b"".join(chunks)
        return body if inflate is None else self._unpack(body, inflate)

    def _unpack(self, body: bytes, inflate: Any) -> bytes:  # noqa: ANN401  # zlib does not export its type
        try:
            content: bytes = inflate.decompress(body, self._max + 1)
        except zlib.error as error:
            text = "the body is not gzip, which content-encoding says"
            raise ServingError(ErrorCode.INVALID_REQUEST, text) from error
        if len(content) > self._max:
            raise self._too_large(f"more than {self._max} bytes once unpacked")
        if not inflate.eof or inflate.unused_data:
            raise ServingError(ErrorCode.INVALID_REQUEST, "the gzip body is cut off or has something after its end")
        return content

    def _too_large(self, found: str) -> ServingError:
        text = f"the body has {found}, at most {self._max} are accepted; send fewer rows"
        return ServingError(ErrorCode.TOO_LARGE, text)


async def send_reply(send: Send, reply: Reply, *, close: bool = False) -> None:
    """Send an answer, and end the connection after it when asked."""
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def json_reply(content: object, *, status: int = 200) -> Reply:
    """Build an answer in JSON."""
    return Reply(status, msgspec.json.encode(content))


def error_reply(error: ServingError, headers: list[tuple[bytes, bytes]] | None = None) -> Reply:
    """Build the answer for an error: `{"error": "..."}` and its status."""
    extra = list(headers or [])
    if error.code.status in {429, 503}:
        extra.append((b"retry-after", str(error.retry_seconds).encode()))
    return Reply(error.code.status, msgspec.json.encode({"error": error.message}), headers=extra)


def ends_connection(error: ServingError) -> bool:
    """Whether the rest of a body may still be on its way, which nobody wants to read."""
    return error.code in {ErrorCode.TOO_LARGE, ErrorCode.SLOW_BODY, ErrorCode.UNSUPPORTED_MEDIA, ErrorCode.OVERLOADED}


def _check_content_type(headers: Mapping[bytes, bytes]) -> None:
    if b"inference-header-content-length" in headers:
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, "binary tensor data is not read; send tensors as JSON")
    kind = headers.get(b"content-type", JSON).split(b";", maxsplit=1)[0].strip().lower()
    # The second is what curl says of any -d, and everybody's first request is a curl.
    if kind not in (JSON, b"application/x-www-form-urlencoded"):
        found = kind.decode("latin1")[:80]
        message = f"content-type is {found!r}; send JSON with the header `content-type: application/json`"
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)


def _decoder(headers: Mapping[bytes, bytes]) -> Any:  # noqa: ANN401  # zlib does not export its type
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in {b"", b"identity"}:
        return None
    if encoding in {b"gzip", b"x-gzip"}:
        return zlib.decompressobj(wbits=31)
    found = encoding.decode("latin1")[:80]
    raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, f"content-encoding {found!r} is not read; use gzip or none")
