"""The API server as the operator works with it: read from memory, written through, looked at live where it matters."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Mapping
from datetime import datetime

from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.kinds import REFERS
from kingmaker.core.serving.ownership import scaled
from kingmaker.kube.client import Document
from kingmaker.kube.errors import ApiError, ConflictError, NotFoundError, UnavailableError
from kingmaker.kube.store import Store
from kingmaker.ports import Body

_Bodies = list[Body]


class StoredCluster:
    """Implements the port `Cluster`.

    Every answer of the API server goes into the store: a pass sees what the pass before it wrote, whatever the watches
    have told so far. A write that contradicts the store makes it look again, so a stale store can't be stuck on.
    """

    def __init__(self, live: KubernetesCluster, store: Store) -> None:
        """Take the API server, and a store that somebody feeds."""
        self._live = live
        self._store = store

    @property
    def writes(self) -> int:
        """Writes that were sent, Events apart; an idle operator sends none."""
        return self._live.writes

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Give one object from memory; kinds that aren't watched are read live."""
        if kind not in self._store.kinds:
            return await self._live.get(kind, namespace, name)
        self._check(namespace)
        return self._store.kinds[kind].get(namespace, name)

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> _Bodies:
        """Give all objects that have these labels from memory; kinds that aren't watched are read live."""
        if kind not in self._store.kinds:
            return await self._live.list(kind, namespace, labels)
        self._check(namespace)
        return [*self._store.kinds[kind].all(namespace, labels)]

    async def users_of(self, namespace: str, model: str) -> _Bodies:
        """Give the ModelDeployments that refer to a Model, by an index."""
        self._check(namespace)
        return [*self._store.kinds["ModelDeployment"].by(REFERS, namespace, model)]

    def _check(self, namespace: str) -> None:
        if not self._store.is_synced(namespace):
            raise UnavailableError(f"namespace {namespace} is not read completely yet: nothing is decided in it")

    async def get_live(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read one object from the API server; None when it does not exist."""
        collection = self._store.kinds.get(kind)
        known = collection.get(namespace, name) if collection is not None else None
        found = await self._live.get(kind, namespace, name)
        if found is not None:
            self._learn(found)
        elif known is not None:
            self._store.miss(kind, known)
        return found

    async def holder(self, kind: str, namespace: str, name: str) -> Body | None:
        """Give who has a name: from memory where all of the kind are watched, not only those with our labels."""
        collection = self._store.kinds.get(kind)
        is_known = collection is not None and collection.has_all
        return await (self.get if is_known else self.get_live)(kind, namespace, name)

    async def list_live(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> _Bodies:
        """Read all objects that have these labels from the API server."""
        return await self._live.list(kind, namespace, labels)

    async def create(self, body: Body) -> Body:
        """Create an object; ConflictError when it exists."""
        return await self._written(body, self._live.create(body))

    async def create_unread(self, body: Body) -> None:
        """Create an object that is remembered by nobody; ConflictError when it exists."""
        await self._live.create_unread(body)

    async def apply(self, body: Body) -> Body:
        """Server-side apply, by force."""
        return await self._written(body, self._live.apply(body))

    async def scale(self, namespace: str, name: str, uid: str, replicas: int) -> None:
        """Write a number of pods. The answer tells no more than that: the rest is known from before, for a moment."""
        try:
            answer = await self._live.scale(namespace, name, uid, replicas)
        except ConflictError:
            await self._look("Deployment", namespace, name)
            raise
        known = self._store.kinds["Deployment"].get(namespace, name)
        if known and known["metadata"]["uid"] == uid:
            pieced = scaled(known, replicas, answer["metadata"]["resourceVersion"])
            self._store.put("Deployment", pieced, is_own=True, is_whole=False)

    async def apply_aside(self, body: Body) -> Body:
        """Server-side apply as another field manager, without force."""
        return await self._written(body, self._live.apply_aside(body))

    async def apply_status(self, body: Body) -> Body:
        """Server-side apply the status subresource."""
        return await self._written(body, self._live.apply_status(body))

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object with this uid; gone already is fine."""
        try:
            left = await self._live.delete(api_version, kind, namespace, name, uid)
        except ConflictError:
            await self._look(kind, namespace, name)
            raise
        if left is not None:
            self._learn(left, is_own=True)
        elif kind in self._store.kinds:
            self._store.bury(kind, namespace, name, uid)

    async def emit(self, about: Body, *, type_: str, reason: str, message: str, now: datetime) -> None:
        """Write an Event about an object."""
        await self._live.emit(about, type_=type_, reason=reason, message=message, now=now)

    async def _written(self, body: Body, write: Awaitable[Body]) -> Body:
        try:
            answer = await write
        except (ConflictError, NotFoundError):
            await self._look(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
            raise
        self._learn(answer, is_own=True)
        meant = body["metadata"].get("uid")
        if meant and answer["metadata"]["uid"] != meant:
            # The API server does not look at the uid of an applied status.
            raise ConflictError(f"{body['kind']} {body['metadata']['name']} was deleted and made anew meanwhile")
        return answer

    def _learn(self, body: Body, *, is_own: bool = False) -> None:
        if body["kind"] in self._store.kinds:
            document: Document = dict(body)
            self._store.put(body["kind"], document, is_own=is_own)

    async def _look(self, kind: str, namespace: str, name: str) -> None:
        # Where it may not be read by itself, its watch tells soon.
        with contextlib.suppress(ApiError):
            await self.get_live(kind, namespace, name)
