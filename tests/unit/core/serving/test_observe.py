"""What objects say of pods, Jobs and variants."""

import pytest

from kingmaker.api import ModelStatus
from kingmaker.core.serving.observe import (
    has_ended,
    is_pod_ready,
    is_returning,
    job_state,
    model_roles,
    observe_variants,
    termination_message,
)

READY = [{"type": "Ready", "status": "True"}]


def a_pod(ip: str = "10.0.0.1", *, conditions=READY, labels=None, deleted=False, **status) -> dict:
    meta = {"name": "pod", "uid": f"uid-{ip}", "labels": labels or {"kingmaker.dev/model": "a"}}
    meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
    if deleted:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta, "status": {"podIP": ip, "conditions": list(conditions), **status}}


def a_deployment(replicas: int = 2, conditions=()) -> dict:
    labels = {"kingmaker.dev/model": "a"}
    return {
        "metadata": {"name": "churn-a", "labels": labels},
        "spec": {"replicas": replicas},
        "status": {"conditions": list(conditions)},
    }


@pytest.mark.parametrize(
    ("pod", "ready"),
    [
        (a_pod(), True),
        (a_pod(deleted=True), False),
        (a_pod(conditions=[{"type": "Ready", "status": "False"}]), False),
        (a_pod(conditions=[]), False),
    ],
    ids=["ready", "on its way out", "not ready", "new"],
)
def test_a_pod_gets_requests_only_while_it_is_ready_and_stays(pod, ready) -> None:
    assert is_pod_ready(pod) is ready


NOT_READY = [{"type": "Ready", "status": "False"}]


@pytest.mark.parametrize(
    ("pod", "returning"),
    [
        (a_pod(deleted=True, conditions=NOT_READY, containerStatuses=[{"state": {"running": {}}}]), True),
        (a_pod(deleted=True, containerStatuses=[{"state": {"terminated": {"exitCode": 0}}}]), False),
        (a_pod(conditions=NOT_READY, containerStatuses=[{"state": {"terminated": {"exitCode": 137}}}]), True),
        (a_pod(conditions=NOT_READY, containerStatuses=[{"restartCount": 1, "state": {"running": {}}}]), True),
        (
            a_pod(
                conditions=NOT_READY,
                containerStatuses=[{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            ),
            False,
        ),
        (a_pod(conditions=NOT_READY, containerStatuses=[{"restartCount": 0, "state": {"running": {}}}]), False),
        (a_pod(phase="Failed", containerStatuses=[{"restartCount": 1}]), False),
        (a_pod("", conditions=NOT_READY, containerStatuses=[{"restartCount": 1}]), False),
    ],
    ids=["ends", "ended", "killed", "starts again", "keeps failing", "starts", "failed", "has no address"],
)
def test_a_pod_returns_when_it_answers_yet_or_is_started_again(pod, returning) -> None:
    assert is_returning(pod) is returning


def test_requests_wait_for_those_that_return_only_when_nobody_is_ready() -> None:
    killed = a_pod("10.0.0.2", conditions=NOT_READY, containerStatuses=[{"restartCount": 1}])
    objects = {("Deployment", "churn-a"): a_deployment()}
    both = observe_variants(objects, [a_pod("10.0.0.1"), killed])["a"]
    alone = observe_variants(objects, [killed])["a"]
    assert both.addresses == ("10.0.0.1",)
    assert (alone.endpoints, alone.addresses) == ((), ("10.0.0.2",))


def test_pods_answer_without_their_deployment() -> None:
    ending = a_pod("10.0.0.2", deleted=True, containerStatuses=[{"state": {"running": {}}}])
    found = observe_variants({}, [ending])["a"]
    assert (found.desired, found.ready, found.addresses) == (0, 0, ("10.0.0.2",))


def test_an_ended_pod_is_told() -> None:
    assert has_ended(a_pod(phase="Failed"))
    assert not has_ended(a_pod(phase="Running"))


def test_a_variant_sums_up_its_pods_and_its_service() -> None:
    objects = {
        ("Deployment", "churn-a"): a_deployment(),
        ("Service", "churn-a"): {"metadata": {}, "spec": {"clusterIP": "10.96.0.1"}},
        ("ConfigMap", "x"): {"metadata": {}},
    }
    found = observe_variants(objects, [a_pod("10.0.0.2"), a_pod("10.0.0.1"), a_pod("10.0.0.3", deleted=True)])["a"]
    assert (found.desired, found.ready, found.endpoints) == (2, 2, ("10.0.0.1", "10.0.0.2"))
    assert found.service_ip == "10.96.0.1"
    assert found.stalled == ""


def test_a_variant_that_does_not_come_up_says_why() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
    waiting = {"name": "fetch", "image": "x:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    starting = {"name": "serve", "state": {"waiting": {"reason": "PodInitializing"}}}
    pod = a_pod(conditions=[], initContainerStatuses=[waiting], containerStatuses=[starting])
    found = observe_variants({("Deployment", "churn-a"): a_deployment(conditions=[late])}, [pod])["a"]
    assert found.stalled == "too late; container fetch: image x:1 can't be pulled (ImagePullBackOff)"


def a_job(kind: str = "Complete") -> dict:
    condition = {"type": kind, "status": "True", "reason": "DeadlineExceeded", "message": "slow"}
    return {"metadata": {"name": "job", "uid": "job-uid"}, "status": {"conditions": [condition]}}


def a_job_pod(message: str, *, container: str = "containerStatuses") -> dict:
    terminated = {"name": "train", "state": {"terminated": {"message": message}}}
    pod = a_pod(**{container: [terminated]})
    pod["metadata"]["ownerReferences"] = [{"uid": "job-uid"}]
    return pod


def test_a_job_says_what_its_pod_said_last() -> None:
    found = job_state(a_job(), [a_job_pod("done")])
    assert (found.succeeded, found.failed, found.message) == (True, False, "done")
    assert found.is_finished


def test_a_failed_job_says_what_kubernetes_says() -> None:
    stranger = a_pod(containerStatuses=[{"name": "x", "state": {"terminated": {"message": "not ours"}}}])
    found = job_state(a_job("Failed"), [stranger])
    assert (found.failed, found.message, found.reason) == (True, "", "DeadlineExceeded: slow")


def test_an_init_container_that_failed_speaks_for_the_pod() -> None:
    assert termination_message(a_job_pod("no file", container="initContainerStatuses")) == "no file"
    assert termination_message(a_pod()) == ""


def test_a_model_in_more_deployments_than_its_status_may_name_names_as_many() -> None:
    status = {"variants": [{"name": "a", "role": "Champion"}]}
    roles = model_roles([{"metadata": {"name": f"d{i:03}"}, "status": status} for i in range(65)], "a")
    assert len(ModelStatus(roles=roles).roles) == 64


def test_roles_come_from_the_deployments_status() -> None:
    variant = {"name": "a", "role": "Champion"}
    bodies = [
        {"metadata": {"name": "z"}, "status": {"variants": [variant, {"name": "b", "role": "Challenger"}]}},
        {"metadata": {"name": "y"}, "status": {}},
        # It is to become the first champion: it challenges nobody.
        {"metadata": {"name": "w"}, "status": {"variants": [{"name": "a", "role": "Challenger"}]}},
        {"metadata": {"name": "x"}, "status": {"variants": [variant]}},
    ]
    assert [(r.model_deployment, str(r.role)) for r in model_roles(bodies, "a")] == [
        ("x", "Champion"),
        ("z", "Champion"),
    ]
