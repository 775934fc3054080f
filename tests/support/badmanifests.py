"""Manifests that can't work, as data: what is wrong, the manifest, and the words that a person must get."""

from typing import Any

from support.badmodels import MODELS, Bad
from support.manifests import DIGEST, a_decision, a_retraining_seat, a_seat


def _fixed(**entries: int) -> list[dict[str, Any]]:
    return [{"name": name, "modelRef": {"name": f"churn-{name}"}, "weight": weight} for name, weight in entries.items()]


def _entry(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "b", "modelRef": {"name": "churn-b"}, **fields}]


def _stage(**fields: Any) -> dict[str, Any]:
    return {"name": "one", "minDuration": "1m", "minRequests": 10, **fields}


def _volume(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "scratch", "mountPath": "/scratch", **fields}]


_SCALING: dict[str, Any] = {"maxReplicas": 4, "targetCPUPercent": 70}
_DISK = "ephemeral-storage"
_EMPTY: dict[str, Any] = {"emptyDir": {}}
_DURATION = "must be a duration such as 30s, 10m, 24h, 14d, 26w or 1h30m"
_POSITIVE = "must be a duration longer than 0s, such as 30s"

SEATS: list[Bad] = [
    ("no champion", a_seat(championRef=None, serving={}), "spec.championRef: Required value"),
    ("champion without name", a_seat(championRef={}), "spec.championRef.name: Required value"),
    ("name that is no Service's", a_seat(metadata__name="1churn"), "beginning with a letter"),
    ("long name", a_seat(metadata__name="c" * 64), "at most 63 lower-case letters"),
    (
        "weight and shadow",
        a_seat(challengers=_entry(weight=10, shadowPercent=10)),
        "not both; leave both out to follow the contest's stages",
    ),
    ("weight of 95", a_seat(challengers=_entry(weight=95)), "should be less than or equal to 90"),
    ("weight of 0", a_seat(challengers=_entry(weight=0)), "should be greater than or equal to 1"),
    ("weights above 90", a_seat(challengers=_fixed(b=50, c=41)), "the champion keeps at least 10 percent"),
    (
        "no room for the stages",
        a_seat(challengers=[*_fixed(b=50), {"name": "c", "modelRef": {"name": "churn-c"}}]),
        "add up to more than 99: lower one of them",
    ),
    (
        "no room for enrolled ones",
        a_seat(challengers=_fixed(b=50), enrol={"selector": {"matchLabels": {"a": "b"}}}),
        "add up to more than 99: lower one of them",
    ),
    ("one entry twice", a_seat(challengers=_entry() * 2), "Duplicate value"),
    (
        "one Model twice",
        a_seat(challengers=[*_entry(), {"name": "c", "modelRef": {"name": "churn-b"}}]),
        "two challengers name the same Model: keep one of them",
    ),
    (
        "champion against itself",
        a_seat(challengers=[{"name": "b", "modelRef": {"name": "churn-1"}}]),
        "remove that challenger or name another championRef",
    ),
    (
        "reserved entry",
        a_seat(challengers=[{"name": "enrolled", "modelRef": {"name": "churn-b"}}]),
        "'enrolled' stands for challengers that enter by themselves",
    ),
    (
        "nine challengers",
        a_seat(challengers=[{"name": f"c{n}", "modelRef": {"name": f"churn-c{n}"}} for n in range(9)]),
        "must have at most 8 items",
    ),
    ("selector of everything", a_seat(enrol={"selector": {"matchLabels": {}}}), "should have at least 1 properties"),
    (
        "unknown policy",
        a_seat(enrol={"selector": {"matchLabels": {"a": "b"}}, "onNewChallenger": "Drop"}),
        'supported values: "Queue", "Replace", "Reject"',
    ),
    ("stage without traffic", a_seat(contest__stages=[_stage()]), "set exactly one of them"),
    ("stage with both", a_seat(contest__stages=[_stage(weight=5, shadowPercent=5)]), "set exactly one of them"),
    ("no stages", a_seat(contest__stages=[]), "should have at least 1 items"),
    (
        "falling weights",
        a_seat(contest__stages=[_stage(weight=50), _stage(name="two", weight=5)]),
        "put shadow stages first, then weights that do not fall",
    ),
    (
        "shadow after a weight",
        a_seat(contest__stages=[_stage(weight=5), _stage(name="two", shadowPercent=100)]),
        "put shadow stages first, then weights that do not fall",
    ),
    ("stage of weight 100", a_seat(contest__stages=[_stage(weight=100)]), "should be less than or equal to 99"),
    ("one stage twice", a_seat(contest__stages=[_stage(weight=5), _stage(weight=9)]), "Duplicate value"),
    ("duration in words", a_seat(contest__stages=[_stage(weight=5, minDuration="ten minutes")]), _DURATION),
    ("duration as a number", a_seat(contest__deadline=3600), "spec.contest.deadline"),
    ("deadline of nothing", a_seat(contest__deadline="0s"), _POSITIVE),
    ("negative window", a_seat(contest__rollbackWindow="-1h"), _DURATION),
    ("unknown promotion", a_seat(contest__promotion="Sometimes"), 'supported values: "Automatic", "Manual", "Never"'),
    (
        "approvals without effect",
        a_seat(contest__approval={"approvedDigests": [DIGEST]}),
        "set required: true or remove the digests",
    ),
    ("unknown goal", a_seat(contest__verdict__goal="Better"), 'supported values: "Superior", "NonInferior"'),
    ("margin in percent", a_seat(contest__verdict__margin="10%"), 'must be a decimal in quotes from "0.0001" to "1"'),
    ("margin without quotes", a_seat(contest__verdict__margin=0.1), "spec.contest.verdict.margin"),
    ("unknown measure", a_seat(contest__verdict__measure="Accuracy"), '"ErrorRate", "Cost", "Recall"'),
    (
        "a cost without costs",
        a_seat(contest__verdict__measure="Cost"),
        "costs belong to measure Cost: set both, or neither",
    ),
    (
        "costs without a measure",
        a_seat(contest__verdict__costs={"falseNegative": "5", "falsePositive": "1"}),
        "costs belong to measure Cost: set both, or neither",
    ),
    (
        "half of the costs",
        a_seat(contest__verdict={"measure": "Cost", "costs": {"falseNegative": "5"}}),
        "falseNegative and falsePositive are said together",
    ),
    (
        "costs that say nothing",
        a_seat(contest__verdict={"measure": "Cost", "costs": {"otherwise": "5"}}),
        "set falseNegative and falsePositive, or confusions",
    ),
    (
        "costs of nothing",
        a_seat(contest__verdict={"measure": "Cost", "costs": {"falseNegative": "0", "falsePositive": "0.0"}}),
        "every cost is 0: one has to be above",
    ),
    (
        "an error without its clip",
        a_seat(contest__verdict__measure="AbsoluteError"),
        "belongs to the measures AbsoluteError and SquaredError",
    ),
    (
        "a class that no measure asks for",
        a_seat(contest__verdict__ofClass="fraud"),
        "ofClass is for the measures Cost, Recall and Precision",
    ),
    (
        "a maximum of what should be large",
        a_seat(contest__verdict={"measure": "Recall", "reference": {"maximum": "0.9"}}),
        "a minimum for Recall and Precision, a maximum for every other measure",
    ),
    (
        "a bound without a number",
        a_seat(contest__verdict__reference={}),
        "set one of maximum and minimum",
    ),
    (
        "a margin that allows everything",
        a_seat(contest__verdict__absoluteMargin="1"),
        "absoluteMargin is below 1 for a measure that never exceeds 1",
    ),
    (
        "a class margin in percent",
        a_seat(contest__verdict__guardrails={"classes": {"margin": "5%"}}),
        'must be a decimal in quotes from "0.0001" to "1"',
    ),
    (
        "no error budget",
        a_seat(contest__verdict__falsePromotion="0"),
        'must be a decimal in quotes from "0.0001" to "0.5"',
    ),
    (
        "tolerance below one",
        a_seat(contest__verdict__guardrails={"latency": {"tolerance": "0.9"}}),
        'must be a decimal in quotes from "1.01" to "10"',
    ),
    (
        "a number and an autoscaler",
        a_seat(serving={"replicas": 2, "autoscaling": _SCALING}),
        "not both: remove one of them",
    ),
    (
        "autoscaling by nothing",
        a_seat(serving__autoscaling={"maxReplicas": 4}),
        "set one of targetCPUPercent (needs metrics-server) or targetConcurrency (needs custom metrics)",
    ),
    (
        "autoscaling by two things",
        a_seat(serving__autoscaling=_SCALING | {"targetConcurrency": 5}),
        "set one of targetCPUPercent",
    ),
    ("no maximum", a_seat(serving__autoscaling={"targetCPUPercent": 70}), "autoscaling.maxReplicas: Required value"),
    (
        "minimum above maximum",
        a_seat(serving__autoscaling=_SCALING | {"maxReplicas": 1}),
        "minReplicas (2 when it is left out) must not be above maxReplicas",
    ),
    ("no pods at least", a_seat(serving__autoscaling=_SCALING | {"minReplicas": 0}), "greater than or equal to 1"),
    (
        "a delay of hours",
        a_seat(serving__autoscaling=_SCALING | {"scaleDownDelay": "2h"}),
        "must be a duration up to 1h, such as 30s, 5m or 1h",
    ),
    ("toleration of everything", a_seat(serving__tolerations=[{"operator": "Exists"}]), "tolerations[0].key: Required"),
    (
        "toleration of any one value",
        a_seat(serving__tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "operator Exists tolerates any value: remove value, or use operator Equal",
    ),
    (
        "toleration in time of what evicts nobody",
        a_seat(serving__tolerations=[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]),
        "set that effect or remove tolerationSeconds",
    ),
    (
        "unknown effect",
        a_seat(serving__tolerations=[{"key": "a", "effect": "Never"}]),
        'supported values: "NoSchedule"',
    ),
    ("label without a key", a_seat(serving__nodeSelector={"": "a"}), "label keys have 1 to 317 characters"),
    (
        "the cluster's own priority",
        a_seat(serving__priorityClassName="system-node-critical"),
        "classes that begin with system- are the cluster's own: choose another",
    ),
    ("runtime in capitals", a_seat(serving__runtimeClassName="GVisor"), "must be lower-case letters, digits, '-'"),
    (
        "disk request above limit",
        a_seat(serving__resources={"requests": {_DISK: "2Gi"}, "limits": {_DISK: "1Gi"}}),
        "requests.ephemeral-storage must not be above limits.ephemeral-storage",
    ),
    ("no pods", a_seat(serving__replicas=0), "should be greater than or equal to 1"),
    ("too many pods", a_seat(serving__replicas=101), "should be less than or equal to 100"),
    (
        "memory that is no quantity",
        a_seat(serving__resources={"limits": {"memory": "lots"}}),
        "such as 500m or 2 for cpu, 256Mi or 1Gi for memory",
    ),
    (
        "request above limit",
        a_seat(serving__resources={"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}),
        "requests.cpu must not be above limits.cpu",
    ),
    (
        "memory request above limit",
        a_seat(serving__resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "512Mi"}}),
        "requests.memory must not be above limits.memory",
    ),
    ("body of ten bytes", a_seat(serving__maxRequestBytes=10), "should be greater than or equal to 1024"),
    ("header in capitals", a_seat(routing__affinity={"header": "X-User"}), "must be a header's name in lower case"),
    ("the router's header", a_seat(routing__affinity={"header": "kingmaker-decision"}), "choose another"),
    ("no windows", a_seat(monitoring__drift__windows=[]), "should have at least 1 items"),
    ("window of nothing", a_seat(monitoring__drift__windows=["0s"]), _POSITIVE),
    ("one window twice", a_seat(monitoring__drift__windows=["1h", "1h"]), "Duplicate value"),
    (
        "warning above tolerance",
        a_seat(monitoring__drift={"warning": "0.2", "tolerance": "0.1"}),
        "warning must not be above tolerance",
    ),
    (
        "minimum and maximum",
        a_seat(monitoring__performance={"minimum": {"accuracy": "0.9"}, "maximum": "0.1"}),
        "minimum and maximum say the same",
    ),
    (
        "accuracy of sizes",
        a_seat(monitoring__performance={"minimum": {"accuracy": "0.9"}, "measure": "AbsoluteError"}),
        "minimum.accuracy is about the measure ErrorRate",
    ),
    (
        "error rate above 1",
        a_seat(monitoring__performance={"maximum": "3"}),
        "maximum is an error rate, at most 1, unless measure is AbsoluteError",
    ),
    ("few rows", a_seat(monitoring__drift__minRows=5), "should be greater than or equal to 50"),
    ("quality of nothing", a_seat(monitoring__dataQuality={"maximumPercent": 0}), "greater than or equal to 1"),
]

RETRAININGS: list[Bad] = [
    ("no template", a_retraining_seat(template=None), "spec.retraining.template: Required value"),
    ("no output", a_retraining_seat(output=None), "spec.retraining.output: Required value"),
    (
        "output that is read-only",
        a_retraining_seat(output__uriPrefix="https://store/out/"),
        "that can be written to: file:///path, pvc://claim/path (the claim's name in lower case), s3://, gs://, az://",
    ),
    (
        "claim that nobody mounts",
        a_retraining_seat(output__uriPrefix="pvc://models/churn"),
        "no volume of the template mounts to write",
    ),
    (
        "claim that is mounted to read",
        a_retraining_seat(
            output__uriPrefix="pvc://models/churn",
            template__volumes=_volume(persistentVolumeClaim={"claimName": "models"}, readOnly=True),
        ),
        "no volume of the template mounts to write",
    ),
    ("unknown trigger", a_retraining_seat(triggers=["Weather"]), 'supported values: "Drift", "Performance", "Age"'),
    ("gain below nothing", a_retraining_seat(minimumGain="-0.1"), 'must be a decimal in quotes from "0" to "999999"'),
    ("no trigger", a_retraining_seat(triggers=[]), "should have at least 1 items"),
    ("more needed than seen", a_retraining_seat(persistence={"of": 2, "needed": 3}), "needed must not be above of"),
    ("no budget", a_retraining_seat(budget={"runs": 0}), "should be greater than or equal to 1"),
    ("budget per nothing", a_retraining_seat(budget={"per": "0s"}), _POSITIVE),
    ("pod field that is not on the list", a_retraining_seat(template__hostNetwork=True), "template.hostNetwork"),
    (
        "the cluster's own priority",
        a_retraining_seat(template__priorityClassName="system-cluster-critical"),
        "choose another",
    ),
    ("folder of no size", a_retraining_seat(template__volumes=_volume(emptyDir={"sizeLimit": "0"})), "above 0"),
    ("many retries", a_retraining_seat(template__backoffLimit=7), "should be less than or equal to 6"),
    (
        "the operator's variable",
        a_retraining_seat(template__env=[{"name": "KINGMAKER_OUTPUTURI", "value": "x"}]),
        "names that begin with KINGMAKER_ are set by the operator",
    ),
    (
        "bad variable",
        a_retraining_seat(template__env=[{"name": "2ND", "value": "x"}]),
        "must be letters, digits and '_', not beginning with a digit",
    ),
    ("variable of nothing", a_retraining_seat(template__env=[{"name": "A"}]), "exactly one of value and valueFrom"),
    (
        "variable from nowhere",
        a_retraining_seat(template__env=[{"name": "A", "valueFrom": {}}]),
        "set exactly one of secretKeyRef and configMapKeyRef",
    ),
    ("volume of nothing", a_retraining_seat(template__volumes=_volume()), "set exactly one of persistentVolumeClaim"),
    (
        "volume of two kinds",
        a_retraining_seat(template__volumes=_volume(configMap={"name": "a"}, **_EMPTY)),
        "set exactly one of persistentVolumeClaim",
    ),
    (
        "relative mount",
        a_retraining_seat(template__volumes=[{"name": "a", "mountPath": "a", **_EMPTY}]),
        "must be an absolute path below /",
    ),
    (
        "mount below /dev",
        a_retraining_seat(template__volumes=[{"name": "a", "mountPath": "/dev/shm", **_EMPTY}]),
        "must not be below /dev, /proc or /sys",
    ),
    (
        "two mounts at one path",
        a_retraining_seat(template__volumes=[*_volume(**_EMPTY), {"name": "b", "mountPath": "/scratch", **_EMPTY}]),
        "two volumes are mounted at the same mountPath",
    ),
]

DECISIONS: list[Bad] = [
    ("unknown action", a_decision(action="Dethrone"), 'Unsupported value: "Dethrone"'),
    ("sequence of zero", a_decision(sequence=0), "should be greater than or equal to 1"),
    ("reason of two words", a_decision(reason="Contest Won"), "spec.reason"),
    ("evidence as a float", a_decision(evidence=[{"name": "e", "n": 1, "estimate": 0.5}]), "spec.evidence[0].estimate"),
    ("weight above 100", a_decision(weights=[{"model": "a", "weight": 101}]), "less than or equal to 100"),
]

ALL: list[Bad] = [
    (f"{kind}: {what}", body, words)
    for kind, table in (
        ("Model", MODELS),
        ("ModelDeployment", SEATS),
        ("retraining", RETRAININGS),
        ("Decision", DECISIONS),
    )
    for what, body, words in table
]
"""Every bad manifest: (what is wrong, manifest, words that the API server must say)."""
