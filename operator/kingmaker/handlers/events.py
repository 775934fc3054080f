"""kopf as a source of events: every handler puts keys into the queue, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import kopf

from kingmaker.handlers.interest import Interest
from kingmaker.ports import Key

Add = Callable[[Key], None]

_CHILDREN: Final = (
    ("apps/v1", "deployments"),
    ("batch/v1", "jobs"),
    ("v1", "pods"),
    # Changed by somebody's hand alone, and then clients notice at once.
    ("v1", "services"),
)
"""Kinds whose news wake a deployment. The others are repaired by the next look at the counts."""

_OURS: Final = "app.kubernetes.io/managed-by=kingmaker"


def register(registry: kopf.OperatorRegistry, interest: Interest, add: Add) -> None:
    """Register one event handler per kind. Only `on.event`: anything else would write to the objects."""

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401  # kopf's names
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    def put(keys: Iterable[Key]) -> None:
        for key in keys:
            add(key)

    @kopf.on.event("kingmaker.dev", "v1alpha1", "modeldeployments", registry=registry)
    async def deployment(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401  # kopf's names
        put(interest.of_deployment(body, deleted=type == "DELETED"))

    @kopf.on.event("kingmaker.dev", "v1alpha1", "models", registry=registry)
    async def model(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401  # kopf's names
        put(interest.of_model(body, deleted=type == "DELETED"))

    async def child(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401  # kopf's names
        put(interest.of_child(body, deleted=type == "DELETED"))

    for group_version, plural in _CHILDREN:
        kopf.on.event(group_version, plural, id=f"child-{plural}", registry=registry)(child)


def configure(settings: kopf.OperatorSettings) -> None:
    """Make kopf a quiet watcher: nothing posted, nothing stored, only our own children listed."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 15
    # An API server that is away for minutes is waited for, not died of.
    settings.networking.error_backoffs = [0.2, 0.5, 1, 2, 3, 5, *[5] * 100]
    for _, plural in _CHILDREN:
        settings.watching.label_selectors[plural] = _OURS
