"""The port for gRPC in the life of a process: listens once models answer, drains with the other port."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

from kingmaker_serving.engine.settings import Settings
from kingmaker_serving.server.state import State

Drain = Callable[[float], Coroutine[None, None, None]]
"""Asks clients to leave, and waits until they have, for so many seconds at most."""


@contextlib.asynccontextmanager
async def calling(settings: Settings, state: State) -> AsyncIterator[Drain]:
    """Answer calls, unless the settings say otherwise.

    Yields:
        How to drain.

    Raises:
        VerbError: The port is taken.
    """
    if not settings.grpc_port:
        yield _nothing
        return
    # Not before the port for REST answers, and never where there is no gRPC: it takes 20 ms and 2 MiB.
    from kingmaker_serving.grpc.listener import GrpcListener  # noqa: PLC0415

    listener = GrpcListener(state, max_bytes=settings.max_request_bytes, message_seconds=settings.body_seconds)
    await listener.listen(settings.host, settings.grpc_port)
    try:
        yield listener.drain
    finally:
        await listener.close()


async def _nothing(_: float) -> None:
    """Drain what does not listen."""
