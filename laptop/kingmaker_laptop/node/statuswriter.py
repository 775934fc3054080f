"""Bring a pod's status to the API server: only when it changed, only the newest, until it is there."""

import asyncio
import logging
from typing import Any, Final

from kingmaker.kube.client import STRATEGIC, KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.podspec import PodSpec

logger = logging.getLogger(__name__)

Document = dict[str, Any]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class StatusWriter:
    """Writes one pod's status."""

    def __init__(self, client: KubeClient, pod: PodSpec) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        self._uid = pod.uid
        self._wanted: Document | None = None
        self._status: Document = {}
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._last: Document = pod.document.get("status") or {}
        self.is_gone = False

    @property
    def known(self) -> Document:
        """The status as the API has it, with our own conditions as they are about to be."""
        conditions = {one["type"]: one for one in self._last.get("conditions") or []}
        conditions |= {one["type"]: one for one in (self._wanted or {}).get("conditions") or []}
        return {**self._last, "conditions": list(conditions.values())}

    def learn(self, pod: PodSpec) -> None:
        """The API has a newer version of the pod, maybe with conditions that others wrote."""
        self._last = pod.document.get("status") or {}

    def show(self, status: Document) -> None:
        """Have this status written."""
        wanted = _without_nulls(status)
        if self.is_gone or wanted == self._wanted:
            return
        self._wanted = wanted
        self._status = status
        self._idle.clear()
        self._changed.set()

    async def flushed(self) -> None:
        """Wait until the newest status is there, or the pod is gone."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            await self._changed.wait()
            self._changed.clear()
            status = self._status
            try:
                await self._patch(status)
                pause = _FIRST_PAUSE
            except ApiError as error:
                if error.status in {404, 409}:
                    self.is_gone = True
                elif error.is_lasting:
                    logger.error("status of %s was refused: %s", self._path, error)
                else:
                    self._changed.set()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
            if not self._changed.is_set():
                self._idle.set()

    async def _patch(self, status: Document) -> None:
        # The uid is a precondition: a new pod of the same name must not get this status.
        body = {"metadata": {"uid": self._uid}, "status": status}
        found = await self._client.patch(f"{self._path}/status", body, kind=STRATEGIC)
        self._last = found.get("status") or {}


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
