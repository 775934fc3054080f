"""Why a Job's pod ended that says nothing itself: out of memory, evicted, too late, killed, or an exit code alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Final

from kingmaker.core.observed import Body

_MOST: Final = 500


def job_ending(job: Body, pod: Body | None) -> str:
    """Say what ended a Job's last pod, beside what its containers said themselves.

    Args:
        job: The Job.
        pod: Its newest pod that is still there.

    Returns:
        A sentence's part, such as `container train needed more memory than its limit of 4Gi (OOMKilled)`; empty where
        Kubernetes knows of nothing, or where the container told it in words of its own.
    """
    conditions = job.get("status", {}).get("conditions") or ()
    failed: Body = next((c for c in conditions if c["type"] == "Failed"), {})
    if failed.get("status") == "True" and failed.get("reason") == "DeadlineExceeded":
        seconds = job.get("spec", {}).get("activeDeadlineSeconds")
        return f"it took longer than its deadline of {seconds} s" if seconds else "it took longer than its deadline"
    return next(_endings(pod), "")[:_MOST] if pod else ""


def _endings(pod: Body) -> Iterator[str]:
    status = pod.get("status", {})
    if status.get("reason"):
        # Evicted, Preempting, NodeLost, Terminated: the pod as a whole, whatever its containers were at.
        yield f"its pod was ended: {': '.join(str(status[k]) for k in ('reason', 'message') if status.get(k))}"
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(kind) or ():
            ended = (container.get("state") or {}).get("terminated") or {}
            ending = _ending(ended, _memory_limit(pod, container["name"]))
            if ending:
                yield f"container {container['name']} {ending}"


def _ending(ended: Body, memory: str) -> str:
    if ended.get("reason") == "OOMKilled":
        return f"needed more memory than its limit{f' of {memory}' if memory else ''} (OOMKilled)"
    code = ended.get("exitCode", 0)
    if not code or ended.get("message"):
        return ""
    number = ended.get("signal") or code - 128
    killer = next((known.name for known in signal.Signals if known == number), "")
    if killer:
        return f"was ended by {killer} and said nothing"
    return f"ended with exit code {code} and said nothing"


def _memory_limit(pod: Body, name: str) -> str:
    spec: dict[str, Any] = pod.get("spec", {})
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        if container["name"] == name:
            return str(container.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""
