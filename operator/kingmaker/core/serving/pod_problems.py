"""What keeps a variant's pods from coming up, in words that stay the same while the trouble does.

Kubernetes' own messages count seconds and name pods that are tried anew each time; a status that repeated them would be
written for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kingmaker.api import Reason
from kingmaker.core.observed import Body, Trouble

STARTING: Final = ("", "PodInitializing", "ContainerCreating")
"""Reasons of containers that wait for nothing in particular."""
_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_REFUSED_POD: Final = re.compile(r'^pods "[^"]*" is forbidden: ')
_MOST: Final = 500
_REPEATED: Final = 2


def find_trouble(deployment: Body, pods: Iterable[Body]) -> Trouble | None:
    """Say what is wrong now; None while pods come up, or are simply not there yet.

    Args:
        deployment: The variant's Deployment.
        pods: Its pods.
    """
    for condition in deployment.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            said = _REFUSED_POD.sub("", condition.get("message", ""))
            return Trouble(Reason.PODS_REFUSED, f"its pods are refused: {said}"[:_MOST])
    own = tuple(pods)
    complaints = dict.fromkeys(c for pod in own for c in _complaints(pod))
    if not complaints:
        return None
    return Trouble(Reason.PODS_FAILING, "; ".join(complaints)[:_MOST], any(map(_crashes, own)))


def _crashes(pod: Body) -> bool:
    """Whether a server of the pod ended so often that it is started late on purpose.

    What comes before a server (its image, its node, its volumes, the download) is not the model's own doing.
    """
    containers = pod.get("status", {}).get("containerStatuses") or ()
    waiting = ((c.get("state", {}).get("waiting") or {}).get("reason") for c in containers)
    return any(reason == "CrashLoopBackOff" for reason in waiting)


def _complaints(pod: Body) -> Iterator[str]:
    status = pod.get("status", {})
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        complaint = _complaint(container)
        if complaint:
            yield f"container {container['name']}: {complaint}"


def _complaint(container: Body) -> str:
    state = container.get("state", {})
    reason = (state.get("waiting") or {}).get("reason", "")
    if reason in _IMAGE:
        return f"image {container.get('image', '')} can't be pulled ({_IMAGE[1]})"
    # Between two tries a container that fails looks like one that starts.
    fails_again = container.get("restartCount", 0) >= _REPEATED and not container.get("ready")
    if reason == "CrashLoopBackOff" or (fails_again and not _succeeded(state)):
        return f"keeps failing: {_last_words(container)}".removesuffix(": ")
    return "" if reason in STARTING else reason


def _succeeded(state: Body) -> bool:
    return (state.get("terminated") or {}).get("exitCode") == 0


def _last_words(container: Body) -> str:
    states = (container.get("state", {}), container.get("lastState", {}))
    ended: dict[str, Any] = next((s["terminated"] for s in states if s.get("terminated")), {})
    if ended.get("message"):
        return str(ended["message"])
    return f"{ended.get('reason', 'ended')}, exit code {ended['exitCode']}" if "exitCode" in ended else ""
