"""The API server: dict bodies, live reads, server-side apply."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime

from kingmaker.adapters.kinds import RESOURCES, models_of
from kingmaker.core.serving.ownership import FIELD_MANAGER, HANDOVER_MANAGER
from kingmaker.kube.client import APPLY, KubeClient
from kingmaker.kube.errors import ApiError, ConflictError, NotFoundError
from kingmaker.ports import Body

logger = logging.getLogger(__name__)

_Bodies = list[Body]


class KubernetesCluster:
    """Implements the port `Cluster` by a request for each call; nothing is remembered."""

    def __init__(self, client: KubeClient) -> None:
        """Take an opened client."""
        self._client = client
        self.writes = 0
        """Writes that were sent, Events apart; an idle operator sends none."""

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read one object; None when it does not exist."""
        resource = RESOURCES[kind]
        try:
            return resource.typed(kind, await self._client.get(resource.path(namespace, name)))
        except NotFoundError:
            return None

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> _Bodies:
        """Read all objects that have these labels."""
        resource = RESOURCES[kind]
        selector = ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items()))
        query = {"labelSelector": selector} if selector else {}
        listing = await self._client.list(resource.path(namespace), query)
        return [resource.typed(kind, item) for item in listing.items]

    async def get_live(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read one object: the same as `get`."""
        return await self.get(kind, namespace, name)

    async def holder(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read who has a name: the same as `get`."""
        return await self.get(kind, namespace, name)

    async def list_live(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> _Bodies:
        """Read all objects that have these labels: the same as `list`."""
        return await self.list(kind, namespace, labels)

    async def users_of(self, namespace: str, model: str) -> _Bodies:
        """Read the ModelDeployments that refer to a Model."""
        return [body for body in await self.list("ModelDeployment", namespace) if model in models_of(body)]

    async def create(self, body: Body) -> Body:
        """Create an object; ConflictError when it exists."""
        self.writes += 1
        path = RESOURCES[body["kind"]].path(body["metadata"]["namespace"])
        return await self._client.create(path, body, {"fieldManager": FIELD_MANAGER})

    async def create_unread(self, body: Body) -> None:
        """Create an object and look at nothing of it; ConflictError when it exists."""
        await self.create(body)

    async def apply(self, body: Body) -> Body:
        """Server-side apply, by force: what the operator owns, it owns."""
        return await self._apply(body, {"fieldManager": FIELD_MANAGER, "force": "true"})

    async def scale(self, namespace: str, name: str, uid: str, replicas: int) -> Body:
        """Write the number of pods of exactly the Deployment with this uid; give its Scale."""
        self.writes += 1
        path = RESOURCES["Deployment"].path(namespace, name) + "/scale"
        body = {"metadata": {"uid": uid}, "spec": {"replicas": replicas}}
        try:
            return await self._client.patch(path, body, params={"fieldManager": FIELD_MANAGER})
        except NotFoundError as gone:
            raise ConflictError(f"Deployment {name} is gone: it is made anew") from gone

    async def apply_aside(self, body: Body) -> Body:
        """Server-side apply as another field manager, without force: ConflictError when a field has another value."""
        return await self._apply(body, {"fieldManager": HANDOVER_MANAGER})

    async def apply_status(self, body: Body) -> Body:
        """Server-side apply the status subresource of exactly the object with the body's uid."""
        return await self._apply(body, {"fieldManager": FIELD_MANAGER, "force": "true"}, "/status")

    async def _apply(self, body: Body, params: Mapping[str, str], subresource: str = "") -> Body:
        self.writes += 1
        meta = body["metadata"]
        path = RESOURCES[body["kind"]].path(meta["namespace"], meta["name"]) + subresource
        return await self._client.patch(path, body, kind=APPLY, params=params)

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> Body | None:
        """Delete exactly the object with this uid; gone already is fine. Give it where finalizers keep it for now."""
        del api_version
        self.writes += 1
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            answer = await self._client.delete(RESOURCES[kind].path(namespace, name), options)
        except NotFoundError:
            logger.debug("gone already", extra={"object": f"{kind} {name}"})
            return None
        return answer if answer.get("metadata", {}).get("finalizers") else None

    async def emit(self, about: Body, *, type_: str, reason: str, message: str, now: datetime) -> None:
        """Write an Event. The same one again only counts up, so a condition that lasts does not flood the namespace."""
        meta = about["metadata"]
        digest = hashlib.sha256(f"{meta['uid']} {reason} {message}".encode()).hexdigest()[:16]
        name = f"{meta['name'][:200]}.{digest}"
        moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": type_,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            await self._client.create(RESOURCES["Event"].path(meta["namespace"]), body)
        except ConflictError:
            await self._count_up(meta["namespace"], name, moment)
        except ApiError as error:
            # Events are for people; no decision waits for one.
            logger.warning("event not written: %s", error)

    async def _count_up(self, namespace: str, name: str, moment: str) -> None:
        path = RESOURCES["Event"].path(namespace, name)
        try:
            known = await self._client.get(path)
            await self._client.patch(path, {"count": int(known.get("count") or 1) + 1, "lastTimestamp": moment})
        except ApiError as error:
            logger.warning("event not counted: %s", error)
