"""Watch the API server independently of the operator: who was created, changed and deleted, and when."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kingmaker.kube.client import KubeClient
from kingmaker.kube.reflector import LocalCopy, Reflector

OURS = {"labelSelector": "app.kubernetes.io/managed-by=kingmaker"}
EVENTS = {"fieldSelector": "source=kingmaker"}

OPERATORS_KINDS: Mapping[str, tuple[str, str]] = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "Service": ("api/v1", "services"),
    "ConfigMap": ("api/v1", "configmaps"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Job": ("apis/batch/v1", "jobs"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Model": ("apis/kingmaker.dev/v1alpha1", "models"),
    "Decision": ("apis/kingmaker.dev/v1alpha1", "decisions"),
}
"""Kinds of which the operator makes objects."""


@dataclass(frozen=True)
class Change:
    """One event of a watch."""

    kind: str
    verb: str
    """created, changed or deleted."""
    object: str
    """Namespace and name."""
    manager: str
    """Who wrote last, by the object's managed fields."""
    at: float
    """Monotonic seconds."""

    def __str__(self) -> str:
        return f"{self.kind} {self.object} {self.verb} by {self.manager}"


@dataclass
class Observer:
    """Everything that was seen since it began."""

    changes: list[Change] = field(default_factory=list)

    def count(self, verb: str) -> Counter[str]:
        """How many objects of each kind."""
        return Counter(change.kind for change in self.changes if change.verb == verb)

    def since(self, moment: float) -> list[Change]:
        """What was seen from that monotonic second on."""
        return [change for change in self.changes if change.at >= moment]


@asynccontextmanager
async def observing(
    client: KubeClient, *, namespace: str = "", everything_of: Iterable[str] = ()
) -> AsyncIterator[Observer]:
    """Observe the operator's objects while the block runs, from those that are there when it begins.

    Args:
        client: Of an administrator.
        namespace: Empty for all of them.
        everything_of: Kinds and plurals besides, in group `kingmaker.dev`, whoever made the objects; `events` for the
            Events that the operator wrote.
    """
    observer = Observer()
    sources = [(kind, root, plural, OURS) for kind, (root, plural) in OPERATORS_KINDS.items()]
    for plural in everything_of:
        root, query = ("api/v1", EVENTS) if plural == "events" else ("apis/kingmaker.dev/v1alpha1", {})
        sources.append((plural, root, plural, query))
    complete = [asyncio.Event() for _ in sources]
    async with asyncio.TaskGroup() as group:
        running = []
        for (kind, root, plural, query), done in zip(sources, complete, strict=True):
            scope = f"namespaces/{namespace}/" if namespace else ""
            copy = LocalCopy(_record(observer, kind), done.set)
            reflector = Reflector(client, f"/{root}/{scope}{plural}", copy, params=query)
            running.append(group.create_task(reflector.run()))
        await asyncio.wait_for(asyncio.gather(*(done.wait() for done in complete)), 30)
        # What was there before is nobody's doing now.
        observer.changes.clear()
        try:
            yield observer
        finally:
            for task in running:
                task.cancel()


def _record(observer: Observer, kind: str) -> Any:
    known: set[str] = set()

    def on_change(body: dict[str, Any], gone: bool) -> None:
        meta = body["metadata"]
        verb = "deleted" if gone else "changed" if meta["uid"] in known else "created"
        known.add(meta["uid"])
        writes = meta.get("managedFields") or [{}]
        last = max(writes, key=lambda write: write.get("time", ""))
        manager = "/".join(filter(None, (last.get("manager", "?"), last.get("subresource"))))
        observer.changes.append(Change(kind, verb, f"{meta['namespace']}/{meta['name']}", manager, time.monotonic()))

    return on_change
