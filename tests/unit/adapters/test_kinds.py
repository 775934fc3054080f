"""What of an object is kept in memory: all that a pass looks at, and little else."""

from typing import Any

from kingmaker.adapters.kinds import kinds, models_of
from kingmaker.core.serving.observe import has_ended, is_pod_ready, is_returning, termination_message
from kingmaker.core.serving.ownership import applies_replicas, owns_replicas

OURS = {"app.kubernetes.io/managed-by": "kingmaker"}


def trimmed(kind: str, **parts: Any) -> dict[str, Any]:
    meta = {"name": "x", "namespace": "ns", "uid": "u", "resourceVersion": "1"} | parts.pop("metadata", {})
    given = {"apiVersion": "v1", "kind": kind, "metadata": meta, **parts}
    before = repr(given)
    found = kinds()[kind].trim(given)
    assert repr(given) == before, "what was given belongs to others as well"
    return found


def test_who_says_how_many_pods_is_kept_of_the_account_of_fields() -> None:
    entry = {
        "manager": "kingmaker",
        "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {}}}},
    }
    others = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    scaling = entry | {"operation": "Update", "subresource": "scale"}
    body = trimmed("Deployment", metadata={"managedFields": [others, entry]}, spec={"replicas": 2})
    assert owns_replicas(body)
    assert applies_replicas(body)
    assert "template" not in repr(body)
    assert not owns_replicas(trimmed("Deployment", metadata={"managedFields": [others]}))
    scaled = trimmed("Deployment", metadata={"managedFields": [scaling]})
    assert owns_replicas(scaled)
    assert not applies_replicas(scaled)
    assert "managedFields" not in trimmed("Model", metadata={"managedFields": [entry]})["metadata"]


def test_what_kubectl_applied_is_not_kept_twice() -> None:
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}
    assert trimmed("Model", metadata={"annotations": notes})["metadata"]["annotations"] == {"mine": "1"}


def test_a_pod_keeps_what_is_looked_at() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "out of disk"}}
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "s",
                "image": "i",
                "imageID": "long",
                "restartCount": 1,
                "state": {"running": {}},
                "lastState": ended,
            }
        ],
    }
    pod = trimmed("Pod", metadata={"labels": OURS}, spec={"containers": [{"name": "s"}]}, status=status)
    assert (has_ended(pod), is_pod_ready(pod), is_returning(pod)) == (False, True, True)
    assert termination_message(pod) == "out of disk"
    assert "spec" not in pod
    assert "imageID" not in repr(pod)


def test_of_somebody_elses_service_only_that_it_is_there_is_kept() -> None:
    assert "spec" not in trimmed("Service", spec={"clusterIP": "10.0.0.1"})
    ours = trimmed("Service", metadata={"labels": OURS}, spec={"clusterIP": "10.0.0.1"})
    assert ours["spec"] == {"clusterIP": "10.0.0.1"}


def test_a_deployment_refers_to_models_in_spec_and_status() -> None:
    spec = {"championRef": {"name": "a"}, "challengers": [{"name": "x", "modelRef": {"name": "b"}}]}
    assert list(models_of({"spec": spec, "status": {"variants": [{"name": "c"}]}})) == ["a", "b", "c"]
    assert list(models_of({"spec": {}})) == []
