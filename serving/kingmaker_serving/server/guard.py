"""HTTP/1.1 connections with bounds that uvicorn has not: time and size of a request's head."""

import asyncio
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
HEAD_BYTES: Final = 64 * 1024


class GuardedProtocol(HttpToolsProtocol):
    """Ends a connection whose request head comes too slowly or is too large. A body is bounded where it is read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's own arguments
        """Begin outside of a head."""
        super().__init__(*args, **kwargs)
        self._head_bytes = -1
        self._head_timer: asyncio.TimerHandle | None = None

    @override
    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet."""
        before = self._head_bytes
        super().data_received(data)
        if self._head_bytes < 0 or self.transport.is_closing():
            return
        self._head_bytes = max(before, 0) + len(data)
        if self._head_bytes > HEAD_BYTES:
            self._give_up()

    @override
    def on_message_begin(self) -> None:
        """Start the clock."""
        super().on_message_begin()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    @override
    def on_headers_complete(self) -> None:
        """Stop the clock."""
        self._end_head()
        super().on_headers_complete()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._end_head()
        super().connection_lost(exc)

    def _end_head(self) -> None:
        self._head_bytes = -1
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._end_head()
        if not self.transport.is_closing():
            self.send_400_response("the request's head is too large or came too slowly")
