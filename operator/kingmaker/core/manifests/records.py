"""Resources of Kingmaker's own that the operator creates: the Model that a run produced, and Decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kingmaker.api import API_VERSION, DecisionSpec, Model, ModelDeployment
from kingmaker.core.manifests.names import bounded, decision_name, produced_model_name
from kingmaker.core.manifests.objects import (
    DEPLOYMENT,
    DEPLOYMENT_UID,
    Manifest,
    deployment_labels,
    labels,
    manifest,
    owner,
)

RETENTION: Final = 200
"""Decisions kept per deployment; the state that matters is in the newest."""

LEDGER: Final = "ledger.json"
"""Key of the ledger in its ConfigMap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a finished run says it made, already checked against the API's own types.

    The mappings are parts of a Model's spec as the API spells them: `artifact`, `baseline` and `examples` with `uri`
    and `digest`, `task`, entries of `metrics` and of `lineage.trainingData`.
    """

    artifact: Mapping[str, str]
    baseline: Mapping[str, str] | None = None
    examples: Mapping[str, str] | None = None
    task: Mapping[str, Any] | None = None
    metrics: tuple[Mapping[str, str], ...] = ()
    training_data: tuple[Mapping[str, Any], ...] = ()
    framework: str | None = None


def model_from_result(
    mdep: ModelDeployment, parent: Model, result: RunResult, *, run: int, decision: str, built_at: datetime
) -> Manifest:
    """Build the Model that a retraining run becomes: owned by nothing, for it may outlive whoever asked for it.

    Args:
        mdep: Who retrained; its enrolment labels are put on the Model.
        parent: The champion that was retrained; family and credentials are taken from it, the task where none is given.
        result: What the run made.
        run: Number of the run, part of the Model's name.
        decision: Name of the Decision that started the run.
        built_at: When the run ended, aware.
    """
    name = mdep.metadata.name
    enrol = mdep.spec.enrol
    chosen = dict(enrol.selector.match_labels) if enrol else {}
    own = labels("kingmaker-model", instance=str(parent.spec.family), component="model")
    # The uid tells the Models of an earlier deployment of this name from its own.
    own |= {DEPLOYMENT: bounded(name), DEPLOYMENT_UID: mdep.metadata.uid}
    known = parent.spec.task.manifest() if parent.spec.task else {}
    # The class that is looked for is people's to say: what trains does not know it.
    positive = {"positive": known["positive"]} if "positive" in known else {}
    task = {**positive, **result.task} if result.task else known or None
    spec: Manifest = {
        "family": str(parent.spec.family),
        "version": f"r{run}",
        "artifact": _artifact(parent, result),
        "lineage": _lineage(mdep, parent, result, decision, built_at),
    }
    optional = {
        "baseline": result.baseline,
        "examples": result.examples,
        "task": task,
        "metrics": [dict(metric) for metric in result.metrics],
    }
    spec |= {key: value for key, value in optional.items() if value}
    metadata = {
        "name": produced_model_name(name, run),
        "namespace": mdep.metadata.namespace,
        "labels": own | chosen,
    }
    return {"apiVersion": API_VERSION, "kind": "Model", "metadata": metadata, "spec": spec}


def decision_body(mdep: ModelDeployment, spec: DecisionSpec) -> Manifest:
    """Build the record of one decision, to be created once and never changed."""
    head = manifest(
        API_VERSION,
        "Decision",
        name=decision_name(mdep.metadata.name, spec.sequence),
        namespace=mdep.metadata.namespace,
        labels=deployment_labels(mdep, "decision"),
        owners=owner(mdep),
    )
    return head | {"spec": spec.manifest()}


def _artifact(parent: Model, result: RunResult) -> Manifest:
    artifact: Manifest = {
        "format": "ONNX",
        "uri": str(result.artifact["uri"]),
        "digest": str(result.artifact["digest"]),
    }
    secret = parent.spec.artifact.credentials_secret_ref
    return artifact | ({"credentialsSecretRef": secret.manifest()} if secret else {})


def _lineage(mdep: ModelDeployment, parent: Model, result: RunResult, decision: str, built_at: datetime) -> Manifest:
    name = mdep.metadata.name
    lineage: Manifest = {
        "builtAt": built_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "builtBy": f"kingmaker retraining of {name}",
        "parentRef": {"name": parent.metadata.name},
        "triggeredBy": {"modelDeployment": name, "decision": decision},
    }
    if result.framework:
        lineage["framework"] = result.framework
    if result.training_data:
        lineage["trainingData"] = [dict(data) for data in result.training_data]
    return lineage
