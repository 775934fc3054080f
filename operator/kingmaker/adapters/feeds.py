"""Keeps the store in step with the API server.

Models come by kopf's watch, told to `seen`; ModelDeployments and what the operator makes, by a reflector for each kind:
an edit is followed within milliseconds. kopf's watch has two gaps (docs/decisions/0011): it says nothing of what was
deleted while it was down, and not when its first list is complete. So Models are listed beside it: at the start,
whenever kopf lists them again, and whenever any watch here broke, for then kopf's may have broken as well. The store
compares keys; what kopf told meanwhile stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kingmaker.adapters.kinds import REFLECTED, RESOURCES, TOLD_BY_KOPF
from kingmaker.kube.client import Document, KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.reflector import Reflector
from kingmaker.kube.store import Store

logger = logging.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds between two lists of one kind: kopf tells a list object by object, and it is answered by one."""

_LONGEST_PAUSE: Final = 10.0


class Feed:
    """Feeds one kind in one namespace, or in all of them when it is empty, into the store."""

    def __init__(self, store: Store, kind: str, namespace: str, synced: Callable[[str], None]) -> None:
        """Take where to; `synced` is told of the namespace when the first complete list is in."""
        self.kind = kind
        self.namespace = namespace
        self._store = store
        self._synced = synced
        self._is_synced = False
        self._type = RESOURCES[kind].typed

    @property
    def path(self) -> str:
        """The collection."""
        return RESOURCES[self.kind].path(self.namespace)

    def shrink(self, item: Document) -> Document:
        """Keep of an item of a list what the store keeps."""
        return self._store.kinds[self.kind].trim(self._type(self.kind, item))

    def replace(self, items: Sequence[Document], version: str) -> None:
        """Take a complete list of items that were shrunk."""
        self._store.replace(self.kind, self.namespace, items, version)
        if not self._is_synced:
            self._is_synced = True
            self._synced(self.namespace)

    def put(self, item: Document) -> None:
        """Take an object that is new or changed."""
        self._store.put(self.kind, self._type(self.kind, item))

    def drop(self, item: Document) -> None:
        """Take an object that was deleted or left the selector."""
        self._store.drop(self.kind, self._type(self.kind, item))


class Recorded(Protocol):
    """Who remembers Decisions. They are too many to be kept here, and only the newest of each deployment matter."""

    def made(self, uid: str, sequence: int) -> None:
        """Take in that the deployment with this uid has a Decision with this number."""

    def removed(self, uid: str, sequence: int) -> None:
        """Take in that the Decision with this number is gone."""

    def missed(self) -> None:
        """Take in that for a while nobody told what became of Decisions."""


class RecordFeed:
    """Tells of Decisions from now on; what was there before is read by who needs it."""

    def shrink(self, item: Document) -> Document:
        """Keep all of it."""
        return item

    def __init__(self, recorded: Recorded) -> None:
        """Take who is told."""
        self._recorded = recorded

    def replace(self, items: Sequence[Document], version: str) -> None:
        """A watch begins, and nobody knows what happened before."""
        del items, version
        self._recorded.missed()

    def put(self, item: Document) -> None:
        """Tell of a Decision."""
        self._recorded.made(item["spec"]["deploymentUid"], int(item["spec"]["sequence"]))

    def drop(self, item: Document) -> None:
        """Tell that a Decision was deleted."""
        self._recorded.removed(item["spec"]["deploymentUid"], int(item["spec"]["sequence"]))


class Lister:
    """Lists a collection whenever somebody asked for it; who asks during a list gets the next one."""

    def __init__(self, client: KubeClient, feed: Feed) -> None:
        """Take where from and where to. The first list is asked for."""
        self._client = client
        self._feed = feed
        self._asked = asyncio.Event()
        self._asked.set()

    def ask(self) -> None:
        """Have the collection listed soon."""
        self._asked.set()

    async def run(self) -> None:
        """List on demand, for ever; outages are waited out with growing pauses."""
        pause = _PAUSE
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._list()
                pause = _PAUSE
            except ApiError as error:
                logger.warning("list of %s failed: %s", self._feed.path, error)
                self._asked.set()
                pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _list(self) -> None:
        listing = await self._client.list(self._feed.path, shrink=self._feed.shrink)
        self._feed.replace(listing.items, listing.version)


class Feeds:
    """All of them."""

    def __init__(
        self,
        client: KubeClient,
        store: Store,
        namespaces: Sequence[str],
        *,
        synced: Callable[[str], None],
        recorded: Recorded | None = None,
    ) -> None:
        """Take where from and where to.

        Args:
            client: Opened by the time of `run`.
            store: Fed from now on.
            namespaces: Which to watch; all when there is none.
            synced: Told of each namespace that is complete, once; of the empty name when all are.
            recorded: Told of Decisions.
        """
        self._store = store
        self._on_synced = synced
        self._all_synced = asyncio.Event()
        scopes = self._scopes = namespaces or ("",)
        own = [Feed(store, kind, scope, self._synced) for kind in TOLD_BY_KOPF for scope in scopes]
        self._listers = {(feed.kind, feed.namespace): Lister(client, feed) for feed in own}
        self._reflectors = [
            Reflector(
                client,
                RESOURCES[kind].path(scope),
                Feed(store, kind, scope, self._synced),
                params={"labelSelector": selector} if selector else {},
                on_break=self.list_again,
            )
            for kind, selector in REFLECTED.items()
            for scope in scopes
        ]
        if recorded:
            path = RESOURCES["Decision"].path
            feed = RecordFeed(recorded)
            self._reflectors += [Reflector(client, path(scope), feed, is_tail=True) for scope in scopes]

    async def run(self) -> None:
        """Feed the store until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lister in self._listers.values():
                group.create_task(lister.run())
            for reflector in self._reflectors:
                group.create_task(reflector.run())

    async def are_synced(self) -> None:
        """Return once everything was read completely."""
        await self._all_synced.wait()

    def seen(self, kind: str, event: str | None, body: Document) -> None:
        """Take what kopf saw.

        Args:
            kind: One of `TOLD_BY_KOPF`.
            event: `ADDED`, `MODIFIED` or `DELETED`; None for an item of a list.
            body: The object.
        """
        if event == "DELETED":
            self._store.drop(kind, body)
            return
        self._store.put(kind, body)
        if event is None:
            lister = self._listers.get((kind, body["metadata"]["namespace"])) or self._listers.get((kind, ""))
            if lister:
                lister.ask()

    def list_again(self) -> None:
        """Have what kopf tells listed: nobody knows what it missed."""
        for lister in self._listers.values():
            lister.ask()

    def _synced(self, namespace: str) -> None:
        if self._store.is_synced(namespace):
            self._on_synced(namespace)
        if all(map(self._store.is_synced, self._scopes)):
            self._all_synced.set()
