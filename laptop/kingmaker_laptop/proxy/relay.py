"""Pass one connection on to a pod: two protocols that know each other, back-pressure in both directions."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Final, cast

from typing_extensions import override

from kingmaker_laptop.proxy.routes import Address

logger = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 3.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Half(asyncio.Protocol):
    """One side of a relayed connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self._has_ended = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are no subclasses.
        self.transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    @override
    def eof_received(self) -> bool:
        """One direction is finished; the other one may go on."""
        self._has_ended = True
        other = self.other
        if other is None or other.transport is None or other._has_ended:  # noqa: SLF001 - the other half is of us
            return False
        if other.transport.can_write_eof() and not other.transport.is_closing():
            other.transport.write_eof()
        return True

    @override
    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        other, self.other = self.other, None
        self.transport = None
        if other is not None and other.transport is not None:
            if exc is None:
                other.transport.close()
            else:
                reset(other.transport)


class Inbound(Half):
    """A client's connection.

    Args:
        choose: Pods to try, in order, for a client's address.
        tasks: Keeps the connecting task alive.
    """

    def __init__(self, choose: Callable[[str], Iterable[Address]], tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self._choose = choose
        self._tasks = tasks
        self._early: list[bytes] = []

    @override
    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
        elif self.transport is not None:
            # Kept until there is a pod to pass it to. Reading pauses here, not at the start: uvloop would forget that.
            self._early.append(data)
            self.transport.pause_reading()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        task = asyncio.get_running_loop().create_task(self._connect(self.transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @override
    def eof_received(self) -> bool:
        if self.other is None:
            self._has_ended = True
            return True
        return super().eof_received()

    def _pass_early_on(self, inbound: asyncio.Transport, outbound: asyncio.Transport) -> None:
        if self._early:
            outbound.write(b"".join(self._early))
            self._early.clear()
            inbound.resume_reading()
        if self._has_ended and outbound.can_write_eof():
            outbound.write_eof()

    async def _connect(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername") or ("",)
        for host, port in self._choose(str(peer[0])):
            outbound = Half()
            outbound.other = self  # From the start: a pod may speak first.
            if not await _open(outbound, host, port):
                continue
            if transport.is_closing() or outbound.transport is None:
                _abandon(transport, outbound)
                return
            self.other = outbound
            self._pass_early_on(transport, outbound.transport)
            return
        reset(transport)


async def _open(outbound: Half, host: str, port: int) -> bool:
    """Connect to a pod; whether it took the connection, else another one should."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await loop.create_connection(lambda: outbound, host, port)
    except (OSError, TimeoutError) as error:
        logger.debug("pod %s:%d did not take a connection: %s", host, port, error)
        return False
    return True


def _abandon(inbound: asyncio.Transport, outbound: Half) -> None:
    """One side went away while the other one was being connected."""
    if outbound.transport is not None:
        outbound.transport.abort()
    if not inbound.is_closing():
        reset(inbound)


def reset(transport: asyncio.Transport) -> None:
    """Close with RST: the client sees at once that this was not an answer."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
