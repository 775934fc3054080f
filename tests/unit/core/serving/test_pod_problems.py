"""What keeps pods from coming up, in words that do not change while it lasts."""

from typing import Any

import pytest

from kingmaker.api import Reason
from kingmaker.core.serving.pod_problems import find_trouble


def a_deployment(message: str = "") -> dict[str, Any]:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return {"status": {"conditions": [failure] if message else []}}


def a_pod(state: dict[str, Any], **container: Any) -> dict[str, Any]:
    return {"status": {"containerStatuses": [{"name": "serve", "image": "x:1", "state": state, **container}]}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize("name", ["churn-b-5d9-2x8zq", "churn-b-5d9-8h2ls"])
def test_refused_pods_are_told_without_their_names(name: str) -> None:
    why = "exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4"
    found = find_trouble(a_deployment(f'pods "{name}" is forbidden: {why}'), [])
    assert found is not None
    assert (found.reason, found.message) == (Reason.PODS_REFUSED, f"its pods are refused: {why}")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_sounds_the_same_in_both_states(reason: str) -> None:
    found = find_trouble(a_deployment(), [a_pod(waiting(reason, "Back-off pulling image for 17s"))])
    assert found is not None
    assert found.reason is Reason.PODS_FAILING
    assert found.message == "container serve: image x:1 can't be pulled (ImagePullBackOff)"


def test_a_container_that_keeps_failing_says_its_last_words() -> None:
    said = a_pod(waiting("CrashLoopBackOff", "back-off 20s"), lastState={"terminated": {"message": "no model"}})
    mute = {"reason": "OOMKilled", "exitCode": 137}
    killed = a_pod(waiting("CrashLoopBackOff", "back-off 10s"), lastState={"terminated": mute})
    found = find_trouble(a_deployment(), [said, said, killed])
    assert found is not None
    words = "container serve: keeps failing: no model; container serve: keeps failing: OOMKilled, exit code 137"
    assert found.message == words


def test_pods_that_start_are_in_no_trouble() -> None:
    assert find_trouble(a_deployment(), [a_pod(waiting("PodInitializing")), a_pod({"running": {}})]) is None


@pytest.mark.parametrize("state", [{"running": {}}, {"terminated": {"exitCode": 1, "message": "no model"}}])
def test_a_container_that_keeps_failing_sounds_the_same_between_two_tries(state: dict[str, Any]) -> None:
    last = {"terminated": {"exitCode": 1, "message": "no model"}}
    found = find_trouble(a_deployment(), [a_pod(state, restartCount=3, ready=False, lastState=last)])
    assert found is not None
    assert found.message == "container serve: keeps failing: no model"


def test_what_failed_before_and_is_well_now_is_no_trouble() -> None:
    last = {"terminated": {"exitCode": 1}}
    well = a_pod({"running": {}}, restartCount=3, ready=True, lastState=last)
    fetched = a_pod({"terminated": {"exitCode": 0}}, restartCount=3, ready=False, lastState=last)
    assert find_trouble(a_deployment(), [well, fetched]) is None
