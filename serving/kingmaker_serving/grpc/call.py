"""One call: messages in, messages out, a status."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc.heads import CallHead
from kingmaker_serving.grpc.http2.connection import Connection
from kingmaker_serving.grpc.http2.errors import H2Error
from kingmaker_serving.grpc.http2.hpack import Field, encode
from kingmaker_serving.grpc.http2.stream import Stream
from kingmaker_serving.grpc.packing import ENCODINGS, PREFIX_BYTES, pack, read_prefix, unpack
from kingmaker_serving.grpc.status import OK_TRAILERS, trailers

logger = logging.getLogger(__name__)

_HEAD: Final = encode([(b":status", b"200"), (b"content-type", b"application/grpc")])
_PACKINGS: Final = encode([(b"grpc-accept-encoding", ENCODINGS)])
_NO_CALL: Final = b'{"error":"this port answers gRPC: POST with content-type application/grpc"}'
_STUCK_SECONDS: Final = 30.0
"""A client that takes nothing of its answer for so long gets no more of it."""


class Method(Protocol):
    """What answers the calls of one method."""

    is_stream: bool
    """Whether clients may send several messages, each answered as it comes. Otherwise there is exactly one."""
    is_lasting: bool
    """Whether its calls stay open for as long as the client likes, so that nobody waits for their end."""

    def handle(self, call: "Call", message: bytes) -> None:
        """Take a message; answer now or later.

        Raises:
            ServingError: What becomes the call's status.
        """

    def refused(self, call: "Call", error: ServingError) -> None:
        """Know of a call that was answered with an error."""


@dataclass(slots=True)
class Bounds:
    """What all calls together may hold. Sizes in bytes, durations in seconds.

    Attributes:
        max_message: Of one message, packed and unpacked.
        max_held: Of all messages that have not arrived completely, or wait for their answer.
        message_seconds: For a message to arrive.
        held: What is held now.
        answered: Calls that have ended.
        busy: Calls that were asked and not answered yet.
    """

    max_message: int
    max_held: int
    message_seconds: float
    held: int = 0
    answered: int = 0
    busy: int = 0


class Call(Stream):
    """A call. Who handles it says `answer`, or `send` any number of times and `finish`, or `fail`."""

    __slots__ = (
        "_bounds",
        "_is_lasting",
        "_is_open",
        "_is_over",
        "_method",
        "_parts",
        "_size",
        "head",
        "is_packed",
        "on_lost",
        "received",
    )

    def __init__(
        self, connection: Connection, stream_id: int, head: CallHead, method: Method | None, bounds: Bounds
    ) -> None:
        """Wait for its messages.

        Args:
            connection: It came by.
            stream_id: Its number there.
            head: What it says of itself.
            method: Answers it; None when there is none of that name.
            bounds: Of this call and all others.
        """
        super().__init__(connection, stream_id, connection.now())
        self.head = head
        self.on_lost: Callable[[], None] | None = None
        """Called when nobody waits for an answer any more."""
        self.is_packed = False
        """Whether the client compresses: then answers are, too."""
        self.received = 0
        """Bytes of the body so far."""
        self._method = method
        self._bounds = bounds
        self._parts: bytes | bytearray = b""
        self._size = 0
        self._is_open = False
        self._is_over = False
        self._is_lasting = method is not None and method.is_lasting
        bounds.busy += not self._is_lasting

    # -- what the connection says

    @override
    def opened(self) -> None:
        """Refuse at once what nobody answers: a client may keep such a call open, and wait."""
        if self._method is None and not self.head.refusal:
            path = self.head.path.decode("latin1")[:200]
            message = f"{path} is not answered here; reflection lists the methods that are"
            self.fail(ServingError(ErrorCode.METHOD, message))

    @override
    def receive(self, content: bytes) -> None:
        """Take a piece of a message."""
        self.received += len(content)
        if self._is_over or self._method is None or self.head.refusal:
            return
        try:
            self._hold(content)
            if self._method.is_stream:
                while (message := self._next_message()) is not None:
                    self._method.handle(self, message)
        except Exception as error:  # noqa: BLE001  # the server's edge: nothing goes beyond
            self.fail(error)

    @override
    def complete(self) -> None:
        """Have the call's only message handled."""
        if self._is_over:
            return
        if self.head.length not in {None, self.received}:
            self.connection.reset(self.stream_id, H2Error.PROTOCOL_ERROR)
            return
        if self.head.refusal or self._method is None:
            self._refuse()
            return
        try:
            if self._method.is_stream:
                self._end_of_messages()
                return
            message = self._next_message()
            if message is None or self._parts:
                raise ServingError(ErrorCode.INVALID_REQUEST, "this method takes one message, cut off or not alone")
            self._method.handle(self, message)
        except Exception as error:  # noqa: BLE001  # as above
            self.fail(error)

    @override
    def lost(self) -> None:
        """Give up."""
        if self._is_over:
            return
        self._close()
        if self.on_lost is not None:
            self.on_lost()

    @override
    def check(self, now: float) -> None:
        """Refuse a message that comes too slowly; drop a client that does not read."""
        if self.outbox and now - self.stuck_since > _STUCK_SECONDS:
            self.connection.reset(self.stream_id, H2Error.CANCEL)
        elif self._is_owed_a_message() and now - self.began > self._bounds.message_seconds:
            message = f"the message did not arrive within {self._bounds.message_seconds:g} s"
            self.fail(ServingError(ErrorCode.SLOW_BODY, message))

    # -- what the method says

    def answer(self, message: bytes, fields: bytes = b"") -> None:
        """Send the only answer, and end.

        Args:
            message: Serialised.
            fields: Encoded header fields that go before it.
        """
        if self._is_over:
            return
        encoding = self._encoding()
        head = _HEAD + fields if encoding == b"identity" else _HEAD + fields + encode([(b"grpc-encoding", encoding)])
        self._close()
        self.connection.out.answer(self, head, pack(message, encoding), OK_TRAILERS)

    def send(self, message: bytes) -> None:
        """Send one of several answers."""
        if self._is_over:
            return
        if not self._is_open:
            self._is_open = True
            self.connection.out.begin(self, _HEAD)
        self.connection.out.send(self, pack(message))

    def finish(self) -> None:
        """End after all answers."""
        if self._is_over:
            return
        self._close()
        if not self._is_open:
            self.connection.out.begin(self, _HEAD)
        self.connection.out.end(self, OK_TRAILERS)

    def fail(self, error: Exception, fields: Iterable[Field] = ()) -> None:
        """End with an error.

        Args:
            error: A bug when it is no ServingError.
            fields: More than the status.
        """
        if self._is_over:
            return
        if not isinstance(error, ServingError):
            logger.error("call failed by a bug", exc_info=error)
            error = ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more")
        self._close()
        if self._method is not None:
            self._method.refused(self, error)
        words = encode([*trailers(error), *fields])
        if error.code is ErrorCode.UNSUPPORTED_MEDIA:
            words += _PACKINGS
        self.connection.out.end(self, words if self._is_open else _HEAD + words)

    # -- inside

    def _is_owed_a_message(self) -> bool:
        if self.is_complete or self._is_over:
            return False
        # A client that may say several things need not say any, but what it has begun.
        return bool(self._parts) or not (self._method and self._method.is_stream)

    def _hold(self, content: bytes) -> None:
        bounds = self._bounds
        self._size += len(content)
        bounds.held += len(content)
        if not self._parts:
            self._parts = content
        else:
            if isinstance(self._parts, bytes):
                self._parts = bytearray(self._parts)
            self._parts += content
        if bounds.held > bounds.max_held:
            raise ServingError(ErrorCode.OVERLOADED, "too many large requests are being read; try again")
        if len(self._parts) >= PREFIX_BYTES:
            read_prefix(self._parts, max_bytes=bounds.max_message)

    def _next_message(self) -> bytes | None:
        """Take a message that has arrived completely."""
        parts, limit = self._parts, self._bounds.max_message
        if len(parts) < PREFIX_BYTES:
            return None
        is_packed, size = read_prefix(parts, max_bytes=limit)
        end = PREFIX_BYTES + size
        if len(parts) < end:
            return None
        message, self._parts = bytes(parts[PREFIX_BYTES:end]), parts[end:]
        if self._is_lasting:
            self._bounds.held -= end
            self._size -= end
        if not is_packed:
            return message
        self.is_packed = True
        return unpack(message, self.head.encoding, max_bytes=limit)

    def _end_of_messages(self) -> None:
        if self._parts:
            raise ServingError(ErrorCode.INVALID_REQUEST, "the last message is cut off")
        self.finish()

    def _encoding(self) -> bytes:
        return self.head.encoding if self.is_packed and self.head.encoding in self.head.takes else b"identity"

    def _refuse(self) -> None:
        """Answer what is no call as HTTP has it."""
        fields = [(b":status", b"%d" % self.head.refusal), (b"content-type", b"application/json")]
        if self.head.refusal == 405:
            fields.append((b"allow", b"POST"))
        self._close()
        self.connection.out.answer(self, encode(fields), _NO_CALL)

    def _close(self) -> None:
        """Hold nothing any more. What was sent is on its way; the stream ends with its last word."""
        self._is_over = True
        bounds = self._bounds
        bounds.busy -= not self._is_lasting
        bounds.answered += not self._is_lasting
        bounds.held -= self._size
        self._size = 0
        self._parts = b""
