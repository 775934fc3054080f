"""A release comes, changes, goes back and goes; what people made stays, and the next release takes it up."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.controlplane import ControlPlane, running_control_plane
from support.helm import CHART, Helm, HelmError
from support.rbac_users import Document, soon
from support.team import SYSTEM, TEAM
from support.user_manifests import a_model

DEFINITION = "customresourcedefinition/models.kingmaker.dev"
FORBIDDEN = {"kingmaker.dev/deployment": "forged"}


class Releases:
    """Helm and kubectl at one control plane."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.helm = Helm(folder, plane.kubeconfig)
        self.next = folder / "next"

    def run(self, *arguments: str, values: Document | None = None) -> str:
        return self.helm.run(*arguments, values=values)

    def install(self, name: str = "kingmaker", *flags: str, namespace: str = SYSTEM) -> str:
        values = {"scope": {"namespaces": [TEAM]}}
        return self.run("install", name, str(CHART), "-n", namespace, "--create-namespace", *flags, values=values)

    def get(self, what: str, namespace: str = TEAM) -> Document:
        return json.loads(self.plane.kubectl("get", what, "-n", namespace, "-o", "json").stdout)

    def exists(self, what: str, namespace: str = TEAM) -> bool:
        done = self.plane.kubectl("get", what, "-n", namespace, check=False)
        return done.returncode == 0

    def properties(self) -> Document:
        """Give what Models may say, by their definition."""
        version = self.get(DEFINITION)["spec"]["versions"][0]
        return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

    def refuses(self) -> bool:
        """Say whether the policies are in force."""
        body = json.dumps(a_model("forged", labels=FORBIDDEN))
        create = ("create", "-n", TEAM, "--dry-run=server", "-f", "-")
        return "ValidatingAdmissionPolicy" in self.plane.kubectl(*create, input=body, check=False).stderr

    def next_chart(self) -> Path:
        """Give the chart as it might be next: its Models have one more field."""
        shutil.copytree(CHART, self.next)
        chart, file = self.next / "Chart.yaml", self.next / "crd-bases" / "models.yaml"
        chart.write_text(re.sub(r"(?m)^version: .*", "version: 99.0.0", chart.read_text()))
        definition = yaml.safe_load(file.read_text())
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["colour"] = {"type": "string"}
        file.write_text(yaml.safe_dump(definition))
        return self.next


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    """A control plane on which a person installed the chart and made a Model."""
    with running_control_plane(tmp_path_factory.mktemp("plane")) as plane:
        plane.kubectl("create", "namespace", TEAM)
        found = Releases(plane, tmp_path_factory.mktemp("helm"))
        notes = found.install()
        assert f"Kingmaker 0.1.0 looks after the namespaces {TEAM}." in notes
        soon(found.refuses)
        plane.kubectl("create", "-n", TEAM, "-f", "-", input=json.dumps(a_model("kept")))
        yield found


def test_every_policy_is_understood(releases: Releases) -> None:
    """The controllers compile each expression against the types that it is about."""

    def checked() -> bool:
        policies = releases.get("validatingadmissionpolicies")["items"]
        return len(policies) == 8 and all("typeChecking" in p.get("status", {}) for p in policies)

    soon(checked)
    for policy in releases.get("validatingadmissionpolicies")["items"]:
        assert policy["status"]["typeChecking"] == {}, policy["metadata"]["name"]


def test_definitions_follow_the_chart_forwards_and_back(releases: Releases) -> None:
    assert "colour" not in releases.properties()
    releases.run("upgrade", "kingmaker", str(releases.next_chart()), "-n", SYSTEM, "--reuse-values")
    assert "colour" in releases.properties()
    releases.run("rollback", "kingmaker", "1", "-n", SYSTEM)
    assert "colour" not in releases.properties()
    assert releases.exists("model/kept")


def test_a_namespace_more_or_less_is_an_upgrade(releases: Releases) -> None:
    releases.plane.kubectl("create", "namespace", "more")
    upgrade = ("upgrade", "kingmaker", str(CHART), "-n", SYSTEM)
    releases.run(*upgrade, values={"scope": {"namespaces": [TEAM, "more"]}})
    assert releases.exists("rolebinding/kingmaker", "more")
    releases.run(*upgrade, values={"scope": {"allNamespaces": True}})
    assert not releases.exists("rolebinding/kingmaker", "more")
    assert releases.exists("clusterrolebinding/kingmaker")
    releases.run(*upgrade, values={"scope": {"namespaces": [TEAM]}})
    assert not releases.exists("clusterrolebinding/kingmaker")
    assert releases.exists("rolebinding/kingmaker")


def test_a_second_release_leaves_the_definitions_to_the_first(releases: Releases) -> None:
    releases.plane.kubectl("create", "namespace", "second")
    with pytest.raises(HelmError, match='must equal "other": current value is "kingmaker"'):
        releases.install("other", namespace="second")
    values = {"scope": {"namespaces": ["second"]}, "crds": {"install": False}}
    releases.run("install", "other", str(CHART), "-n", "second", values=values)
    releases.run("uninstall", "other", "-n", "second")
    soon(lambda: releases.refuses() and releases.exists("model/kept"))


def test_models_stay_and_the_next_release_takes_them_up(releases: Releases) -> None:
    told = releases.run("uninstall", "kingmaker", "-n", SYSTEM)
    assert all(f"[CustomResourceDefinition] {plural}.kingmaker.dev" in told for plural in ("models", "decisions"))
    assert releases.exists("model/kept")
    left = [policy["metadata"]["name"] for policy in releases.get("validatingadmissionpolicies")["items"]]
    assert all(name.endswith("-leader") for name in left), left
    soon(lambda: not releases.refuses())
    uid = releases.get(DEFINITION)["metadata"]["uid"]

    releases.install()
    soon(releases.refuses)
    assert releases.get(DEFINITION)["metadata"]["uid"] == uid
    assert releases.exists("model/kept")


def test_a_release_of_another_name_takes_them_over_when_told_to(releases: Releases) -> None:
    releases.run("uninstall", "kingmaker", "-n", SYSTEM)
    with pytest.raises(HelmError, match='must equal "models": current value is "kingmaker"'):
        releases.install("models", namespace="ml-system")
    releases.install("models", "--take-ownership", namespace="ml-system")
    owner = releases.get(DEFINITION)["metadata"]["annotations"]
    assert (owner["meta.helm.sh/release-name"], owner["meta.helm.sh/release-namespace"]) == ("models", "ml-system")
    soon(releases.refuses)
    assert releases.exists("model/kept")
    releases.run("upgrade", "models", str(CHART), "-n", "ml-system", "--reuse-values")
