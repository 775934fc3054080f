"""One stream: a request on its way in, and an answer on its way out."""

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kingmaker_serving.grpc.http2.connection import Connection


class Stream(ABC):
    """What a connection knows of a stream. Whoever answers streams adds what it does with them.

    Attributes:
        stream_id: Its number.
        began: When its head arrived, seconds of the loop's clock.
        is_complete: Whether the client has sent everything.
        window: How many bytes the client takes now; negative after it took some back.
        unread: Bytes that the client was not yet given back for its own window.
        outbox: Bytes that wait for the client's window.
        last_words: The block of fields after them, which ends the stream; None while it goes on.
        stuck_since: When the outbox began to wait.
    """

    __slots__ = (
        "began",
        "connection",
        "is_complete",
        "last_words",
        "outbox",
        "stream_id",
        "stuck_since",
        "unread",
        "window",
    )

    def __init__(self, connection: "Connection", stream_id: int, began: float) -> None:
        """Begin with nothing received or sent."""
        self.connection = connection
        self.stream_id = stream_id
        self.began = began
        self.is_complete = False
        self.window = connection.initial_window
        self.unread = 0
        self.outbox: deque[memoryview] = deque()
        self.last_words: bytes | None = None
        self.stuck_since = 0.0

    def opened(self) -> None:  # noqa: B027  # nothing to do is right for most
        """Know that the connection knows it: from now on it can be answered."""

    @abstractmethod
    def receive(self, content: bytes) -> None:
        """Take a piece of the request's body."""

    @abstractmethod
    def complete(self) -> None:
        """Know that the request has ended."""

    @abstractmethod
    def lost(self) -> None:
        """Know that nobody waits for the answer any more: the client, its connection or the server gave up."""

    @abstractmethod
    def check(self, now: float) -> None:
        """Give up what took too long; called about once a second."""
