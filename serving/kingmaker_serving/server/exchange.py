"""One request with its answer, as applications see it: complete, bounded, answered once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from kingmaker_serving.errors import ServingError

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
_STATUS: Final = {code.value: f"HTTP/1.1 {code.value} {code.phrase}\r\n".encode() for code in HTTPStatus}
_END: Final = b"\r\n"
_CLOSE: Final = b"connection: close\r\n"
_KEEP: Final = b"connection: keep-alive\r\n"
_LARGE: Final = 64 * 1024
"""From here on head and body are handed over one by one: joining them would copy the body."""

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a client."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


class Channel(Protocol):
    """What an exchange needs of its connection."""

    def finish(self, exchange: "Exchange", parts: list[bytes], *, close: bool) -> None:
        """Send the answer, and go on to the next request or close."""


class Exchange:
    """A request whose body has come. `body` is as it was sent: packed, perhaps."""

    __slots__ = (
        *("_channel", "began", "body", "headers", "is_answered", "keep_alive", "method", "on_gone", "refusal"),
        "target",
    )

    def __init__(
        self,
        channel: Channel,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes | bytearray,
        *,
        began: float,
        keep_alive: bytes,
    ) -> None:
        """Take what was read.

        Args:
            channel: The connection that it came by.
            method: As sent, e.g. `POST`.
            target: Path with query, as sent.
            headers: Names in small letters; values of one name are joined by commas.
            body: All of it.
            began: When its first byte came, `time.perf_counter`.
            keep_alive: HTTP version and wish of the client: `1.1`, `1.0` when it keeps the connection, empty to close.
        """
        self._channel = channel
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.began = began
        self.keep_alive = keep_alive
        self.is_answered = False
        self.on_gone: Callable[[], None] | None = None
        """Called when the client goes away before it was answered."""
        self.refusal: ServingError | None = None
        """Why it is not worked on; its body was read and dropped."""

    def reply(self, reply: Reply, *, close: bool = False) -> None:
        """Answer."""
        self.send(reply.status, reply.body, reply.content_type, reply.headers, close=close)

    def send(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: Iterable[Header] = (),
        *,
        close: bool = False,
    ) -> None:
        """Answer from parts; a second answer to the same request is dropped."""
        if self.is_answered:
            return
        self.is_answered = True
        self.on_gone = None
        close = close or not self.keep_alive
        head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n" % (_STATUS[status], content_type, len(body))
        lines = [head, *(b"%b: %b\r\n" % header for header in headers)]
        if close:
            lines.append(_CLOSE)
        elif self.keep_alive == b"1.0":
            lines.append(_KEEP)
        lines.append(_END)
        if self.method == b"HEAD":
            parts = lines
        elif len(body) < _LARGE:
            lines.append(body)
            parts = lines
        else:
            parts = [b"".join(lines), body]
        self._channel.finish(self, parts, close=close)


Application = Callable[[Exchange], None]
"""Answers an exchange, now or later. Raises nothing."""


def json_reply(content: object, *, status: int = 200) -> Reply:
    """Build an answer in JSON."""
    return Reply(status, msgspec.json.encode(content))


def error_reply(error: ServingError, headers: tuple[Header, ...] = ()) -> Reply:
    """Build the answer for an error: `{"error": "..."}` and its status."""
    extra = headers
    if error.code.status in {429, 503}:
        extra = (*headers, (b"retry-after", str(error.retry_seconds).encode()))
    if error.allow:
        extra = (*extra, (b"allow", error.allow.encode()))
    return Reply(error.code.status, msgspec.json.encode({"error": error.message}), headers=extra)
