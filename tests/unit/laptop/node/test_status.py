from datetime import timedelta
from typing import Any

from kingmaker_laptop.node.states import DELETED, ContainerView, Ending, PodView, Waiting
from kingmaker_laptop.node.status import build_status
from support.pods import NOW, a_container, a_pod, a_view, exited, running

LATER = NOW + timedelta(minutes=1)


def status_of(pod: PodView, **last: Any) -> dict[str, Any]:
    return build_status(pod, last=last, now=NOW)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in status["conditions"] if one["type"] == kind)


def test_a_running_ready_pod() -> None:
    status = status_of(a_view(a_pod(), main=running()))
    assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "127.9.0.1", [{"ip": "127.9.0.1"}])
    assert {one["type"]: one["status"] for one in status["conditions"]} == dict.fromkeys(
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
    )
    assert status["containerStatuses"] == [
        {
            "name": "main",
            "image": "none",
            "imageID": "",
            "containerID": "process://1-1",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-02T03:04:04Z"}},
            "lastState": {},
        }
    ]


def test_a_container_in_back_off_shows_its_exit_as_the_last_state() -> None:
    status = status_of(a_view(a_pod(), main=exited(3, restart_in=20, restarts=2)))
    shown = status["containerStatuses"][0]
    assert shown["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "20s" in shown["state"]["waiting"]["message"]
    assert shown["lastState"]["terminated"]["exitCode"] == 3
    assert shown["restartCount"] == 2


def test_an_exited_container_that_stays_exited_is_no_crash_loop() -> None:
    status = status_of(a_view(a_pod(restartPolicy="Never"), main=exited(3, restart_in=20)))
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert condition(status, "Ready")["reason"] == "PodFailed"


def test_a_completed_pod() -> None:
    status = status_of(a_view(a_pod(restartPolicy="Never"), main=exited(0)))
    assert status["phase"] == "Succeeded"
    assert condition(status, "Ready")["reason"] == "PodCompleted"


def test_a_pod_is_not_ready_as_soon_as_it_ends() -> None:
    status = status_of(a_view(a_pod(), main=running(), ending=DELETED))
    assert condition(status, "Ready")["status"] == "False"
    assert status["containerStatuses"][0]["ready"] is False


def test_waiting_containers_say_what_for() -> None:
    status = status_of(a_view(a_pod(init=[a_container("first")]), first=running()))
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    assert condition(status, "Initialized")["reason"] == "ContainersNotInitialized"
    config = ContainerView(state=Waiting("CreateContainerConfigError", 'secret "x" not found'))
    status = status_of(a_view(a_pod(), main=config))
    assert status["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "x" not found'


def test_a_blocked_pod_says_why_in_every_container() -> None:
    status = status_of(a_view(a_pod(), blocked=Waiting("ErrImageNeverPull", "name the command")))
    assert status["containerStatuses"][0]["state"]["waiting"] == {
        "reason": "ErrImageNeverPull",
        "message": "name the command",
    }


def test_the_reason_of_a_failed_pod_is_the_pods() -> None:
    status = status_of(a_view(a_pod(), main=exited(0), ending=Ending("DeadlineExceeded", "m", is_failure=True)))
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "m")


def test_transition_times_stay_while_nothing_changes() -> None:
    pod = a_view(a_pod(), main=running())
    first = build_status(pod, last={}, now=NOW)
    assert build_status(pod, last=first, now=LATER) == first
    unready = build_status(a_view(a_pod(), main=running(is_ready=False)), last=first, now=LATER)
    assert condition(unready, "Ready")["lastTransitionTime"] == "2026-01-02T03:05:05Z"
    assert condition(unready, "Initialized")["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_readiness_gates_hold_ready_back() -> None:
    pod = a_view(a_pod(readinessGates=[{"conditionType": "example.com/ok"}]), main=running())
    assert condition(status_of(pod), "Ready")["reason"] == "ReadinessGatesNotReady"
    assert condition(status_of(pod), "ContainersReady")["status"] == "True"
    met = status_of(pod, conditions=[{"type": "example.com/ok", "status": "True"}])
    assert condition(met, "Ready")["status"] == "True"
