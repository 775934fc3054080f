"""Objects as the API server gives them become values, and go back as they came."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from kingmaker.api import Condition, ConditionType, Decision, Model, ModelDeployment, Reason
from kingmaker.api.text import Duration

DIGEST = "sha256:" + "a" * 64


def a_seat(**spec: Any) -> ModelDeployment:
    return ModelDeployment.parse(
        {"kind": "ModelDeployment", "metadata": {"name": "churn"}, "spec": {"championRef": {"name": "churn-1"}} | spec}
    )


def test_a_seat_needs_nothing_but_a_champion() -> None:
    spec = a_seat().spec
    assert [(stage.name, stage.weight, stage.shadow_percent) for stage in spec.contest.stages] == [
        ("shadow", None, 100),
        ("canary", 5, None),
        ("half", 50, None),
    ]
    assert spec.contest.verdict.guardrails.latency is not None
    assert spec.contest.deadline == Duration("14d")
    assert spec.retraining is None
    assert spec.enrol is None


def test_naming_some_guardrails_switches_the_others_off() -> None:
    guardrails = a_seat(contest={"verdict": {"guardrails": {"errors": {}}}}).spec.contest.verdict.guardrails
    assert guardrails.errors is not None
    assert guardrails.latency is None
    assert guardrails.disagreement is None


def test_what_a_newer_release_wrote_does_not_stop_this_one() -> None:
    assert a_seat(fromTheFuture={"a": 1}) == a_seat()


def test_values_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_seat().spec.championRef = None  # type: ignore[attr-defined]


def test_a_status_not_yet_written_is_not_yet_observed() -> None:
    assert a_seat().status.observed_generation == -1


def test_what_is_read_is_written_back_the_same() -> None:
    seat = a_seat(challengers=[{"name": "b", "modelRef": {"name": "churn-b"}, "weight": 20}])
    assert ModelDeployment.parse(seat.manifest()) == seat
    assert seat.manifest()["spec"]["challengers"] == [{"name": "b", "modelRef": {"name": "churn-b"}, "weight": 20}]


def test_manifests_hold_plain_strings_only() -> None:
    def kinds(value: object) -> set[type]:
        if isinstance(value, dict):
            return set().union(*(kinds(part) for part in value.values()))
        return set().union(*(kinds(part) for part in value)) if isinstance(value, list) else {type(value)}

    assert kinds(a_seat().manifest()) <= {str, int, bool}


def test_moments_are_cut_to_what_kubernetes_keeps() -> None:
    condition = Condition(
        type=ConditionType.READY,
        status="True",
        reason=Reason.SERVING,
        last_transition_time=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    )
    assert condition.manifest()["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert Condition.model_validate(condition.manifest()) == condition


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Condition.model_validate(
            {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-01-02T03:04:05"}
        )


def test_a_decision_says_from_whom() -> None:
    spec = {
        "deployment": "churn",
        "deploymentUid": "u",
        "sequence": 1,
        "action": "Promote",
        "from": {"name": "churn-1"},
        "to": {"name": "churn-2", "digest": DIGEST},
        "reason": "ContestWon",
        "actor": "Operator",
        "at": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }
    decision = Decision.parse({"kind": "Decision", "metadata": {"name": "churn-000001"}, "spec": spec})
    assert decision.spec.from_ is not None
    assert decision.spec.from_.name == "churn-1"
    assert decision.manifest()["spec"]["from"] == {"name": "churn-1"}


def test_cpu_may_be_written_as_a_number() -> None:
    resources = a_seat(serving={"resources": {"requests": {"cpu": 1, "memory": "256Mi"}}}).spec.serving.resources
    assert resources.requests is not None
    assert resources.requests.cpu == "1"


def test_a_model_reads_its_parts() -> None:
    artifact = {"format": "ONNX", "uri": "s3://models/a.onnx", "digest": DIGEST}
    body = {"kind": "Model", "metadata": {"name": "a"}, "spec": {"family": "a", "version": "1", "artifact": artifact}}
    model = Model.parse(body)
    assert model.spec.artifact.digest == DIGEST
    assert model.spec.metrics == ()


def test_reasons_are_one_word_and_unlike_each_other() -> None:
    values = [reason.value for reason in Reason]
    assert len(values) == len(set(values))
    assert all(value.isalnum() and value[0].isupper() for value in values)
