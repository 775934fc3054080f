"""Builders of API objects that state only what a test is about."""

from typing import Any

from kingmaker.api import Model, ModelDeployment

DIGEST = "sha256:" + "1" * 64
UID = "0c0ffee0-0000-4000-8000-000000000001"


def a_model(name: str = "churn-1", *, uid: str = UID, namespace: str = "team", **spec: Any) -> Model:
    """Give a Model; keywords are fields of its spec as the API spells them."""
    artifact = {"format": "ONNX", "uri": f"s3://models/{name}/model.onnx", "digest": DIGEST}
    body = {"family": "churn", "version": "1", "artifact": artifact} | spec
    return Model.parse({"metadata": {"name": name, "namespace": namespace, "uid": uid}, "spec": body})


def a_deployment(name: str = "churn", *, uid: str = UID, namespace: str = "team", **spec: Any) -> ModelDeployment:
    """Give a ModelDeployment; keywords are fields of its spec as the API spells them."""
    metadata = {"name": name, "namespace": namespace, "uid": uid, "labels": {"argocd.argoproj.io/instance": "app"}}
    return ModelDeployment.parse({"metadata": metadata, "spec": {"championRef": {"name": "churn-1"}} | spec})
