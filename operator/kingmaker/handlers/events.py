"""kopf as a source of events: a handler passes on what it sees of a kind, and does nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import kopf
from typing_extensions import override

from kingmaker.handlers.watcher import Seen

_GROUP: Final = "kingmaker.dev"
_VERSION: Final = "v1alpha1"

_IDENTITY: Any = "kingmaker"
"""kopf would make one of a user's name, and the user of a container has none."""


class _NoDifferences(kopf.DiffBaseStorage):
    """Remembers nothing of objects. kopf would copy each whole, for handlers of changes, at every event."""

    @override
    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:
        """Give nothing to compare."""
        return kopf.BodyEssence({})

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Know nothing of before."""
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Write nothing."""


async def watch(namespaces: Sequence[str], seen: Seen, stop: threading.Event) -> None:
    """Run kopf until `stop`, which is set when it ends by itself as well: a thread of its waits for it.

    Args:
        namespaces: Which to watch; all when there is none.
        seen: Told each event.
        stop: Ends it.
    """
    registry = kopf.OperatorRegistry()
    register(registry, seen)
    settings = kopf.OperatorSettings()
    configure(settings)
    try:
        await kopf.operator(
            registry=registry,
            settings=settings,
            identity=_IDENTITY,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
        )
    finally:
        stop.set()


def register(registry: kopf.OperatorRegistry, seen: Seen) -> None:
    """Register the event handler. Only `on.event`: anything else would write to the objects."""

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401  # kopf's names
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(_GROUP, _VERSION, "models", registry=registry)
    async def model(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's names
        seen("Model", event["type"], dict(event["object"]))


def configure(settings: kopf.OperatorSettings) -> None:
    """Make kopf a quiet watcher: nothing posted, nothing stored."""
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.scanning.disabled = True
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 15
    # An API server that is away for minutes is waited for, not died of.
    settings.networking.error_backoffs = [0.2, 0.5, 1, 2, 3, 5, 10, *[15] * 40]
