"""Tell people what happens to their pods: core/v1 Events, repeats counted instead of repeated."""

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.times import format_time, utc_now

logger = logging.getLogger(__name__)

Document = dict[str, Any]

_REMEMBERED: Final = 2000
_QUEUED: Final = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about; `container` is set when it is about one container."""

    kind: str
    namespace: str
    name: str
    uid: str
    container: str = ""

    def reference(self) -> Document:
        """The `involvedObject`."""
        found = {"apiVersion": "v1", "kind": self.kind, "name": self.name, "uid": self.uid}
        if self.namespace:
            found["namespace"] = self.namespace
        if self.container:
            found["fieldPath"] = f"spec.containers{{{self.container}}}"
        return found


class EventRecorder:
    """Posts events in the background; what the server can't take is dropped, never waited for."""

    def __init__(self, client: KubeClient, *, component: str, host: str) -> None:
        self._client = client
        self._source = {"component": component, "host": host}
        self._queue: asyncio.Queue[tuple[Subject, str, str, str]] = asyncio.Queue(_QUEUED)
        self._counts: OrderedDict[str, int] = OrderedDict()
        # Names of this recorder's events differ from those of the one before it.
        self._since = format_time(utc_now())

    def normal(self, subject: Subject, reason: str, message: str) -> None:
        """Something went as it should."""
        self._put(subject, "Normal", reason, message)

    def warning(self, subject: Subject, reason: str, message: str) -> None:
        """Something needs a look."""
        self._put(subject, "Warning", reason, message)

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            subject, kind, reason, message = await self._queue.get()
            try:
                await self._post(subject, kind, reason, message)
            except ApiError as error:
                logger.debug("event %s dropped: %s", reason, error)

    def _put(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((subject, kind, reason, message[:1024]))

    async def _post(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        digest = hashlib.sha256(repr((self._since, subject, kind, reason, message)).encode()).hexdigest()[:16]
        name = f"{subject.name[:200]}.{digest}"
        namespace = subject.namespace or "default"
        path, now = f"/api/v1/namespaces/{namespace}/events", format_time(utc_now())
        seen = self._counts.get(name, 0)
        self._remember(name, seen + 1)
        if seen:
            with contextlib.suppress(ApiError):
                await self._client.patch(f"{path}/{name}", {"count": seen + 1, "lastTimestamp": now})
                return
        event = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": subject.reference(),
            "type": kind,
            "reason": reason,
            "message": message,
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source["host"],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._client.create(path, event)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
