"""The operator's management port: metrics and health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


class Management:
    """Serves `/metrics`, `/livez` (the event loop turns) and `/readyz`.

    Who stands by is ready: it could lead at any moment. The page says which of both it does.
    """

    def __init__(self, registry: CollectorRegistry, role: Callable[[], str]) -> None:
        """Take what to expose, and what to say on `/readyz`."""
        self._registry = registry
        self._role = role
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: The port is taken.
        """
        app = web.Application()
        app.add_routes([web.get("/metrics", self._metrics), web.get("/livez", _ok), web.get("/readyz", self._ready)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        text = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self._role()}\n")


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
