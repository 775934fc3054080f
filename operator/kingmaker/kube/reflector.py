"""Keep a copy of a collection up to date: list, watch from there, list again when the server forgot (410)."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kingmaker.kube.client import ApiError, Document, KubeClient

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 290
"""The server ends each watch after this long; kube-apiserver's own default is 5 to 10 minutes."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

OnChange = Callable[[Document, bool], None]
"""Called with the object and whether it is gone. Must not block."""


class Reflector:
    """A local copy of one collection.

    Args:
        client: Opened client.
        path: Collection, e.g. `/api/v1/pods`.
        params: Selectors.
        on_change: Told each object that is new, changed or gone, in the order of the watch.
        on_sync: Called after each complete list, when the copy is a whole again.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        on_change: OnChange,
        on_sync: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._path = path
        self._params = dict(params or {})
        self._on_change = on_change
        self._on_sync = on_sync
        self._objects: dict[str, Document] = {}
        self._version = ""

    def __iter__(self) -> Iterator[Document]:
        return iter(list(self._objects.values()))

    async def run(self) -> None:
        """List and watch for ever; outages are waited out with growing pauses."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    await self._relist()
                await self._follow()
                pause = _FIRST_PAUSE
                await asyncio.sleep(pause)
            except ApiError as error:
                if error.status:  # An answer proves nothing about the watch: start from a list.
                    self._version = ""
                if error.status not in {0, 410}:
                    logger.warning("watch of %s failed: %s", self._path, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _relist(self) -> None:
        listed = await self._client.get(self._path, self._params)
        found = {_key(item): item for item in listed.get("items") or []}
        for key in [key for key in self._objects if key not in found]:
            self._on_change(self._objects.pop(key), True)
        for key, item in found.items():
            known = self._objects.get(key)
            self._objects[key] = item
            if known is None or _version(known) != _version(item):
                self._on_change(item, False)
        self._version = str(listed["metadata"]["resourceVersion"])
        self._on_sync()

    async def _follow(self) -> None:
        query = {**self._params, "resourceVersion": self._version, "timeoutSeconds": str(WATCH_SECONDS)}
        async for event in self._client.watch(self._path, query, idle_seconds=WATCH_SECONDS + 20):
            self._apply(event)

    def _apply(self, event: Document) -> None:
        item: Document = event["object"]
        match event["type"]:
            case "ERROR":
                raise ApiError(int(item.get("code", 500)), str(item.get("reason", "")), str(item.get("message", "")))
            case "DELETED":
                self._version = _version(item)
                self._objects.pop(_key(item), None)
                self._on_change(item, True)
            case "ADDED" | "MODIFIED":
                self._version = _version(item)
                self._objects[_key(item)] = item
                self._on_change(item, False)
            case _:
                self._version = _version(item)


def _key(item: Document) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Document) -> str:
    return str(item["metadata"]["resourceVersion"])
