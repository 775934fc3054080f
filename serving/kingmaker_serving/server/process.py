"""The life of a serving process: load, test, answer, drain, end."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import aiohttp

from kingmaker_serving.engine.pace import Pace, measure
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.engine.settings import Settings
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.labels.peers import Peers
from kingmaker_serving.labels.targets import TargetsFile
from kingmaker_serving.models.loading import LoadedModel, load_model
from kingmaker_serving.server.connection import Connection
from kingmaker_serving.server.management import ManagementApp
from kingmaker_serving.server.requests import RequestsApp
from kingmaker_serving.server.site import Site
from kingmaker_serving.server.state import State
from kingmaker_serving.shadow.shadowing import Shadow

logger = logging.getLogger(__name__)

_CODECS: Final = 2
"""Threads that read large bodies and write large answers."""
_KEYS_SECONDS: Final = 2.0
_CUT_SECONDS: Final = 1.0
"""What is still in flight when the drain is over gets 503, and this much more to go out."""


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
    loop.set_default_executor(ThreadPoolExecutor(_CODECS, thread_name_prefix="codec"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    state = State()
    management = Site(
        ManagementApp(state, max_bytes=settings.max_request_bytes),
        max_bytes=settings.max_request_bytes,
        body_seconds=settings.body_seconds,
    )
    keys = Keys(settings.id_keys, only=settings.feedback_key)
    async with _listening(management, settings.host, settings.management_port):
        loaded, pace = await _load(settings, asked=asked)
        model = _served(settings, loaded, pace, keys, started=started)
        try:
            await _answer(settings, state, model, keys, asked)
        finally:
            model.close()
    logger.info("ended")


async def _load(settings: Settings, *, asked: asyncio.Event) -> tuple[LoadedModel, Pace]:
    """Load beside the probes; end the process when it is told to before that is done."""

    def work() -> tuple[LoadedModel, Pace]:
        model = settings.model
        loaded = load_model(model.folder, model.digests, task=model.task, threads=model.limits.threads)
        return loaded, measure(loaded.session, loaded.samples)

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
    loaded, pace = loading.result()
    fields = {
        "model": settings.model.version,
        "seconds": round(time.perf_counter() - begin, 3),
        "run_seconds": round(pace.first, 6),
        "batches": pace.is_batchable,
    }
    logger.info("loaded", extra=fields)
    return loaded, pace


def _served(settings: Settings, loaded: LoadedModel, pace: Pace, keys: Keys, *, started: float) -> ServedModel:
    return ServedModel(
        settings.model,
        loaded,
        pace,
        watch=Watch(),
        keys=keys,
        pod=settings.pod_name,
        address=settings.pod_ip,
        started=started,
    )


async def _answer(settings: Settings, state: State, model: ServedModel, keys: Keys, asked: asyncio.Event) -> None:
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        file = TargetsFile(settings.shadow_targets) if settings.shadow_targets else None
        shadow = Shadow(model, file)
        model.on_answered = shadow.offer
        following = group.create_task(shadow.run())
        keeping = group.create_task(_follow(keys))
        model.judge.peers = Peers(file, http, own=model.ids.address, port=settings.management_port)
        app = RequestsApp(state, model, max_bytes=settings.max_request_bytes)
        site = Site(app, max_bytes=settings.max_request_bytes, body_seconds=settings.body_seconds)
        site.on_refused = app.refused
        async with _listening(site, settings.host, settings.port):
            state.shadow, state.model = shadow, model
            logger.info("ready", extra={"host": settings.host, "port": settings.port})
            await asked.wait()
            # From here on each answer closes its connection.
            state.is_draining = True
            logger.info("draining", extra={"at_most_seconds": settings.drain_seconds})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(site.quiet(), settings.drain_seconds)
            model.abandon(ServingError(ErrorCode.NOT_READY, "the server ends, and this took longer than it may wait"))
        following.cancel()
        keeping.cancel()


async def _follow(keys: Keys) -> None:
    """Follow the folder of keys until cancelled."""
    while True:
        keys.refresh()
        await asyncio.sleep(_KEYS_SECONDS)


@contextlib.asynccontextmanager
async def _listening(site: Site, host: str, port: int) -> AsyncIterator[None]:
    """Listen; at the end take no connection any more, and let the last answers out."""
    await site.listen(host, port, Connection)
    try:
        yield
    finally:
        await site.close(seconds=_CUT_SECONDS)
