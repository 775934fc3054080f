"""Write a pod's status from what its containers do. Pure: same view, same status."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from kingmaker_laptop.node.machine import Phase, is_initialized, phase_of, restarts
from kingmaker_laptop.node.podspec import Container
from kingmaker_laptop.node.states import ContainerView, Exited, PodView, Running, State, Waiting
from kingmaker_laptop.node.times import format_time

Document = dict[str, Any]

OWN_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def build_status(pod: PodView, *, last: Mapping[str, Any], now: datetime) -> Document:
    """Write the whole status that the node owns.

    Args:
        pod: The pod now.
        last: Status as the API has it; conditions of others are left alone, transition times are kept.
        now: For conditions that change.
    """
    phase = phase_of(pod)
    status: Document = {
        "phase": phase.value,
        "hostIP": pod.host_ip,
        "hostIPs": [{"ip": pod.host_ip}],
        "startTime": format_time(pod.started_at),
        "containerStatuses": [_container_status(pod, one, phase) for one in pod.spec.main],
        "conditions": _conditions(pod, phase, last.get("conditions") or [], now),
        "qosClass": last.get("qosClass", "BestEffort"),
    }
    if generation := pod.spec.document["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if pod.ip:
        status |= {"podIP": pod.ip, "podIPs": [{"ip": pod.ip}]}
    if pod.spec.init:
        status["initContainerStatuses"] = [_container_status(pod, one, phase) for one in pod.spec.init]
    if pod.ending and pod.ending.reason:
        status |= {"reason": pod.ending.reason, "message": pod.ending.message}
    return status


def is_pod_ready(pod: PodView) -> bool:
    """Whether every main container is ready; a pod that ends is not."""
    return pod.ending is None and all(_is_ready(pod, one) for one in pod.spec.main)


def _is_ready(pod: PodView, container: Container) -> bool:
    view = pod.view(container.name)
    if container in pod.spec.init:
        return isinstance(view.state, Exited) and view.state.code == 0
    return pod.ending is None and isinstance(view.state, Running) and view.is_ready and not view.is_stopping


def _container_status(pod: PodView, container: Container, phase: Phase) -> Document:
    view = pod.view(container.name)
    state, last = _shown_states(pod, container, view, phase)
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": _container_id(state) or _container_id(last),
        "ready": _is_ready(pod, container),
        "started": isinstance(view.state, Running) and view.is_started,
        "restartCount": view.restarts,
        "state": _format_state(state),
        "lastState": _format_state(last) if last else {},
    }


def _shown_states(pod: PodView, container: Container, view: ContainerView, phase: Phase) -> tuple[State, State | None]:
    """An exited container that will run again is shown as waiting, with its exit as the last state."""
    match view.state:
        case Waiting() if not view.state.reason:
            return _ordinary_wait(pod, container, phase), view.previous
        case Exited() if _is_in_backoff(pod, container, view, phase) and view.restart_at is not None:
            pause = round((view.restart_at - view.state.finished_at).total_seconds(), 1)
            message = f"back-off {pause:g}s restarting failed container={container.name} pod={pod.spec.name}"
            return Waiting("CrashLoopBackOff", message), view.state
        case _:
            return view.state, view.previous


def _ordinary_wait(pod: PodView, container: Container, phase: Phase) -> Waiting:
    if pod.blocked is not None:
        return pod.blocked
    if container not in pod.spec.init and not is_initialized(pod) and phase is Phase.PENDING:
        return Waiting("PodInitializing")
    return Waiting("ContainerCreating" if not pod.spec.init else "PodInitializing")


def _is_in_backoff(pod: PodView, container: Container, view: ContainerView, phase: Phase) -> bool:
    if pod.ending is not None or phase in {Phase.SUCCEEDED, Phase.FAILED} or not isinstance(view.state, Exited):
        return False
    if view.restart_at is None or view.restart_at <= view.state.finished_at:
        return False
    return restarts(pod.spec.restart_policy, view.state.code, is_init=container in pod.spec.init)


def _container_id(state: State | None) -> str:
    return state.container_id if isinstance(state, Running | Exited) else ""


def _format_state(state: State) -> Document:
    match state:
        case Waiting():
            return {"waiting": {"reason": state.reason} | ({"message": state.message} if state.message else {})}
        case Running():
            return {"running": {"startedAt": format_time(state.started_at)}}
        case Exited():
            terminated: Document = {
                "exitCode": state.code,
                "reason": state.reason,
                "startedAt": format_time(state.started_at),
                "finishedAt": format_time(state.finished_at),
            }
            optional = {"signal": state.signal, "message": state.message, "containerID": state.container_id}
            return {"terminated": terminated | {key: value for key, value in optional.items() if value}}


def _conditions(pod: PodView, phase: Phase, last: list[Document], now: datetime) -> list[Document]:
    unready = [one.name for one in pod.spec.main if not _is_ready(pod, one)]
    why = _why_unready(pod, phase, unready)
    others = {one["type"]: one["status"] for one in last}
    gates = [gate for gate in pod.spec.readiness_gates if others.get(gate) != "True"]
    ready = why or (("ReadinessGatesNotReady", f"readiness gates not met: {gates}") if gates else None)
    pending = [one.name for one in pod.spec.init if not _is_ready(pod, one)]
    incomplete = ("ContainersNotInitialized", f"containers with incomplete status: {pending}") if pending else None
    verdicts: dict[str, tuple[str, str] | None] = {
        "PodReadyToStartContainers": None if pod.ip and pod.blocked is None else ("", ""),
        "Initialized": incomplete,
        "Ready": ready,
        "ContainersReady": why,
        "PodScheduled": None,
    }
    known = {one["type"]: one for one in last}
    return [_condition(kind, verdicts[kind], known.get(kind), now) for kind in OWN_CONDITIONS]


def _why_unready(pod: PodView, phase: Phase, unready: list[str]) -> tuple[str, str] | None:
    if phase is Phase.SUCCEEDED:
        return "PodCompleted", ""
    if phase is Phase.FAILED:
        return "PodFailed", ""
    if pod.ending is not None:
        return "PodTerminating", "the pod is ending"
    return ("ContainersNotReady", f"containers with unready status: {unready}") if unready else None


def _condition(kind: str, problem: tuple[str, str] | None, known: Document | None, now: datetime) -> Document:
    value = "True" if problem is None else "False"
    reason, message = problem or ("", "")
    changed = known is None or known["status"] != value or not known.get("lastTransitionTime")
    since = format_time(now) if changed or known is None else known["lastTransitionTime"]
    # null takes the field away in a patch: a reason must not outlive the state that it explained.
    return {
        "type": kind,
        "status": value,
        "reason": reason or None,
        "message": message or None,
        "lastTransitionTime": since,
    }
