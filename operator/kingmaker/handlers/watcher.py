"""kopf in a thread and an event loop of its own, begun again whenever it gives up.

In a loop with others it takes the process's signals for itself, waits five seconds for everybody's tasks when it ends,
and cancels them then: the routers' streams, reconciles, the renewal of a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

logger = logging.getLogger(__name__)

_RESTART_SECONDS: Final = 1.0
_END_SECONDS: Final = 3.0

Seen = Callable[[str, str | None, dict[str, Any]], None]
"""Told the kind, the type of the event (None: an item of a list) and the object."""


class Watcher:
    """Tells what kopf sees."""

    def __init__(self, namespaces: Sequence[str], seen: Seen, *, on_break: Callable[[], None]) -> None:
        """Take what to watch and who is told, in the loop of `run`.

        Args:
            namespaces: Which to watch; all when there is none.
            seen: Told each event.
            on_break: Called when kopf ended: it begins again, and does not know what it missed.
        """
        self._namespaces = namespaces
        self._seen = seen
        self._on_break = on_break
        self._thread: threading.Thread | None = None

    async def run(self) -> None:
        """Watch until cancelled.

        kopf gives up on some answers of an API server in trouble. Nothing is lost by beginning again: everything is
        listed anew, and no decision depends on having seen an event.
        """
        while True:
            loop = asyncio.get_running_loop()
            ended: asyncio.Future[None] = loop.create_future()
            stop = threading.Event()
            self._thread = threading.Thread(target=self._work, args=(loop, ended, stop), name="watch", daemon=True)
            self._thread.start()
            try:
                await ended
            except Exception:
                logger.exception("the watch broke; it begins again")
            finally:
                stop.set()
            self._on_break()
            await asyncio.sleep(_RESTART_SECONDS)

    async def close(self) -> None:
        """Wait a little for the thread, which was told to end; it keeps nobody from ending."""
        if self._thread:
            await asyncio.to_thread(self._thread.join, _END_SECONDS)

    def _work(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], stop: threading.Event) -> None:
        def seen(kind: str, event: str | None, body: dict[str, Any]) -> None:
            _tell(loop, self._seen, kind, event, body)

        error: BaseException | None = None
        try:
            # kopf takes a third of a second to import, for which nobody may have to wait.
            from kingmaker.handlers.events import watch  # noqa: PLC0415

            asyncio.run(watch(self._namespaces, seen, stop))
        except BaseException as failure:  # noqa: BLE001  # whoever waits for the thread raises it
            error = failure
        # Nobody waits any more where the loop has ended.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_end, ended, error)


def _end(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, seen: Seen, kind: str, event: str | None, body: dict[str, Any]) -> None:
    # News that come after the end are nobody's.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(seen, kind, event, body)
