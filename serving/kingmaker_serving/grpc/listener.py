"""The gRPC port: its connections, its services, its end."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Final

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.grpc import health, inference, reflection
from kingmaker_serving.grpc.call import Bounds, Call, Method
from kingmaker_serving.grpc.heads import CallHead, read_head
from kingmaker_serving.grpc.health import Health
from kingmaker_serving.grpc.http2.connection import Connection
from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error
from kingmaker_serving.grpc.http2.hpack import Field
from kingmaker_serving.grpc.http2.stream import Stream
from kingmaker_serving.grpc.reflection import Reflection

_BACKLOG: Final = 2048
_HELD_AT_ONCE: Final = 16
"""Largest messages that are held at the same time; beyond that, calls are refused."""
_CHECK_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 1.0
"""Without a call for this long, nobody sends here any more; see the drain of the requests' port."""
_ENDS: Final = ServingError(ErrorCode.NOT_READY, "the server ends, and this took longer than it may still wait")


class GrpcListener:
    """Answers calls from `listen` to `close`."""

    def __init__(self, models: inference.Models, *, max_bytes: int, message_seconds: float) -> None:
        """Lay out the services.

        Args:
            models: Answer, once they are there.
            max_bytes: Of a message, packed and unpacked, and of the tensors in it.
            message_seconds: For a message to arrive.
        """
        versions = [reflection.service_name(version) for version in reflection.VERSIONS]
        services = frozenset({inference.SERVICE, health.SERVICE, *versions})
        self.health = Health(services)
        self.is_draining = False
        self._bounds = Bounds(max_bytes, _HELD_AT_ONCE * max_bytes, message_seconds)
        self._methods: dict[bytes, Method] = {}
        self._add(inference.SERVICE, inference.inference_methods(models, max_bytes=max_bytes))
        self._add(health.SERVICE, self.health.methods())
        for version in reflection.VERSIONS:
            self._add(reflection.service_name(version), Reflection(version, services).methods())
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._checking: asyncio.TimerHandle | None = None

    def _add(self, service: str, methods: Mapping[str, Method]) -> None:
        self._methods |= {f"/{service}/{name}".encode(): method for name, method in methods.items()}

    async def listen(self, host: str, port: int) -> int:
        """Take connections; port 0 takes a free one.

        Returns:
            The port.

        Raises:
            VerbError: The port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            message = f"can't listen on {host} port {port}: {error.strerror}; is another server there?"
            raise VerbError(Reason.INTERNAL, message) from error
        # A client that is gone without a word is noticed by the kernel; accepted connections inherit it.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, time.perf_counter), sock=bound)
        self.health.set(is_serving=True)
        self._check()
        return int(bound.getsockname()[1])

    async def drain(self, seconds: float) -> None:
        """Ask clients to leave, and answer until nothing was in flight for a second.

        Args:
            seconds: At most.
        """
        self.is_draining = True
        self.health.set(is_serving=False)
        for connection in list(self._connections):
            connection.ask_to_leave()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet(), seconds)

    async def close(self) -> None:
        """Take nothing more; what is in flight even now is UNAVAILABLE."""
        if self._checking is not None:
            self._checking.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            for stream in list(connection.streams.values()):
                assert isinstance(stream, Call)
                stream.fail(_ENDS)
            connection.give_up(ConnectionFault(H2Error.NO_ERROR, "the server ends"))
        # Transports close at the loop's next turns, once their last words have gone out.
        await asyncio.sleep(0)

    # -- what connections ask

    def read_head(self, fields: list[Field]) -> CallHead:
        """Read the head of a call."""
        return read_head(fields)

    def open(self, connection: Connection, stream_id: int, head: object) -> Stream:
        """Begin a call."""
        assert isinstance(head, CallHead)
        return Call(connection, stream_id, head, self._methods.get(head.path), self._bounds)

    def connected(self, connection: Connection) -> None:
        """Know of a connection."""
        self._connections.add(connection)

    def disconnected(self, connection: Connection) -> None:
        """Know that it is gone."""
        self._connections.discard(connection)

    # -- inside

    async def _quiet(self) -> None:
        answered = -1
        while self._bounds.busy or self._bounds.answered != answered:
            answered = self._bounds.answered
            await asyncio.sleep(_QUIET_SECONDS)

    def _check(self) -> None:
        """Look for what takes too long. One timer for all: one per call would cost a tenth of the call."""
        now = time.perf_counter()
        for connection in list(self._connections):
            connection.check(now)
        self._checking = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)
