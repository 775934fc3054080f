"""The life of a serving process: load, test, answer, drain, end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import aiohttp
import uvicorn
from typing_extensions import override

from kingmaker_serving.engine.service import Service
from kingmaker_serving.engine.settings import Settings
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.labels.peers import Peers
from kingmaker_serving.labels.targets import TargetsFile
from kingmaker_serving.models.loading import load_model
from kingmaker_serving.server.guard import GuardedProtocol
from kingmaker_serving.server.management import ManagementApp
from kingmaker_serving.server.requests import RequestsApp
from kingmaker_serving.server.state import State
from kingmaker_serving.shadow.shadowing import Shadow

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 4000
"""Longer than Envoy keeps an idle connection (an hour): whoever sends must be the one who closes."""
_BACKLOG: Final = 2048
_QUIET_SECONDS: Final = 1.0
"""Without a request for this long, nobody sends here any more. Routers are told when a pod begins to end, which is
`preStop` earlier; what is sent meanwhile over a connection that they still hold is answered."""
_CUT_SECONDS: Final = 1
"""What is still in flight when the drain is over gets this much more, then its connection is cut."""


class Listener(uvicorn.Server):
    """One port. Signals belong to the process, not to each of its ports."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Begin as not listening."""
        super().__init__(config)
        self.is_listening = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.is_listening.set()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def quiet(self) -> None:
        """Return once nothing is in flight, and nothing was for a second."""
        answered = -1
        while self.server_state.tasks or self.server_state.total_requests != answered:
            answered = self.server_state.total_requests
            await asyncio.sleep(_QUIET_SECONDS)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        VerbError: The model can't be served, or a port is taken.
    """
    import uvloop  # noqa: PLC0415  # this verb alone needs it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, started=time.time()))


async def _serve(settings: Settings, *, started: float) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    state = State()
    management = ManagementApp(state, max_bytes=settings.max_request_bytes)
    async with _listening(management, settings.host, settings.management_port):
        service = await _load(settings, started=started, asked=asked)
        try:
            await _answer(state, service, asked)
        finally:
            service.runner.close()
    logger.info("ended")


async def _load(settings: Settings, *, started: float, asked: asyncio.Event) -> Service:
    """Load beside the probes; end the process when it is told to before that is done."""

    def work() -> Service:
        loaded = load_model(settings.folder, settings.digests, task=settings.task, threads=settings.threads)
        return Service(settings, loaded, started=started)

    begin = time.perf_counter()
    loading = asyncio.ensure_future(asyncio.to_thread(work))
    waiting = asyncio.ensure_future(asked.wait())
    await asyncio.wait({loading, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not loading.done():
        logger.info("told to end while loading")
        logging.shutdown()
        # ONNX Runtime can't be interrupted while it loads, and a normal exit would wait for its thread.
        os._exit(0)
    service = loading.result()
    seconds = round(time.perf_counter() - begin, 3)
    logger.info("loaded", extra={"model": settings.model_version, "seconds": seconds})
    return service


async def _answer(state: State, service: Service, asked: asyncio.Event) -> None:
    settings = service.settings
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        file = TargetsFile(settings.shadow_targets) if settings.shadow_targets else None
        shadow = Shadow(service, file)
        following = group.create_task(shadow.run())
        app = RequestsApp(state, service, shadow, Peers(file, http, port=settings.management_port))
        async with _listening(app, settings.host, settings.port) as listener:
            state.shadow, state.service = shadow, service
            logger.info("ready", extra={"host": settings.host, "port": settings.port})
            await asked.wait()
            # From here on each answer closes its connection.
            state.is_draining = True
            logger.info("draining", extra={"at_most_seconds": settings.drain_seconds})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.quiet(), settings.drain_seconds)
        following.cancel()


@contextlib.asynccontextmanager
async def _listening(app: Any, host: str, port: int) -> AsyncIterator[Listener]:  # noqa: ANN401
    """Listen; at the end take no connection any more."""
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_CUT_SECONDS,
    )
    listener = Listener(config)
    running = asyncio.create_task(listener.serve(sockets=[_bind(host, port)]))
    try:
        await listener.is_listening.wait()
        yield listener
    finally:
        listener.should_exit = True
        await running


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        message = f"can't listen on {host} port {port}: {error.strerror}; is another server there?"
        raise VerbError(Reason.INTERNAL, message) from error
