"""The part of a process's life in which it answers: its ports, and what it follows meanwhile."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Final

from kingmaker_serving.engine.modelsfile import ModelsFile
from kingmaker_serving.engine.registry import Registry
from kingmaker_serving.engine.settings import Settings
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.httpclient import Client
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.labels.peers import Peers
from kingmaker_serving.labels.targets import TargetsFile
from kingmaker_serving.server.calls import calling
from kingmaker_serving.server.connection import Connection
from kingmaker_serving.server.requests import RequestsApp
from kingmaker_serving.server.site import Site, listening
from kingmaker_serving.server.state import State
from kingmaker_serving.shadow.shadowing import Shadow

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_KEYS_SECONDS: Final = 2.0
_LATE: Final = ServingError(ErrorCode.NOT_READY, "the server ends, and this took longer than it may still wait")


async def answer(settings: Settings, state: State, file: ModelsFile | None, keys: Keys, asked: asyncio.Event) -> None:
    """Answer requests until asked to end, then until nobody asks any more, for as long as the settings allow.

    Args:
        settings: The process's.
        state: Told when it is ready and when it drains.
        file: Of models, which is followed; None for the one model that there is.
        keys: Of request ids, which are followed.
        asked: Set when the process shall end.

    Raises:
        VerbError: The port is taken.
    """
    client = Client()
    async with asyncio.TaskGroup() as group:
        following = [group.create_task(_follow_keys(keys))]
        if file is not None:
            following.append(group.create_task(_follow_models(state.registry, file)))
        else:
            shadow = _shadow(settings, state, client)
            following.append(group.create_task(shadow.run()))
        app = RequestsApp(state, max_bytes=settings.max_request_bytes)
        site = Site(app, max_bytes=settings.max_request_bytes, body_seconds=settings.body_seconds)
        site.on_refused = app.refused
        async with listening(site, settings.host, settings.port, Connection), calling(settings, state) as drain:
            state.is_loaded = True
            # What a first scrape needs comes now, on a thread: imported before, it would keep everybody waiting.
            asyncio.get_running_loop().run_in_executor(None, import_module, "kingmaker_serving.server.metrics")
            logger.info("ready", extra={"host": settings.host, "port": settings.port})
            await asked.wait()
            # From here on each answer closes its connection.
            state.is_draining = True
            logger.info("draining", extra={"at_most_seconds": settings.drain_seconds})
            drained = group.create_task(drain(settings.drain_seconds))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(site.quiet(), settings.drain_seconds)
            await drained
            for model in state.registry:
                model.abandon(_LATE)
        for task in following:
            task.cancel()
    await client.close()


def _shadow(settings: Settings, state: State, client: Client) -> Shadow:
    """Connect the only model with challengers that get copies, and with pods that remember more of some requests."""
    (model,) = state.registry
    targets = TargetsFile(settings.shadow_targets) if settings.shadow_targets else None
    shadow = state.shadow = Shadow(model, targets, client)
    model.runner.on_run = shadow.offer
    model.judge.peers = Peers(targets, client, own=model.ids.address, port=settings.management_port)
    return shadow


async def _follow_models(registry: Registry, file: ModelsFile) -> None:
    """Serve what the file says, as it changes."""

    async def look() -> None:
        wanted = file.changed()
        if wanted is not None:
            await registry.follow(wanted.models, wanted.problems)

    await _again_and_again(look, _LOOK_SECONDS)


async def _follow_keys(keys: Keys) -> None:
    """Follow the folder of keys."""

    async def look() -> None:
        keys.refresh()

    await _again_and_again(look, _KEYS_SECONDS)


async def _again_and_again(look: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Look every so often; a bug in what is followed must not end what answers."""
    while True:
        try:
            await look()
        except Exception:
            logger.exception("following failed by a bug")
        await asyncio.sleep(seconds)
