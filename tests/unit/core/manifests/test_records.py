"""The Model that a run becomes, and the record of a decision."""

from datetime import UTC, datetime, timedelta, timezone

from kingmaker.api import Decision, Model
from kingmaker.core.manifests.records import RunResult, model_from_result
from support.every_manifest import RESULT, TASK, a_decision, a_full_deployment, a_full_model
from support.manifest_objects import DIGEST, a_deployment, a_model

AT = datetime(2026, 11, 1, 13, tzinfo=timezone(timedelta(hours=1)))


def test_a_produced_model_is_complete_and_owned_by_nobody() -> None:
    body = model_from_result(a_full_deployment(), a_full_model(), RESULT, run=7, decision="churn-000004", built_at=AT)
    model = Model.parse(body)
    assert "ownerReferences" not in body["metadata"]
    assert (model.metadata.name, model.metadata.namespace) == ("churn-r7", "team")
    assert (model.spec.family, model.spec.version) == ("churn", "r7")
    assert model.spec.artifact.credentials_secret_ref is not None
    lineage = model.spec.lineage
    assert lineage is not None
    assert lineage.parent_ref is not None
    assert lineage.triggered_by is not None
    assert lineage.built_at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert (lineage.parent_ref.name, lineage.triggered_by.decision) == ("churn-1", "churn-000004")
    assert lineage.training_data[0].rows == 455


def test_it_carries_the_labels_by_which_it_is_enrolled() -> None:
    body = model_from_result(a_full_deployment(), a_model(), RESULT, run=1, decision="d", built_at=AT)
    assert body["metadata"]["labels"]["team"] == "growth"


def test_it_answers_the_same_task_unless_the_run_says_otherwise() -> None:
    least = RunResult(artifact={"uri": "s3://b/m.onnx", "digest": DIGEST})
    kept = model_from_result(a_deployment(), a_full_model(), least, run=1, decision="d", built_at=AT)
    own = {"type": "Regression", "label": "y", "errorTolerance": "1"}
    new = RunResult(artifact=least.artifact, task=own)
    changed = model_from_result(a_deployment(), a_full_model(), new, run=1, decision="d", built_at=AT)
    assert (kept["spec"]["task"], changed["spec"]["task"]) == (TASK, own)


def test_what_a_run_does_not_say_is_left_out() -> None:
    least = RunResult(artifact={"uri": "s3://b/m.onnx", "digest": DIGEST})
    body = model_from_result(a_deployment(), a_model(), least, run=1, decision="d", built_at=AT)
    assert set(body["spec"]) == {"family", "version", "artifact", "lineage"}
    assert set(body["spec"]["lineage"]) == {"builtAt", "builtBy", "parentRef", "triggeredBy"}
    assert "credentialsSecretRef" not in body["spec"]["artifact"]


def test_a_decision_is_read_back_as_it_was_written() -> None:
    body = a_decision(a_full_deployment())
    decision = Decision.parse(body)
    assert body["metadata"]["name"] == "churn-000004"
    assert body["spec"]["from"] == {"name": "churn-1", "digest": DIGEST}
    assert decision.spec.manifest() == body["spec"]
