"""The API server: dict bodies, live reads, server-side apply."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from kingmaker.adapters.apiserver import ApiServer, Permit, always
from kingmaker.adapters.sharedreads import SharedReads
from kingmaker.core.serving.ownership import FIELD_MANAGER, HANDOVER_MANAGER
from kingmaker.ports import Body, ClusterError, ConflictError, NotFoundError

logger = logging.getLogger(__name__)

_PAGE: Final = 500
_Bodies = list[Body]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API."""

    group_version: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """Path of one object, or of the collection."""
        root = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        tail = f"/{quote(name)}" if name else ""
        return f"{root}/namespaces/{quote(namespace)}/{self.plural}{tail}"


RESOURCES: Final[Mapping[str, Resource]] = {
    "Model": Resource("kingmaker.dev/v1alpha1", "models"),
    "ModelDeployment": Resource("kingmaker.dev/v1alpha1", "modeldeployments"),
    "Decision": Resource("kingmaker.dev/v1alpha1", "decisions"),
    "Deployment": Resource("apps/v1", "deployments"),
    "Job": Resource("batch/v1", "jobs"),
    "HorizontalPodAutoscaler": Resource("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Resource("policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": Resource("networking.k8s.io/v1", "networkpolicies"),
    "Service": Resource("v1", "services"),
    "ConfigMap": Resource("v1", "configmaps"),
    "ServiceAccount": Resource("v1", "serviceaccounts"),
    "Pod": Resource("v1", "pods"),
    "Event": Resource("v1", "events"),
}


class KubernetesCluster:
    """Implements the port `Cluster` over one connection pool."""

    def __init__(self, api: ApiServer) -> None:
        """Take the connection."""
        self._api = api
        self._shared = SharedReads()
        self.writes = 0
        """Writes that were sent, Events apart; an idle operator sends none."""

    @classmethod
    async def connect(cls, kubeconfig: str | None, *, permit: Permit = always) -> KubernetesCluster:
        """Connect by a kubeconfig, or as the pod that it is; `permit` ends the process that may write no more."""
        return cls(await ApiServer.connect(kubeconfig, permit=permit))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read one object; None when it does not exist."""
        try:
            body = await self._api.request("GET", RESOURCES[kind].path(namespace, name))
        except NotFoundError:
            return None
        return _typed(kind, body)

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Body]:
        """Read all objects that have these labels. Who asks at the same time gets the same ones, not to be changed."""
        selector = ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items()))
        what = f"{RESOURCES[kind].path(namespace)}?{selector}"
        found: _Bodies = await self._shared.read(what, lambda: self._list(kind, namespace, selector))
        return found

    async def _list(self, kind: str, namespace: str, selector: str) -> _Bodies:
        query = {"limit": str(_PAGE)}
        if selector:
            query["labelSelector"] = selector
        items: _Bodies = []
        while True:
            page = await self._api.request("GET", RESOURCES[kind].path(namespace), query)
            items += [_typed(kind, item) for item in page.get("items") or ()]
            following = page.get("metadata", {}).get("continue")
            if not following:
                return items
            query["continue"] = following

    async def create(self, body: Body) -> Body:
        """Create an object; ConflictError when it exists."""
        self.writes += 1
        path = RESOURCES[body["kind"]].path(body["metadata"]["namespace"])
        return await self._api.request("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def apply(self, body: Body) -> Body:
        """Server-side apply, by force: what the operator owns, it owns."""
        self.writes += 1
        meta = body["metadata"]
        path = RESOURCES[body["kind"]].path(meta["namespace"], meta["name"])
        return await self._api.request("PATCH", path, {"fieldManager": FIELD_MANAGER, "force": "true"}, body)

    async def apply_aside(self, body: Body) -> Body:
        """Server-side apply as another field manager, without force: ConflictError when a field has another value."""
        self.writes += 1
        meta = body["metadata"]
        path = RESOURCES[body["kind"]].path(meta["namespace"], meta["name"])
        return await self._api.request("PATCH", path, {"fieldManager": HANDOVER_MANAGER}, body)

    async def apply_status(self, body: Body) -> Body:
        """Server-side apply the status subresource of exactly the object with the body's uid."""
        self.writes += 1
        meta = body["metadata"]
        path = RESOURCES[body["kind"]].path(meta["namespace"], meta["name"]) + "/status"
        return await self._api.request("PATCH", path, {"fieldManager": FIELD_MANAGER, "force": "true"}, body)

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object with this uid; gone already is fine."""
        del api_version
        self.writes += 1
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._api.request("DELETE", RESOURCES[kind].path(namespace, name), {}, options)
        except NotFoundError:
            logger.debug("gone already", extra={"object": f"{kind} {name}"})

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
            await self._api.request("POST", RESOURCES["Event"].path(meta["namespace"]), {}, body)
        except ConflictError:
            await self._count_up(meta["namespace"], name, moment)
        except ClusterError as error:
            # Events are for people; no decision waits for one.
            logger.warning("event not written: %s", error)

    async def _count_up(self, namespace: str, name: str, moment: str) -> None:
        path = RESOURCES["Event"].path(namespace, name)
        try:
            known = await self._api.request("GET", path)
            patch = {"count": int(known.get("count") or 1) + 1, "lastTimestamp": moment}
            await self._api.request("PATCH", path, {}, patch, content_type="application/merge-patch+json")
        except ClusterError as error:
            logger.warning("event not counted: %s", error)


def _typed(kind: str, body: dict[str, Any]) -> Body:
    # Items of a list come without their type.
    body.setdefault("kind", kind)
    body.setdefault("apiVersion", RESOURCES[kind].group_version)
    return body
