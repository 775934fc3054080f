"""Every manifest that the project shows is taken by a real API server, as it is shown."""

import json
from typing import Any

import pytest

from kingmaker.api import Decision, Model, ModelDeployment
from support.controlplane import ControlPlane
from support.documents import ROOT, Shown, manifests

KINDS = {"Model": Model, "ModelDeployment": ModelDeployment, "Decision": Decision}
SHOWN = manifests()


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.place)
def test_every_manifest_is_accepted_strictly(shown: Shown, crds: ControlPlane, namespace: str) -> None:
    body = {**shown.body, "metadata": {**shown.body["metadata"], "namespace": namespace}}
    flags = ("--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    accepted = json.loads(crds.kubectl("create", *flags, input=json.dumps(body)).stdout)
    if shown.body["apiVersion"].startswith("kingmaker.dev/"):
        KINDS[shown.body["kind"]].parse(accepted)


def places() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for shown in SHOWN:
        found.setdefault(shown.place.partition(":")[0], []).append(shown.body)
    return found


@pytest.mark.parametrize(
    "place",
    [
        "README.md",
        "examples/quickstart/deployment.yaml",
        "examples/contest/models.yaml",
        "examples/contest/deployment.yaml",
        "examples/retraining/deployment.yaml",
        "examples/breast_cancer/deployment.yaml.in",
        "examples/s3/model.yaml",
        "examples/autoscaling/deployment.yaml",
        "examples/approval/deployment.yaml",
        "examples/gitops/argocd-cm.yaml",
    ],
)
def test_what_the_pages_promise_is_there(place: str) -> None:
    assert places()[place]


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "examples").iterdir() if p.is_dir()))
def test_an_example_can_be_applied_as_a_folder(folder: str, crds: ControlPlane, namespace: str) -> None:
    files = sorted((ROOT / "examples" / folder).glob("*.yaml"))
    if not files or folder in {"gitops", "records"}:
        # These two say in their first line that they are not for `kubectl apply -f FOLDER`.
        return
    flags = [flag for file in files if not file.name.startswith("model-") for flag in ("-f", str(file))]
    for _ in range(2):
        crds.kubectl("apply", "-n", namespace, "--validate=strict", *flags)
    # Said again, nothing changed: what the server fills in does not fight with what is in Git.
    found = json.loads(crds.kubectl("get", "models,modeldeployments", "-n", namespace, "-o", "json").stdout)["items"]
    assert {body["metadata"]["generation"] for body in found} == {1}
