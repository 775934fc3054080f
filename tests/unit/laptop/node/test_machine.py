from datetime import timedelta
from typing import Any

import pytest

from kingmaker_laptop.node.machine import Actions, Phase, next_actions, phase_of
from kingmaker_laptop.node.states import DELETED, ContainerView, Ending, Waiting
from support.pods import NOW, a_container, a_pod, a_view, exited, running

SOON = NOW + timedelta(seconds=10)
TWO_INITS = [a_container("one"), a_container("two")]


def test_a_new_pod_starts_all_its_containers() -> None:
    pod = a_view(a_pod(a_container("a"), a_container("b")))
    assert next_actions(pod, NOW) == Actions(start=("a", "b"))
    assert phase_of(pod) is Phase.PENDING


def test_init_containers_run_one_after_the_other() -> None:
    pod = a_pod(init=TWO_INITS)
    assert next_actions(a_view(pod), NOW).start == ("one",)
    assert next_actions(a_view(pod, one=running()), NOW).start == ()
    assert next_actions(a_view(pod, one=exited(0)), NOW).start == ("two",)
    assert next_actions(a_view(pod, one=exited(0), two=exited(0)), NOW).start == ("main",)


def test_a_failed_init_container_of_a_never_restarting_pod_fails_it() -> None:
    pod = a_view(a_pod(init=TWO_INITS, restartPolicy="Never"), one=exited(1))
    assert phase_of(pod) is Phase.FAILED
    assert next_actions(pod, NOW) == Actions(is_over=True)


def test_a_failed_init_container_is_restarted_and_main_containers_wait() -> None:
    pod = a_view(a_pod(init=TWO_INITS), one=exited(1, restart_in=10))
    assert phase_of(pod) is Phase.PENDING
    assert next_actions(pod, NOW) == Actions(wake_at=SOON)
    assert next_actions(pod, SOON).start == ("one",)


@pytest.mark.parametrize(
    ("policy", "code", "starts", "phase"),
    [
        ("Always", 0, True, Phase.RUNNING),
        ("Always", 1, True, Phase.RUNNING),
        ("OnFailure", 0, False, Phase.SUCCEEDED),
        ("OnFailure", 1, True, Phase.RUNNING),
        ("Never", 0, False, Phase.SUCCEEDED),
        ("Never", 1, False, Phase.FAILED),
    ],
)
def test_restart_policy(policy: str, code: int, starts: bool, phase: Phase) -> None:
    pod = a_view(a_pod(restartPolicy=policy), main=exited(code))
    assert phase_of(pod) is phase
    assert next_actions(pod, NOW) == Actions(start=("main",) if starts else (), is_over=not starts)


def test_back_off_is_waited_out() -> None:
    pod = a_view(a_pod(), main=exited(1, restart_in=10))
    assert next_actions(pod, NOW) == Actions(wake_at=SOON)


def test_one_finished_container_does_not_finish_the_pod() -> None:
    pod = a_view(a_pod(a_container("a"), a_container("b"), restartPolicy="Never"), a=exited(1), b=running())
    assert phase_of(pod) is Phase.RUNNING
    assert next_actions(pod, NOW) == Actions()


def test_a_container_that_could_not_start_is_tried_again_later() -> None:
    waiting = ContainerView(state=Waiting("CreateContainerConfigError", "no"), retry_at=SOON)
    pod = a_view(a_pod(), main=waiting)
    assert next_actions(pod, NOW) == Actions(wake_at=SOON)
    assert phase_of(pod) is Phase.PENDING


def test_a_blocked_pod_starts_nothing() -> None:
    assert next_actions(a_view(a_pod(), blocked=Waiting("ContainerCreating")), NOW) == Actions()


def test_deletion_stops_what_runs_and_ends_when_nothing_does() -> None:
    pod = a_pod(a_container("a"), a_container("b"))
    assert next_actions(a_view(pod, a=running(), b=exited(1), ending=DELETED), NOW) == Actions(stop=("a",))
    assert next_actions(a_view(pod, a=running(is_stopping=True), ending=DELETED), NOW) == Actions()
    assert next_actions(a_view(pod, a=exited(143), b=exited(0), ending=DELETED), NOW) == Actions(is_over=True)


@pytest.mark.parametrize(("code", "phase"), [(0, Phase.SUCCEEDED), (143, Phase.FAILED)])
def test_phase_of_a_deleted_pod_is_what_its_containers_say(code: int, phase: Phase) -> None:
    assert phase_of(a_view(a_pod(), main=exited(code), ending=DELETED)) is phase


def test_the_deadline_is_a_reason_to_look_again() -> None:
    pod: Any = a_view(a_pod(activeDeadlineSeconds=10), main=running())
    assert next_actions(pod, NOW) == Actions(wake_at=SOON)


def test_a_pod_past_its_deadline_fails_whatever_its_containers_say() -> None:
    ending = Ending("DeadlineExceeded", "too long", is_failure=True)
    assert phase_of(a_view(a_pod(), main=exited(0), ending=ending)) is Phase.FAILED
