"""What a reflector keeps of a list, and what it does not."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from kingmaker.kube.client import Document, Listing
from kingmaker.kube.reflector import Reflector


class Item(dict[str, Any]):
    """A body that tells when it is freed."""


class Served:
    """A collection with one object, whose watch says nothing."""

    def __init__(self) -> None:
        self.item: weakref.ref[Item] | None = None
        self.watched = asyncio.Event()

    async def list(self, path: str, params: Any, *, shrink: Callable[[Document], Document]) -> Listing:
        item = Item(metadata={"name": "one", "managedFields": []})
        self.item = weakref.ref(item)
        return Listing([shrink(item)], "7")

    async def watch(self, path: str, query: Any, *, idle_seconds: float) -> AsyncIterator[Document]:
        self.watched.set()
        await asyncio.Event().wait()
        yield {}


class Names:
    """Keeps names alone."""

    def __init__(self) -> None:
        self.listed: list[Document] = []

    def shrink(self, item: Document) -> Document:
        return {"name": item["metadata"]["name"]}

    def replace(self, items: Sequence[Document], version: str) -> None:
        self.listed = [*items]

    def put(self, item: Document) -> None:
        raise NotImplementedError

    def drop(self, item: Document) -> None:
        raise NotImplementedError


async def test_while_a_watch_lasts_nothing_is_left_of_its_list_but_what_is_kept() -> None:
    served, names = Served(), Names()
    client: Any = served
    running = asyncio.create_task(Reflector(client, "/api/v1/pods", names).run())
    await asyncio.wait_for(served.watched.wait(), 5)
    gc.collect()
    assert names.listed == [{"name": "one"}]
    assert served.item is not None
    assert served.item() is None
    running.cancel()
