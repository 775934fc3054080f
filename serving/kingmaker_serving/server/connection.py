"""HTTP/1.1 on one connection: requests put together within bounds, answered in their order.

Source of the rules: RFC 9112 (framing, closing), RFC 9110 §7.8 (Upgrade may be ignored, and is) and §10.1.1 (Expect).
"""

import asyncio
import time
from collections import deque
from typing import Final, cast

import httptools
from typing_extensions import override

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.server.exchange import Exchange, error_reply
from kingmaker_serving.server.site import HEAD_BYTES, LINGER_BYTES, Phase, Site

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_VERSIONS: Final = ("1.1", "1.0")
_TUNNEL: Final = ServingError(ErrorCode.METHOD, "there are no tunnels here", allow="GET, HEAD, POST")
_MALFORMED: Final = ServingError(ErrorCode.INVALID_REQUEST, "this is not HTTP/1.1 as RFC 9112 has it")
_RELAYS: Final = (b"x-envoy-expected-rq-timeout-ms", b"x-forwarded-for", b"forwarded", b"via")
"""A proxy that sent a request on says so. It can't hand on an answer to a client that still sends: the client's
connection is reset. So its requests are refused once all of them has come."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_HEAD: Final = ServingError(ErrorCode.INVALID_REQUEST, f"the request's head has over {HEAD_BYTES} bytes")


class Connection(asyncio.Protocol):
    """Reads one client's requests. A request is worked on only when the one before it was answered."""

    def __init__(self, site: Site) -> None:
        """Take whose port this is."""
        self._site = site
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._active: Exchange | None = None
        self._held = 0
        self._method, self._keep_alive = b"", b""
        self._refused: Exchange | None = None
        self._refusal: ServingError | None = None
        self._left = LINGER_BYTES
        self._is_stuck = False
        self._is_half_closed = False
        self._is_reframed = False
        self._is_upgrade = False
        self.phase = Phase.IDLE
        self.since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: bytes | bytearray = b""

    # -- asyncio.Protocol

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._site.connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for this client."""
        del exc
        self._site.leave(self, held=self._held)
        exchange, self._active = self._active, None
        self._waiting.clear()
        if exchange is not None and exchange.on_gone is not None:
            exchange.on_gone()

    @override
    def eof_received(self) -> bool:
        """Let a client that has said everything still get its answers."""
        self._is_half_closed = True
        return self._active is not None

    @override
    def pause_writing(self) -> None:
        """The client does not read: neither do we."""
        self._is_stuck = True
        self.since = time.perf_counter()
        self._site.incomplete.add(self)
        self._transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        """Go on."""
        self._is_stuck = False
        if self.phase is Phase.IDLE:
            self._site.incomplete.discard(self)
        self._next()

    @override
    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self.phase is Phase.LINGER:
            self._drop(len(data))
            return
        if self.phase is not Phase.BODY:
            self._head_bytes += len(data)
        self._feed(data)
        self._look()

    def _look(self) -> None:
        """See how far the request has come that is being read."""
        if self.phase is Phase.IDLE:
            return
        if self.phase is Phase.HEAD and self._head_bytes > HEAD_BYTES:
            self.refuse(_HEAD)
        elif self.phase is not Phase.LINGER:
            self._site.incomplete.add(self)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self.phase is not Phase.LINGER:
                cause = error.__cause__ or error.__context__
                self.refuse(cause if isinstance(cause, ServingError) else _MALFORMED)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """The parser stops where another protocol would begin; a new one reads on, told how the body is framed."""
        self._parser = httptools.HttpRequestParser(self)
        if not self._is_upgrade:
            self._feed(rest)
            return
        framing = [name + b": " + self._headers[name] + b"\r\n" for name in _FRAMING if name in self._headers]
        self._is_reframed = True
        head = b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n"
        self._feed(head + rest)

    # -- httptools

    def on_message_begin(self) -> None:
        """A request's first byte."""
        if self._is_reframed:
            return
        self.phase = Phase.HEAD
        self.since = time.perf_counter()

    def on_url(self, url: bytes) -> None:
        """Path and query, perhaps in parts."""
        if not self._is_reframed:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if self._is_reframed:
            return
        name = name.lower()
        before = self._headers.get(name)
        self._headers[name] = value if before is None else before + b"," + value

    def on_headers_complete(self) -> None:
        """Decide whether the body is welcome before it comes."""
        if self._is_reframed:
            return
        self.phase = Phase.BODY
        headers, method, version = self._headers, self._parser.get_method(), self._parser.get_http_version()
        if method == b"CONNECT":
            raise _TUNNEL
        if version not in _VERSIONS:
            raise _MALFORMED
        self._method = method
        self._keep_alive = version.encode() if _lasts(version, headers.get(b"connection", b"")) else b""
        declared = headers.get(b"content-length")
        if declared is not None or b"transfer-encoding" in headers:
            self._admit(int(declared or 0))
            if self._refusal is None and b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
                self._transport.write(_CONTINUE)
        self._is_upgrade = (
            self._parser.should_upgrade() and method != b"CONNECT" and any(name in headers for name in _FRAMING)
        )

    def _admit(self, declared: int) -> None:
        try:
            self._site.admit(declared)
        except ServingError as error:
            self._refuse_later(error)

    def _refuse_later(self, error: ServingError) -> None:
        """Read and drop the rest of what a proxy hands on; refuse at once what comes from the client itself."""
        if b"expect" in self._headers or not any(name in self._headers for name in _RELAYS):
            raise error
        self._refusal = error
        self._site.held -= len(self._body)
        self._held -= len(self._body)
        self._body = b""

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._refusal is not None:
            self._left -= len(data)
            if self._left < 0:
                raise self._refusal
            return
        self._held += len(data)
        self._site.held += len(data)
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        try:
            self._site.check_size(len(self._body))
        except ServingError as error:
            self._refuse_later(error)

    def on_message_complete(self) -> None:
        """A whole request."""
        if self._is_upgrade and not self._is_reframed:
            return
        self._is_upgrade = self._is_reframed = False
        self.phase = Phase.IDLE
        exchange = Exchange(
            self,
            self._method,
            self._target,
            self._headers,
            self._body,
            began=self.since,
            keep_alive=self._keep_alive,
        )
        exchange.refusal, self._refusal, self._left = self._refusal, None, LINGER_BYTES
        self._begin()
        self._site.incomplete.discard(self)
        if self._active is None and not self._is_stuck:
            self._serve(exchange)
        else:
            self._waiting.append(exchange)
            self._transport.pause_reading()

    # -- answers

    def _serve(self, exchange: Exchange) -> None:
        self._active = exchange
        if exchange.refusal is None:
            self._site.application(exchange)
            return
        if self._site.on_refused is not None:
            self._site.on_refused(exchange.target, exchange.headers, exchange.refusal)
        exchange.reply(error_reply(exchange.refusal))

    def finish(self, exchange: Exchange, parts: list[bytes], *, close: bool) -> None:
        """Send an answer; then the next request, or the end."""
        if exchange is not self._active:
            return
        self._active = None
        size = len(exchange.body)
        self._held -= size
        self._site.held -= size
        self._site.answered += 1
        self._transport.write(b"".join(parts) if len(parts) != 2 else parts[0])
        if len(parts) == 2:
            self._transport.write(parts[1])
        if exchange is self._refused:
            return
        if close or self.phase is Phase.LINGER or (self._is_half_closed and not self._waiting):
            self._transport.close()
        elif self._waiting:
            # Not from here: a row of requests in one packet must not become a stack of calls.
            asyncio.get_running_loop().call_soon(self._next)

    def refuse(self, error: ServingError) -> None:
        """Answer a request that has not come to its end, and take no further one."""
        self.phase, self.since = Phase.LINGER, time.perf_counter()
        if self._active is not None or self._waiting:
            # What came before it is answered first; then the connection ends, without a word about what came after.
            self._waiting.clear()
            return
        if self._site.on_refused is not None:
            self._site.on_refused(self._target, self._headers, error)
        self._active = self._refused = Exchange(self, b"POST", b"", {}, b"", began=self.since, keep_alive=b"")
        self._begin()
        self._site.held -= self._held
        self._held = 0
        self._active.reply(error_reply(error), close=True)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._site.incomplete.add(self)

    def cut(self) -> None:
        """End now, whatever is on its way."""
        self._transport.abort()

    def close_idle(self) -> None:
        """End a connection that nobody uses; one that is used ends with its answer."""
        if self._active is None and self.phase is Phase.IDLE:
            self._transport.close()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is owed."""
        return self._active is not None

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read its answers."""
        return self._is_stuck

    def _drop(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._transport.abort()

    def _next(self) -> None:
        if self._active is not None or self._is_stuck or self._transport.is_closing():
            return
        if not self._waiting:
            self._transport.resume_reading()
            return
        exchange = self._waiting.popleft()
        if not self._waiting:
            self._transport.resume_reading()
        self._serve(exchange)


def _lasts(version: str, connection: bytes) -> bool:
    """Whether a client goes on with its connection. Source: RFC 9112 §9.3."""
    options = [option.strip() for option in connection.lower().split(b",")] if connection else []
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)
