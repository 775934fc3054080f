"""What Helm makes of the chart, whatever the values: valid in every Kubernetes that Chart.yaml allows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker.api.common import GROUP
from support.every_manifest import every_manifest
from support.helm import CHART, Helm, HelmError
from support.schemas import OLDEST, VERSIONS, errors

EVERYTHING: dict[str, Any] = {
    "scope": {"allNamespaces": False, "namespaces": ["team-a", "team-b"]},
    "images": {
        "operator": "registry.example:5000/kingmaker/operator@sha256:" + "0" * 64,
        "serving": "registry.example/kingmaker-serving:1@sha256:" + "1" * 64,
        "router": "registry.example/envoy:1",
        "pullPolicy": "Always",
        "pullSecrets": ["registry"],
    },
    "admission": {
        "enabled": True,
        "allowedImages": ["registry.example", "docker.io/team/"],
        "controllers": ["system:serviceaccount:kueue-system:kueue-controller-manager"],
    },
    "router": {"replicas": 3},
    "serving": {"preStopSeconds": 0, "drainSeconds": 0, "startupSeconds": 10, "verifyMemory": "2Gi"},
    "network": {"blockedEgress": ["10.0.0.1/32", "fd00::/8"], "blockApiServer": False, "storeNamespaces": ["stores"]},
    "monitoring": {
        "namespaces": ["monitoring"],
        "prometheus": {
            "url": "http://prometheus.monitoring.svc:9090",
            "sources": {"b": "https://b:9090", "a": "http://a/x"},
        },
    },
    "operator": {
        "replicas": 3,
        "evaluationSeconds": 0.5,
        "contestSeconds": 0.2,
        "ledgerSeconds": 60,
        "resources": {
            "requests": {"cpu": 1, "memory": "1Gi"},
            "limits": {"memory": "1.5Gi", "ephemeral-storage": "1G"},
        },
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "priorityClassName": "system-cluster-critical",
    },
}
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "all-namespaces": {"scope": {"allNamespaces": True}},
    "everything": EVERYTHING,
    "little": {
        "admission": {"enabled": False},
        "crds": {"install": False},
        "rbac": {"aggregate": False},
        "operator": {"replicas": 1},
    },
}


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


def test_helm_finds_nothing_to_complain_about(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART))


@pytest.mark.parametrize("case", CASES)
def test_every_version_knows_every_field(helm: Helm, case: str) -> None:
    documents = helm.render(CASES[case])
    found = [error for version in VERSIONS for document in documents for error in errors(document, version)]
    assert not found
    print(f"\n{case}: {len(documents)} manifests valid in each of Kubernetes {', '.join(VERSIONS)}")


def test_every_version_knows_what_the_operator_makes() -> None:
    own = [body for body in every_manifest() if not body["apiVersion"].startswith(GROUP)]
    found = [error for version in VERSIONS for body in own for error in errors(body, version)]
    assert not found
    print(f"\n{len(own)} manifests valid in each of Kubernetes {', '.join(VERSIONS)}")


def test_the_oldest_version_is_the_one_that_the_chart_asks_for(helm: Helm) -> None:
    wanted = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert wanted == f">={OLDEST[0]}.{OLDEST[1]}.0-0"
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.30\.0-0"):
        helm.render({}, "--kube-version=1.29.9")


def test_a_field_that_a_version_lacks_is_found() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [], "sidecars": []}}
    assert "'sidecars' was unexpected" in errors(pod, VERSIONS[0])[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"operator": {"replica": 2}}, "additional properties 'replica' not allowed"),
        ({"operator": {"replicas": 0}}, "minimum: got 0, want 1"),
        ({"operator": {"resources": {"limits": {"memory": "1 GB"}}}}, "does not match pattern"),
        ({"admission": {"allowedImages": ["registry.example/ team"]}}, "does not match pattern"),
        ({"images": {"serving": "kingmaker-serving"}}, "does not match pattern"),
        ({"scope": {"allNamespaces": True, "namespaces": ["team"]}}, "maxItems: got 1, want 0"),
        ({"network": {"blockedEgress": ["169.254.169.254"]}}, "does not match pattern"),
        ({"colour": "blue"}, "additional properties 'colour' not allowed"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_a_value_that_nobody_reads_is_refused(helm: Helm, values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmError, match=said):
        helm.render(values)


def test_the_schema_names_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values) == set(schema["required"])
    for part, given in values.items():
        said = schema["properties"][part]
        assert set(said["properties"]) == set(given) == set(said["required"]), part
        assert said["additionalProperties"] is False, part


def test_the_operator_is_restricted_bounded_and_spread(helm: Helm) -> None:
    deployment = only(helm.render(), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert set(container["resources"]["requests"]) == set(container["resources"]["limits"])
    (nodes,) = pod["topologySpreadConstraints"]
    (zones,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert nodes["topologyKey"] == "kubernetes.io/hostname"
    assert zones["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert nodes["labelSelector"] == zones["podAffinityTerm"]["labelSelector"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_single_operator_can_be_drained(helm: Helm) -> None:
    assert only(helm.render(), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert not [d for d in helm.render(CASES["little"]) if d["kind"] == "PodDisruptionBudget"]


def test_outside_of_namespaces_there_is_little(helm: Helm) -> None:
    """With Roles only, as by default, nothing of the operator's own is bound in the whole cluster."""
    assert not [d for d in helm.render() if d["kind"] == "ClusterRoleBinding"]
    assert len([d for d in helm.render(CASES["all-namespaces"]) if d["kind"] == "ClusterRoleBinding"]) == 1


def test_policies_can_be_left_out(helm: Helm) -> None:
    def policies(values: dict[str, Any]) -> set[str]:
        found = (d for d in helm.render(values) if d["kind"] == "ValidatingAdmissionPolicy")
        return {d["metadata"]["name"].removeprefix("kingmaker-system-kingmaker-") for d in found}

    people = {"metadata", "images", "model-secrets", "modeldeployment-secrets", "approval", "workloads", "records"}
    assert policies({}) == people | {"leader"}
    assert not policies(CASES["little"])


def test_policies_hold_where_the_operator_looks(helm: Helm) -> None:
    def selectors(values: dict[str, Any]) -> list[Any]:
        bindings = (d for d in helm.render(values) if d["kind"] == "ValidatingAdmissionPolicyBinding")
        own = (b["spec"].get("matchResources", {}) for b in bindings if "paramRef" not in b["spec"])
        return [match.get("namespaceSelector") for match in own]

    watched = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    assert selectors(EVERYTHING) == [{"matchExpressions": [watched]}] * 7
    assert selectors(CASES["all-namespaces"]) == [None] * 7


def only(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Give the one document of a kind."""
    (found,) = [d for d in documents if d["kind"] == kind]
    return found


def test_the_chart_has_nothing_that_helm_would_not_ship(tmp_path: Path, helm: Helm) -> None:
    helm.run("package", str(CHART), "-d", str(tmp_path))
    (archive,) = tmp_path.iterdir()
    documents = helm.render(chart=archive)
    assert {d["kind"] for d in documents} == {d["kind"] for d in helm.render()}
