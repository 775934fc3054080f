"""The life of a serving process: load, test, answer, end."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kingmaker_serving.engine.modelsfile import ModelsFile
from kingmaker_serving.engine.pace import Pace
from kingmaker_serving.engine.registry import Make, Registry, load
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.engine.settings import ModelSettings, Settings
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.models.loading import LoadedModel
from kingmaker_serving.server.answering import answer
from kingmaker_serving.server.connection import Connection
from kingmaker_serving.server.management import ManagementApp
from kingmaker_serving.server.site import Site, listening
from kingmaker_serving.server.state import State

logger = logging.getLogger(__name__)

_CODECS: Final = 2
"""Threads that read large bodies and write large answers."""
_GARBAGE: Final = (20_000, 20, 20)


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
    keys = Keys(settings.id_keys)
    registry = Registry(_maker(settings, keys, started=started))
    state = State(registry)
    file = ModelsFile(settings.models_file, settings.limits) if settings.models_file else None
    app = ManagementApp(state, max_bytes=settings.max_request_bytes)
    management = Site(app, max_bytes=settings.max_request_bytes, body_seconds=settings.body_seconds)
    async with listening(management, settings.host, settings.management_port, Connection):
        await _unless(asked, _load(settings, registry, file))
        _settle_garbage()
        try:
            await answer(settings, state, file, keys, asked)
        finally:
            await registry.close()
    logger.info("ended")


def _maker(settings: Settings, keys: Keys, *, started: float) -> Make:
    """Give what makes a loaded model one that is served, with what all models of a process share."""
    watch = Watch()

    def make(model: ModelSettings, loaded: LoadedModel, pace: Pace) -> ServedModel:
        return ServedModel(
            model,
            loaded,
            pace,
            watch=watch,
            keys=keys,
            pod=settings.pod_name,
            address=settings.pod_ip,
            # What comes later counts from then on: to a reader another start is another count.
            started=time.time() if settings.models_file else started,
        )

    return make


async def _load(settings: Settings, registry: Registry, file: ModelsFile | None) -> None:
    """Load the only model, which must be good, or all of a file, of which those are served that are good."""
    if file is not None:
        wanted = file.read()
        await registry.follow(wanted.models, wanted.problems)
    elif settings.model is not None:
        loaded, pace = await asyncio.to_thread(load, settings.model)
        registry.put(registry.make(settings.model, loaded, pace))


async def _unless(asked: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work beside the probes; end the process when it is told to before that is done."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        logger.info("told to end while loading")
        logging.shutdown()
        # ONNX Runtime can't be interrupted while it loads, and a normal exit would wait for its thread.
        os._exit(0)
    working.result()


def _settle_garbage() -> None:
    """Let the collector leave alone what stays, and look seldom: requests leave no rings of objects behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
