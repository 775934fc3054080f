"""Keep a copy of a collection up to date: list, watch from there, list again when the server forgot (410)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from kingmaker.kube.client import Document, KubeClient, Listing
from kingmaker.kube.errors import ApiError, UnavailableError

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 290
"""The server ends each watch after this long; kube-apiserver's own default is 5 to 10 minutes."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Copy(Protocol):
    """What a reflector keeps up to date. Nothing here may block."""

    def shrink(self, item: Document) -> Document:
        """Give of an item of a list what is kept."""

    def replace(self, items: Sequence[Document], version: str) -> None:
        """Take a complete list: what is not in it is gone."""

    def put(self, item: Document) -> None:
        """Take an object that is new or changed."""

    def drop(self, item: Document) -> None:
        """Take an object, in its last state, that was deleted or left the selector."""


class Reflector:
    """Follows one collection for ever."""

    def __init__(
        self,
        client: KubeClient,
        path: str,
        copy: Copy,
        *,
        params: Mapping[str, str] | None = None,
        on_break: Callable[[], None] = lambda: None,
        is_tail: bool = False,
    ) -> None:
        """Take what to follow and where it goes.

        Args:
            client: Opened client.
            path: Collection, e.g. `/api/v1/pods`.
            copy: Told everything, in the order of the watch.
            params: Selectors.
            on_break: Called whenever the watch was lost or refused, before it is opened anew.
            is_tail: Follow from now on; what is there already is not read, and the list is told as an empty one.
        """
        self._client = client
        self._path = path
        self._params = dict(params or {})
        self._copy = copy
        self._on_break = on_break
        self._is_tail = is_tail
        self._version = ""
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """List and watch for ever; outages are waited out with growing pauses."""
        while True:
            try:
                if not self._version:
                    self._version = await self._replace()
                await self._follow()
                self._pause = _FIRST_PAUSE
            except ApiError as error:
                if error.status:  # An answer proves nothing about the watch: start from a list.
                    self._version = ""
                if error.status not in {0, 410}:
                    logger.warning("watch of %s failed: %s", self._path, error)
                self._on_break()
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            await asyncio.sleep(self._pause)

    async def _replace(self) -> str:
        # A function of its own: its variables would keep the whole list for as long as the watch lasts.
        listing = await self._list()
        self._copy.replace(listing.items, listing.version)
        return listing.version

    async def _list(self) -> Listing:
        if not self._is_tail:
            return await self._client.list(self._path, self._params, shrink=self._copy.shrink)
        page = await self._client.get(self._path, {**self._params, "limit": "1"})
        return Listing([], str(page["metadata"]["resourceVersion"]))

    async def _follow(self) -> None:
        query = {**self._params, "resourceVersion": self._version, "timeoutSeconds": str(WATCH_SECONDS)}
        async for event in self._client.watch(self._path, query, idle_seconds=WATCH_SECONDS + 20):
            self._apply(event)
            self._pause = _FIRST_PAUSE

    def _apply(self, event: Document) -> None:
        item: Document = event["object"]
        match event["type"]:
            case "ERROR":
                status, reason = int(item.get("code", 500)), str(item.get("reason", ""))
                raise UnavailableError(str(item.get("message", "")), status=status, reason=reason)
            case "DELETED":
                self._copy.drop(item)
            case "ADDED" | "MODIFIED":
                self._copy.put(item)
            case _:  # A bookmark.
                pass
        self._version = str(item["metadata"]["resourceVersion"])


class LocalCopy:
    """Remembers which objects there are, and tells each that is new, changed or gone.

    One that was deleted and made anew under its name is told twice: the old one is gone, the new one is new.
    """

    def __init__(self, on_change: Callable[[Document, bool], None], on_sync: Callable[[], None] = lambda: None) -> None:
        """Take who is told: of an object and whether it is gone; and of each complete list, after its changes."""
        self._on_change = on_change
        self._on_sync = on_sync
        self._objects: dict[str, Document] = {}

    def shrink(self, item: Document) -> Document:
        """Keep all of it."""
        return item

    def replace(self, items: Sequence[Document], version: str) -> None:
        """Tell what differs from what is known."""
        del version
        found = {_uid(item): item for item in items}
        for uid in [uid for uid in self._objects if uid not in found]:
            self._on_change(self._objects.pop(uid), True)
        for uid, item in found.items():
            known = self._objects.get(uid)
            self._objects[uid] = item
            if known is None or _version(known) != _version(item):
                self._on_change(item, False)
        self._on_sync()

    def put(self, item: Document) -> None:
        """Remember and tell it."""
        self._objects[_uid(item)] = item
        self._on_change(item, False)

    def drop(self, item: Document) -> None:
        """Forget and tell it."""
        self._objects.pop(_uid(item), None)
        self._on_change(item, True)


def _uid(item: Document) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Document) -> str:
    return str(item["metadata"]["resourceVersion"])
