"""Which events are news, and for whom."""

from typing import Any

import pytest

from kingmaker.handlers.interest import Interest
from kingmaker.ports import Key

CHURN = Key("ModelDeployment", "team", "churn")
OF_CHURN = {"kingmaker.dev/deployment": "churn"}


def a_child(labels: dict[str, str], *, generation: int = 1, **status: Any) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": "x", "uid": "1", "labels": labels, "generation": generation}
    return {"metadata": metadata, "status": status}


def condition(kind: str, status: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}


BEFORE = a_child(OF_CHURN, phase="Running", podIP="10.0.0.1", conditions=[condition("Ready", "False")])


@pytest.mark.parametrize(
    "after",
    [
        a_child(OF_CHURN, phase="Running", podIP="10.0.0.1", conditions=[condition("Ready", "True")]),
        a_child(OF_CHURN, phase="Running", podIP="10.0.0.2", conditions=[condition("Ready", "False")]),
        a_child(OF_CHURN, phase="Failed", podIP="10.0.0.1", conditions=[condition("Ready", "False")]),
        a_child(OF_CHURN, generation=2, phase="Running", podIP="10.0.0.1", conditions=[condition("Ready", "False")]),
    ],
    ids=["ready", "address", "ended", "edited"],
)
def test_what_a_pass_looks_at_is_news(after: dict[str, Any]) -> None:
    interest = Interest()
    assert list(interest.of_child(BEFORE, deleted=False)) == [CHURN]
    assert list(interest.of_child(after, deleted=False)) == [CHURN]


def test_counts_and_times_are_no_news() -> None:
    interest = Interest()
    assert list(interest.of_child(BEFORE, deleted=False)) == [CHURN]
    later = a_child(OF_CHURN, phase="Running", podIP="10.0.0.1", replicas=3, observedGeneration=1)
    later["status"]["conditions"] = [condition("Ready", "False") | {"lastTransitionTime": "2026-02-02T00:00:00Z"}]
    later["status"]["conditions"].append(condition("PodScheduled", "True"))
    later["metadata"]["resourceVersion"] = "2"
    assert list(interest.of_child(later, deleted=False)) == []


def test_an_end_is_news_even_if_nothing_else_changed() -> None:
    interest = Interest()
    assert list(interest.of_child(BEFORE, deleted=False)) == [CHURN]
    assert list(interest.of_child(BEFORE, deleted=True)) == [CHURN]
    assert list(interest.of_child(BEFORE, deleted=False)) == [CHURN]


def test_a_verify_job_concerns_its_model_when_it_ends() -> None:
    interest = Interest()
    labels = {"app.kubernetes.io/component": "verify", "kingmaker.dev/model": "churn-1"}
    model = Key("Model", "team", "churn-1")
    assert list(interest.of_child(a_child(labels), deleted=False)) == [model]
    assert list(interest.of_child(a_child(labels, active=1, ready=1), deleted=False)) == []
    done = a_child(labels, succeeded=1, conditions=[condition("Complete", "True")])
    assert list(interest.of_child(done, deleted=False)) == [model]


def test_a_router_concerns_its_whole_namespace() -> None:
    interest = Interest()
    for name in ("churn", "fraud"):
        body = {"metadata": {"namespace": "team", "name": name}, "spec": {"championRef": {"name": "m"}}}
        list(interest.of_deployment(body, deleted=False))
    router = a_child({"app.kubernetes.io/name": "kingmaker-router"}, podIP="10.0.0.9")
    assert [key.name for key in interest.of_child(router, deleted=False)] == ["churn", "fraud"]
