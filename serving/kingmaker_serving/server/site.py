"""One port: who is connected, what may be held for all of them together, and for how long one may keep it waiting."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto
from typing import Final, Protocol

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.server.exchange import Application

HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 10.0
LINGER_BYTES: Final = 256 * 1024**2
LINGER_SECONDS: Final = 10.0
"""For so long the rest of a refused body is read, so that the client comes to read why. Source: RFC 9112 §9.6."""
_READ_SECONDS: Final = 60.0
"""A client that does not read its answers for this long is gone."""
_SWEEP_SECONDS: Final = 0.25
_BODIES_AT_ONCE: Final = 16
"""Largest bodies that are held at the same time, read or worked on; beyond that, requests are refused."""
_BACKLOG: Final = 2048
CUT_SECONDS: Final = 1.0
"""What is still in flight when the drain is over gets 503, and this much more to go out."""
_QUIET_SECONDS: Final = 1.0
"""Without a request for this long, nobody sends here any more. Routers are told when a pod begins to end, which is
`preStop` earlier; what is sent meanwhile over a connection that they still hold is answered."""


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    LINGER = auto()
    """It was refused before all of it came; the rest is read and dropped, so that the client sees the answer."""


class Client(Protocol):
    """A connection, as its port sees it. `since`: `time.perf_counter` when its phase began."""

    phase: Phase
    since: float

    @property
    def is_busy(self) -> bool:
        """Whether an answer is owed."""

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read its answers."""

    def refuse(self, error: ServingError) -> None:
        """Answer a request that has not come to its end, and take no further one."""

    def close_idle(self) -> None:
        """End a connection that nobody uses; one that is used ends with its answer."""

    def cut(self) -> None:
        """End now, whatever is on its way."""


class Site:
    """A listening port and its connections."""

    def __init__(self, application: Application, *, max_bytes: int, body_seconds: float) -> None:
        """Take who answers.

        Args:
            application: Gets every complete request.
            max_bytes: Of one body as it is sent.
            body_seconds: For a body to arrive.
        """
        self.application = application
        self.connections: set[Client] = set()
        self.incomplete: set[Client] = set()
        """Those that owe us something: the rest of a request, or to read an answer."""
        self.held = 0
        """Bytes of bodies in memory, from their first part until they are answered."""
        self.answered = 0
        self.on_refused: Callable[[bytes, dict[bytes, bytes], ServingError], None] | None = None
        """Hears target and headers of requests that are refused before they are complete."""
        self._empty = asyncio.Event()
        self._max = max_bytes
        self._body_seconds = body_seconds
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int, connect: Callable[["Site"], asyncio.Protocol]) -> None:
        """Take connections, each by `connect`.

        Raises:
            VerbError: The port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            message = f"can't listen on {host} port {port}: {error.strerror}; is another server there?"
            raise VerbError(Reason.INTERNAL, message) from error
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: connect(self), sock=bound, backlog=_BACKLOG)
        self._sweep()

    def admit(self, declared: int) -> None:
        """Pass when a body of this length may come; 0 where it is not known.

        Raises:
            ServingError: TOO_LARGE, or OVERLOADED when too much is held already.
        """
        if declared > self._max:
            raise self._too_large(f"{declared} bytes")
        if self.held + self._max > _BODIES_AT_ONCE * self._max:
            raise ServingError(ErrorCode.OVERLOADED, "too many large requests are being read; try again")

    def check_size(self, size: int) -> None:
        """Pass while a body is within its bound.

        Raises:
            ServingError: TOO_LARGE.
        """
        if size > self._max:
            raise self._too_large(f"more than {self._max} bytes")

    def leave(self, connection: Client, *, held: int) -> None:
        """Forget a connection that ended, with the bytes of its bodies."""
        self.connections.discard(connection)
        self.incomplete.discard(connection)
        self.held -= held
        if not self.connections:
            self._empty.set()

    async def quiet(self) -> None:
        """Return once nothing is in flight, and nothing was for a second."""
        answered = -1
        while any(connection.is_busy for connection in self.connections) or self.answered != answered:
            answered = self.answered
            await asyncio.sleep(_QUIET_SECONDS)

    async def close(self, *, seconds: float) -> None:
        """Take no connection any more; end those there are, at the latest after `seconds`."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_idle()
        self._empty.clear()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
        for connection in list(self.connections):
            connection.cut()

    def _sweep(self) -> None:
        """Look for who keeps us waiting. One timer for all: a timer per request would cost more than the request."""
        now = time.perf_counter()
        for connection in list(self.incomplete):
            self._judge(connection, now - connection.since)
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _judge(self, connection: Client, waited: float) -> None:
        if connection.is_stuck and waited > _READ_SECONDS:
            connection.cut()
        elif connection.phase is Phase.HEAD and waited > HEAD_SECONDS:
            text = f"the request's head did not arrive within {HEAD_SECONDS:g} s"
            connection.refuse(ServingError(ErrorCode.SLOW_BODY, text))
        elif connection.phase is Phase.BODY and waited > self._body_seconds:
            text = f"the body did not arrive within {self._body_seconds:g} s"
            connection.refuse(ServingError(ErrorCode.SLOW_BODY, text))
        elif connection.phase is Phase.LINGER and waited > LINGER_SECONDS:
            connection.cut()

    def _too_large(self, found: str) -> ServingError:
        text = f"the body has {found}, at most {self._max} are accepted; send fewer rows"
        return ServingError(ErrorCode.TOO_LARGE, text)


@contextlib.asynccontextmanager
async def listening(
    site: Site, host: str, port: int, connect: Callable[[Site], asyncio.Protocol]
) -> AsyncIterator[None]:
    """Listen; at the end take no connection any more, and let the last answers out."""
    await site.listen(host, port, connect)
    try:
        yield
    finally:
        await site.close(seconds=CUT_SECONDS)
