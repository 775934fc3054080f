"""Decide what a pod needs next: which containers to start or stop, and when to look again. Pure; the worker acts.

Source: pkg/kubelet/kuberuntime `computePodActions` and pkg/kubelet `getPhase`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from kingmaker_laptop.node.podspec import Container, RestartPolicy
from kingmaker_laptop.node.states import ContainerView, Exited, PodView, Running, Waiting


class Phase(StrEnum):
    """`status.phase`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do now.

    Attributes:
        start: Containers to start, by name.
        stop: Containers to end, by name.
        wake_at: When the answer changes by itself; None when only an event changes it.
        is_over: Nothing runs and nothing ever will.
    """

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    wake_at: datetime | None = None
    is_over: bool = False


def next_actions(pod: PodView, now: datetime) -> Actions:
    """Compare what the pod asks for with what its containers do."""
    if pod.ending is not None:
        return _end(pod)
    if phase_of(pod) in {Phase.SUCCEEDED, Phase.FAILED}:
        return Actions(is_over=True)
    deadline = deadline_of(pod)
    if pod.blocked is not None:
        return Actions(wake_at=deadline)
    candidates = _initializing(pod) or ([] if not is_initialized(pod) else list(pod.spec.main))
    return _start_due(pod, candidates, now, deadline)


def deadline_of(pod: PodView) -> datetime | None:
    """When the pod has been active for `activeDeadlineSeconds`."""
    seconds = pod.spec.deadline_seconds
    if seconds is None:
        return None
    return datetime.fromtimestamp(pod.started_at.timestamp() + seconds, tz=pod.started_at.tzinfo)


def is_initialized(pod: PodView) -> bool:
    """Whether every init container has succeeded."""
    return all(_has_succeeded(pod.view(container.name)) for container in pod.spec.init)


def phase_of(pod: PodView) -> Phase:
    """Sum up the containers in one word."""
    running = any(isinstance(pod.view(one.name).state, Running) for one in pod.spec.containers)
    if pod.ending is not None and not running:
        return _phase_of_ended(pod)
    if not is_initialized(pod):
        failed = any(_is_final_failure(pod, one) for one in pod.spec.init)
        return Phase.FAILED if failed else Phase.PENDING
    return _phase_of_main(pod)


def restarts(policy: RestartPolicy, code: int, *, is_init: bool = False) -> bool:
    """Whether a container that ended with this exit code is started again."""
    match policy:
        case RestartPolicy.ALWAYS:
            return not is_init or code != 0
        case RestartPolicy.ON_FAILURE:
            return code != 0
        case RestartPolicy.NEVER:
            return False
        case _:
            assert_never(policy)


def _end(pod: PodView) -> Actions:
    running = [one.name for one in pod.spec.containers if isinstance(pod.view(one.name).state, Running)]
    stop = tuple(name for name in running if not pod.view(name).is_stopping)
    return Actions(stop=stop, is_over=not running)


def _initializing(pod: PodView) -> list[Container]:
    """The first init container that hasn't succeeded; they run one after the other."""
    return [one for one in pod.spec.init if not _has_succeeded(pod.view(one.name))][:1]


def _start_due(pod: PodView, candidates: list[Container], now: datetime, deadline: datetime | None) -> Actions:
    start: list[str] = []
    wakes = [deadline] if deadline else []
    for container in candidates:
        due = _due_at(pod, container, now)
        if due is None:
            continue
        if due <= now:
            start.append(container.name)
        else:
            wakes.append(due)
    return Actions(start=tuple(start), wake_at=min(wakes, default=None))


def _due_at(pod: PodView, container: Container, now: datetime) -> datetime | None:
    view = pod.view(container.name)
    match view.state:
        case Running():
            return None
        case Waiting():
            return view.retry_at or now
        case Exited(code=code):
            is_init = container in pod.spec.init
            return (view.restart_at or now) if restarts(pod.spec.restart_policy, code, is_init=is_init) else None
        case _:
            assert_never(view.state)


def _has_succeeded(view: ContainerView) -> bool:
    return isinstance(view.state, Exited) and view.state.code == 0


def _is_final_failure(pod: PodView, container: Container) -> bool:
    state = pod.view(container.name).state
    return isinstance(state, Exited) and state.code != 0 and pod.spec.restart_policy is RestartPolicy.NEVER


def _phase_of_ended(pod: PodView) -> Phase:
    assert pod.ending is not None
    states = [pod.view(one.name).state for one in pod.spec.containers]
    succeeded = all(isinstance(state, Exited) and state.code == 0 for state in states)
    return Phase.FAILED if pod.ending.is_failure or not succeeded else Phase.SUCCEEDED


def _phase_of_main(pod: PodView) -> Phase:
    states = [pod.view(one.name).state for one in pod.spec.main]
    exited = [state for state in states if isinstance(state, Exited)]
    if len(exited) < len(states):
        never_ran = [one for one in pod.spec.main if _never_ran(pod.view(one.name))]
        return Phase.PENDING if never_ran else Phase.RUNNING
    if any(restarts(pod.spec.restart_policy, state.code) for state in exited):
        return Phase.RUNNING
    return Phase.SUCCEEDED if all(state.code == 0 for state in exited) else Phase.FAILED


def _never_ran(view: ContainerView) -> bool:
    return isinstance(view.state, Waiting) and view.previous is None
