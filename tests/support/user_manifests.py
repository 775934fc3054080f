"""Objects as people write them, for the API server."""

from typing import Any

Document = dict[str, Any]

API = "kingmaker.dev/v1alpha1"
DIGEST = "sha256:" + "0" * 64


def a_model(name: str = "probe", *, secret: str = "", **metadata: Any) -> Document:
    """Give a Model; `secret` is what it names for its download, other keywords are its metadata."""
    artifact: Document = {"format": "ONNX", "uri": f"s3://models/{name}.onnx", "digest": DIGEST}
    if secret:
        artifact["credentialsSecretRef"] = {"name": secret}
    spec = {"family": "churn", "version": "1", "artifact": artifact}
    return {"apiVersion": API, "kind": "Model", "metadata": {"name": name, **metadata}, "spec": spec}


def a_deployment(name: str = "probe", *, metadata: Document | None = None, **spec: Any) -> Document:
    """Give a ModelDeployment; keywords are its spec, `approval` that of its contest."""
    if "approval" in spec:
        spec["contest"] = {**spec.get("contest", {}), "approval": spec.pop("approval")}
    body = {"championRef": {"name": "churn-1"}, **spec}
    return {"apiVersion": API, "kind": "ModelDeployment", "metadata": {"name": name, **(metadata or {})}, "spec": body}


def a_retraining(**template: Any) -> Document:
    """Give `spec.retraining`; keywords are fields of its template."""
    output = {"uriPrefix": "s3://models/churn/"}
    return {"output": output, "template": {"image": "registry.example/trainer:1", **template}}


def a_decision(name: str = "probe-000001", *, deployment: str = "probe", uid: str = "u", **metadata: Any) -> Document:
    """Give a Decision."""
    spec = {
        "deployment": deployment,
        "deploymentUid": uid,
        "sequence": 1,
        "action": "Deploy",
        "to": {"name": "churn-1", "digest": DIGEST},
        "reason": "FirstChampion",
        "actor": "Operator",
        "at": "2026-11-01T12:00:00Z",
        "observedGeneration": 1,
    }
    return {"apiVersion": API, "kind": "Decision", "metadata": {"name": name, **metadata}, "spec": spec}


def a_pod(labels: Document | None = None, name: str = "probe") -> Document:
    """Give a pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": _containers(),
    }


def a_workload(kind: str, pods: Document, name: str = "probe", **metadata: Any) -> Document:
    """Give an object of apps, of batch, or a ReplicationController, whose pods have these labels."""
    selector = {"app": name}
    template = {"metadata": {"labels": {**selector, **pods}}, "spec": _containers()}
    head = {"kind": kind, "metadata": {"name": name, **metadata}}
    if kind in {"Job", "CronJob"}:
        template["spec"]["restartPolicy"] = "Never"
        spec: Document = {"template": template}
        if kind == "CronJob":
            spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}
        return {"apiVersion": "batch/v1", **head, "spec": spec}
    if kind == "ReplicationController":
        return {"apiVersion": "v1", **head, "spec": {"selector": selector, "template": template}}
    spec = {"selector": {"matchLabels": selector}, "template": template}
    return {"apiVersion": "apps/v1", **head, "spec": spec | ({"serviceName": "a"} if kind == "StatefulSet" else {})}


def _containers() -> Document:
    return {"containers": [{"name": "a", "image": "registry.example/a:1"}]}
