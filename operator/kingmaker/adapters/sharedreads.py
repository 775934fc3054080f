"""Share one read among all who ask for the same at about the same time. It begins after each of them asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Read = Callable[[], Awaitable[Any]]


class SharedReads:
    """At most one read of a thing is under way; who asks meanwhile gets the next one, with all who wait for it.

    All deployments of a namespace look at the same siblings, Models and routers, and one event may concern them all.
    What is given is shared: nobody may change it.
    """

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._next: dict[str, asyncio.Task[Any]] = {}

    async def read(self, what: str, read: Read) -> Any:  # noqa: ANN401  # whatever `read` gives
        """Give what a `read` gives that begins after this call. Errors go to all who share it."""
        waiting = self._next.get(what)
        if waiting is None:
            waiting = self._next[what] = asyncio.create_task(self._after(self._running.get(what), what, read))
        # A reader that gives up leaves the others their read.
        return await asyncio.shield(waiting)

    async def _after(self, running: asyncio.Task[Any] | None, what: str, read: Read) -> Any:  # noqa: ANN401
        if running:
            await asyncio.wait([running])
        mine = self._running[what] = self._next.pop(what)
        try:
            return await read()
        finally:
            if self._running.get(what) is mine:
                del self._running[what]
