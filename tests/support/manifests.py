"""Smallest good manifests, and what makes them bad: dotted paths that are set or removed."""

import copy
from typing import Any

DIGEST = "sha256:" + "a" * 64

MODEL: dict[str, Any] = {
    "apiVersion": "kingmaker.dev/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "churn-1"},
    "spec": {
        "family": "churn",
        "version": "1",
        "artifact": {"format": "ONNX", "uri": "s3://models/churn/1/model.onnx", "digest": DIGEST},
        "signature": {
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 30]}],
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
            ],
        },
        "task": {"type": "Classification", "label": "label", "score": "probabilities"},
    },
}

SEAT: dict[str, Any] = {
    "apiVersion": "kingmaker.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "churn"},
    "spec": {"championRef": {"name": "churn-1"}},
}

RETRAINING: dict[str, Any] = {
    "output": {"uriPrefix": "s3://models/churn/"},
    "template": {"image": "registry.example.com/train:1", "command": ["python", "train.py"]},
}

DECISION: dict[str, Any] = {
    "apiVersion": "kingmaker.dev/v1alpha1",
    "kind": "Decision",
    "metadata": {"name": "churn-000001"},
    "spec": {
        "deployment": "churn",
        "deploymentUid": "0c9b3d0e-0000-4000-8000-000000000000",
        "sequence": 1,
        "action": "Promote",
        "from": {"name": "churn-1", "digest": DIGEST},
        "to": {"name": "churn-2", "digest": DIGEST},
        "weights": [{"model": "churn-2", "weight": 100}],
        "reason": "ContestWon",
        "evidence": [{"name": "errorRate", "n": 5000, "estimate": "-0.02", "eValue": "31.5", "threshold": "20"}],
        "actor": "Operator",
        "at": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    },
}


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Copy `base` with fields set; `a__b` means a.b below spec, a leading `metadata__` below metadata, None removes."""
    body = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = body if parents[:1] == ["metadata"] else body["spec"]
        for parent in parents:
            target = target.setdefault(parent, {})
        if value is None:
            del target[last]
        else:
            target[last] = value
    return body


def a_model(**changes: Any) -> dict[str, Any]:
    """A Model that is accepted, with `changes`."""
    return changed(MODEL, **changes)


def a_seat(**changes: Any) -> dict[str, Any]:
    """A ModelDeployment that is accepted, with `changes`."""
    return changed(SEAT, **changes)


def a_retraining_seat(**changes: Any) -> dict[str, Any]:
    """A ModelDeployment that retrains, with `changes` below spec.retraining."""
    nested = {f"retraining__{path}": value for path, value in changes.items()}
    return changed(changed(SEAT, retraining=copy.deepcopy(RETRAINING)), **nested)


def a_decision(**changes: Any) -> dict[str, Any]:
    """A Decision that is accepted, with `changes`."""
    return changed(DECISION, **changes)
