"""One of every manifest that the operator builds, for checks that hold for all of them."""

from datetime import UTC, datetime
from typing import Any

from kingmaker.api import Autoscaling, DecisionSpec, JobTemplate, Model, ModelDeployment
from kingmaker.core.manifests.autoscaler import autoscaler
from kingmaker.core.manifests.policies import (
    job_network_policy,
    network_policy,
    pod_disruption_budget,
    router_disruption_budget,
    router_network_policy,
)
from kingmaker.core.manifests.records import RunResult, decision_body, model_from_result
from kingmaker.core.manifests.retraining import retrain_job, retrain_variables, run_output_uri
from kingmaker.core.manifests.router import (
    RouterContainer,
    deployment_service,
    router_deployment,
    workload_service_account,
)
from kingmaker.core.manifests.serving import (
    ShadowTarget,
    keys_secret,
    shadow_config_map,
    variant_deployment,
    variant_service,
)
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.manifests.verification import verify_job
from support.manifest_objects import DIGEST, a_deployment, a_model

SETTINGS = Settings(
    serving_image="registry.example/kingmaker-serving:1",
    router_image="registry.example/envoy:1",
    operator_namespace="kingmaker-system",
    xds_host="kingmaker.kingmaker-system.svc",
    xds_port=18000,
    image_pull_secrets=("registry",),
    monitoring_namespaces=("monitoring",),
)
FILE = {"uri": "s3://models/churn/baseline.json", "digest": DIGEST}
TASK = {"type": "Classification", "label": "label", "score": "probabilities"}
TENSORS = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 30]}],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ],
}
TEMPLATE = {
    "image": "registry.example/trainer:1",
    "command": ["python", "-m", "train"],
    "args": ["--to", "$(KINGMAKER_OUTPUT_URI)"],
    "env": [
        {"name": "EPOCHS", "value": "3"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "token"}}},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "train", "key": "level"}}},
    ],
    "volumes": [
        {"name": "data", "mountPath": "/data", "readOnly": True, "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "conf", "mountPath": "/etc/train", "configMap": {"name": "train"}},
        {"name": "tmp", "mountPath": "/tmp", "emptyDir": {}},
    ],
    "resources": {"requests": {"memory": "1Gi"}},
    "nodeSelector": {"pool": "batch"},
    "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
}
SCALING = Autoscaling.model_validate({"minReplicas": 2, "maxReplicas": 10, "targetCPUPercent": 70})
QUEUE_SCALING = Autoscaling.model_validate({"maxReplicas": 4, "targetConcurrency": 1000, "scaleDownDelay": "0s"})
RESULT = RunResult(
    artifact={"uri": "s3://models/churn/r1/model.onnx", "digest": DIGEST},
    baseline=FILE,
    examples=FILE,
    metrics=({"name": "accuracy", "value": "0.942", "dataset": "holdout"},),
    training_data=({"uri": "s3://data/2026", "digest": DIGEST, "rows": 455},),
    framework="scikit-learn 1.7",
)


def a_full_model(name: str = "churn-1") -> Model:
    """Give a Model that uses every field that manifests depend on."""
    model = a_model(name)
    artifact = model.spec.artifact.manifest() | {"credentialsSecretRef": {"name": "s3"}}
    return a_model(name, artifact=artifact, baseline=FILE, examples=FILE, task=TASK, signature=TENSORS)


def a_full_deployment() -> ModelDeployment:
    """Give a ModelDeployment that uses every field that manifests depend on."""
    return a_deployment(
        enrol={"selector": {"matchLabels": {"team": "growth"}}},
        serving={
            "replicas": 3,
            "maxRequestBytes": 4096,
            "resources": {"requests": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi"}},
            "nodeSelector": {"pool": "models"},
            "tolerations": [{"key": "models", "value": "yes", "effect": "NoSchedule"}],
        },
        retraining={"output": {"uriPrefix": "s3://models/churn/"}, "template": TEMPLATE},
    )


def a_retrain_job(
    deployment: ModelDeployment, *, run: int = 1, prefix: str = "s3://models/churn/", **template: Any
) -> dict[str, Any]:
    """Give the Job of a run; keywords replace fields of the template."""
    variables = retrain_variables(
        deployment,
        a_model(),
        decision="churn-000004",
        reason="Drift",
        features=["age", "plan"],
        window="24h",
        output_uri=run_output_uri(deployment, prefix, run=run),
    )
    wanted = JobTemplate.model_validate(TEMPLATE | template)
    return retrain_job(deployment, wanted, run=run, variables=variables, settings=SETTINGS)


def a_decision(deployment: ModelDeployment) -> dict[str, Any]:
    """Give the body of a Decision."""
    spec = DecisionSpec.model_validate(
        {
            "deployment": deployment.metadata.name,
            "deploymentUid": deployment.metadata.uid,
            "sequence": 4,
            "action": "Promote",
            "from": {"name": "churn-1", "digest": DIGEST},
            "to": {"name": "churn-2", "digest": DIGEST},
            "weights": [{"model": "churn-2", "weight": 100}],
            "reason": "ContestWon",
            "actor": "Operator",
            "at": datetime(2026, 11, 1, 12, tzinfo=UTC),
            "observedGeneration": 3,
        }
    )
    return decision_body(deployment, spec)


def every_manifest() -> list[dict[str, Any]]:
    """Give one of each, as the operator would build them for one deployment with a challenger."""
    deployment, model = a_full_deployment(), a_full_model()
    target = ShadowTarget("churn-2", DIGEST, "http://10.96.3.4:8080", 100)
    scaled = a_deployment("scaled", serving={"autoscaling": SCALING.manifest()})
    found = [
        variant_deployment(deployment, model, replicas=3, settings=SETTINGS),
        variant_service(deployment, "churn-1"),
        pod_disruption_budget(deployment, "churn-1"),
        network_policy(deployment, "churn-1", settings=SETTINGS),
        autoscaler(scaled, "churn-1", SCALING, floor=3, may_shrink=True),
        autoscaler(a_deployment("queue"), "churn-1", QUEUE_SCALING, floor=2, may_shrink=False),
        shadow_config_map(deployment, decision=12, champion="churn-1", targets=[target]),
        deployment_service(deployment),
        keys_secret(deployment) | {"data": {"2026-11-01T12-00-00Z": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}},
        router_deployment("team", settings=SETTINGS, router=RouterContainer(("--config-yaml", "{}"))),
        router_disruption_budget("team", settings=SETTINGS),
        router_network_policy("team", settings=SETTINGS),
        workload_service_account("team", settings=SETTINGS),
        verify_job(model, settings=SETTINGS),
        job_network_policy("team", settings=SETTINGS),
        a_retrain_job(deployment),
        model_from_result(
            deployment, model, RESULT, run=1, decision="churn-000004", built_at=datetime(2026, 11, 1, tzinfo=UTC)
        ),
        a_decision(deployment),
    ]
    return [body for body in found if body is not None]
