"""What a connection sends of its streams: at once where the client's windows allow it, else as they open."""

from typing import TYPE_CHECKING, Final

from kingmaker_serving.grpc.http2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    MAX_FRAME_BYTES,
)
from kingmaker_serving.grpc.http2.stream import Stream

if TYPE_CHECKING:
    from kingmaker_serving.grpc.http2.connection import Connection

_TURN_BYTES: Final = 64 * 1024
"""What one stream sends before it is another one's turn."""
_pack: Final = HEAD.pack
_LAST: Final = END_HEADERS | END_STREAM


class Outgoing:
    """The sending half of a connection.

    Attributes:
        window: How many bytes the client takes now, of all streams together.
        initial_window: How many it takes of each new stream.
        max_frame: Bytes of one frame.
        is_paused: Whether the operating system takes nothing more at present.
        held: Bytes that wait.
    """

    def __init__(self, connection: "Connection") -> None:
        """Begin with what the protocol begins with."""
        self._connection = connection
        self._waiting: dict[int, Stream] = {}
        self.window = DEFAULT_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.max_frame = MAX_FRAME_BYTES
        self.is_paused = False
        self.held = 0

    def answer(self, stream: Stream, head: bytes, body: bytes, last_words: bytes = b"") -> None:
        """Send a whole answer.

        Args:
            stream: Answered by it.
            head: Block of fields before the body.
            body: All of it.
            last_words: Block of fields after it.
        """
        size = len(body)
        if size > self.max_frame or size > self.window or size > stream.window or self.is_paused:
            self.begin(stream, head)
            self.send(stream, body)
            self.end(stream, last_words)
            return
        number = stream.stream_id
        self.window -= size
        parts = [
            _pack(len(head) << 8 | HEADERS, END_HEADERS, number),
            head,
            _pack(size << 8 | DATA, 0 if last_words else END_STREAM, number),
            body,
        ]
        if last_words:
            parts += [_pack(len(last_words) << 8 | HEADERS, _LAST, number), last_words]
        self._connection.transport.write(b"".join(parts))
        self._connection.ended(stream)

    def begin(self, stream: Stream, head: bytes) -> None:
        """Send the first block of fields."""
        head = _pack(len(head) << 8 | HEADERS, END_HEADERS, stream.stream_id) + head
        self._connection.transport.write(head)

    def send(self, stream: Stream, body: bytes) -> None:
        """Send a piece of the body."""
        if not body:
            return
        if not stream.outbox:
            stream.stuck_since = self._connection.now()
        stream.outbox.append(memoryview(body))
        self.held += len(body)
        self._waiting[stream.stream_id] = stream
        self.pump()

    def end(self, stream: Stream, last_words: bytes) -> None:
        """Send the last block of fields, once the body is gone."""
        stream.last_words = last_words
        if not stream.outbox:
            self._say_last(stream)

    def pump(self) -> None:
        """Send what the windows allow, in turns."""
        while self._waiting and self.window > 0 and not self.is_paused:
            able = [stream for stream in self._waiting.values() if stream.window > 0]
            if not able:
                return
            for stream in able:
                self._turn(stream)

    def forget(self, stream_id: int) -> None:
        """Drop what waits of a stream that has ended."""
        stream = self._waiting.pop(stream_id, None)
        if stream is not None:
            self.held -= sum(map(len, stream.outbox))
            stream.outbox.clear()

    def _turn(self, stream: Stream) -> None:
        left = min(_TURN_BYTES, self.window, stream.window)
        pieces: list[bytes | memoryview] = []
        while left and stream.outbox:
            first = stream.outbox[0]
            piece = first[: min(left, self.max_frame)]
            if len(piece) == len(first):
                stream.outbox.popleft()
            else:
                stream.outbox[0] = first[len(piece) :]
            left -= len(piece)
            self.window -= len(piece)
            stream.window -= len(piece)
            self.held -= len(piece)
            pieces += [_pack(len(piece) << 8 | DATA, 0, stream.stream_id), piece]
        if pieces:
            stream.stuck_since = self._connection.now()
            self._connection.transport.write(b"".join(pieces))
        if not stream.outbox:
            self._waiting.pop(stream.stream_id, None)
            if stream.last_words is not None:
                self._say_last(stream)

    def _say_last(self, stream: Stream) -> None:
        words = stream.last_words or b""
        self._connection.transport.write(_pack(len(words) << 8 | HEADERS, _LAST, stream.stream_id) + words)
        self._connection.ended(stream)
