"""ConfigMaps and Secrets that pods of this node use: one watch per object, shared by all pods, as the kubelet does.

A node's credentials may read the objects of its own pods only, so there is no watch over all of them.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from kingmaker.kube.client import Document, KubeClient
from kingmaker.kube.errors import ApiError, UnavailableError
from kingmaker.kube.reflector import LocalCopy, Reflector

Key = tuple[str, str, str]
"""Collection, namespace, name."""

_SYNC_SECONDS = 10.0
_AUTHORIZED_SECONDS = 2.0


@dataclass(slots=True)
class _Watched:
    users: dict[str, Callable[[], None]] = field(default_factory=dict)
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    current: Document | None = None
    task: asyncio.Task[None] | None = None


class SourceWatches:
    """Current ConfigMaps and Secrets, and a call when one changes."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._watched: dict[Key, _Watched] = {}

    async def read(self, collection: str, namespace: str, name: str) -> Document | None:
        """Read one object once, from the server; None when it isn't there."""
        path = f"/api/v1/namespaces/{namespace}/{collection}/{name}"
        deadline = asyncio.get_running_loop().time() + _AUTHORIZED_SECONDS
        while True:
            try:
                return await self._client.get(path)
            except ApiError as error:
                if error.is_not_found:
                    return None
                # The Node authorizer learns from a watch of its own that the pod is ours, often after we do.
                if error.status != 403 or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def follow(self, key: Key, user: str, on_change: Callable[[], None]) -> Document | None:
        """Read an object and be told of changes until `release`.

        Raises:
            ApiError: The API server doesn't answer.
        """
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = self._start(key)
        watched.users[user] = on_change
        try:
            await asyncio.wait_for(watched.synced.wait(), _SYNC_SECONDS)
        except TimeoutError:
            raise UnavailableError(f"{key[0]} {key[1]}/{key[2]} could not be read", reason="Unreachable") from None
        return watched.current

    def release(self, user: str) -> None:
        """Forget a user; watches that nobody needs end."""
        for key, watched in list(self._watched.items()):
            watched.users.pop(user, None)
            if not watched.users and watched.task:
                watched.task.cancel()
                del self._watched[key]

    async def close(self) -> None:
        """End all watches."""
        tasks = [watched.task for watched in self._watched.values() if watched.task]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: Key) -> _Watched:
        watched = _Watched()

        def changed(item: Document, is_gone: bool) -> None:
            watched.current = None if is_gone else item
            if watched.synced.is_set():
                for tell in list(watched.users.values()):
                    tell()

        reflector = Reflector(
            self._client,
            f"/api/v1/namespaces/{key[1]}/{key[0]}",
            LocalCopy(changed, watched.synced.set),
            params={"fieldSelector": f"metadata.name={key[2]}"},
        )
        watched.task = asyncio.create_task(reflector.run(), name=f"watch {'/'.join(key)}")
        return watched
