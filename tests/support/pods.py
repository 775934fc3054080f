"""Pods as the API server would hand them out, stating only what matters to a test."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kingmaker_laptop.node.podspec import PodSpec, parse_pod
from kingmaker_laptop.node.states import ContainerView, Exited, PodView, Running

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "none", "command": ["true"], **fields}


def a_pod(
    *containers: dict[str, Any],
    init: list[dict[str, Any]] | None = None,
    meta: dict[str, Any] | None = None,
    **spec: Any,
) -> PodSpec:
    metadata = {"namespace": "ns", "name": "pod", "uid": "u1", **(meta or {})}
    body = {"containers": list(containers) or [a_container()], "initContainers": init or [], "nodeName": "n", **spec}
    return parse_pod({"metadata": metadata, "spec": body})


def running(*, seconds_ago: float = 1, **fields: Any) -> ContainerView:
    defaults: dict[str, Any] = {"is_started": True, "is_ready": True}
    return ContainerView(state=Running(NOW - timedelta(seconds=seconds_ago), "process://1-1"), **(defaults | fields))


def exited(code: int, *, restart_in: float = 0, **fields: Any) -> ContainerView:
    reason = "Completed" if code == 0 else "Error"
    state = Exited(code, NOW - timedelta(seconds=2), NOW, reason, container_id="process://1-1")
    return ContainerView(state=state, restart_at=NOW + timedelta(seconds=restart_in), **fields)


def a_view(pod: PodSpec, *, started: datetime = NOW, ip: str | None = "127.9.0.1", **rest: Any) -> PodView:
    """Keyword arguments that name containers are their views; `ending` and `blocked` are the pod's."""
    own = {key: rest.pop(key) for key in ("ending", "blocked") if key in rest}
    return PodView(spec=pod, started_at=started, ip=ip, containers=rest, **own)
