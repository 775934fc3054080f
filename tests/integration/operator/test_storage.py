"""Models on an S3 server and on a claim, from their manifests to answers; and what a wrong key or a swap leads to."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.laptop import wait_for
from support.s3server import S3Server, running_s3_server

pytestmark = pytest.mark.timeout(240)
PARTS = ("artifact", "baseline", "examples")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def file_of(model: dict[str, Any], part: str) -> Path:
    return Path(urlsplit(model["spec"][part]["uri"]).path)


def moved(model: dict[str, Any], prefix: str, *, secret: str | None = None) -> dict[str, Any]:
    """The same Model with its files below a prefix."""
    found = copy.deepcopy(model)
    for part in PARTS:
        found["spec"][part]["uri"] = f"{prefix}/{file_of(model, part).name}"
    if secret:
        found["spec"]["artifact"]["credentialsSecretRef"] = {"name": secret}
    return found


def upload(s3: S3Server, model: dict[str, Any], folder: str) -> None:
    for part in PARTS:
        s3.put(f"{folder}/{file_of(model, part).name}", file_of(model, part).read_bytes())


def a_secret(name: str, variables: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": variables}


def a_claim(cluster, name: str, folder: Path) -> list[dict[str, Any]]:
    """A volume that is a folder here, and a claim that is bound to it."""
    volume = f"{cluster.namespace}-{name}"
    size = {"storage": "1Gi"}
    reference = {"namespace": cluster.namespace, "name": name}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    spec = common | {"capacity": size, "hostPath": {"path": str(folder)}, "claimRef": reference}
    wanted = common | {"volumeName": volume, "resources": {"requests": size}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted},
    ]


def test_a_model_on_an_s3_server_serves(cluster, s3: S3Server) -> None:
    model = cluster.models["points-1"]
    upload(s3, model, "points/1")
    cluster.apply(a_secret("store", s3.credentials()), moved(model, "s3://models/points/1", secret="store"))
    cluster.deploy("points")
    cluster.wait_ready("points", 90)
    assert cluster.infer("points")[1]["kingmaker-model"] == "points-1"
    pods = cluster.list("pods", "app.kubernetes.io/component=serving")
    for pod in pods:
        assert not [c for c in pod["spec"]["containers"] if c.get("envFrom")]
    verified = cluster.get("model", "points-1")["status"]
    assert verified["artifact"]["sizeBytes"] == file_of(model, "artifact").stat().st_size


def test_wrong_keys_are_a_reason_and_never_told(cluster, s3: S3Server) -> None:
    model = cluster.models["points-1"]
    upload(s3, model, "points/1")
    wrong = s3.credentials(AWS_SECRET_ACCESS_KEY="not-the-key-of-the-store")
    cluster.apply(a_secret("wrong", wrong), moved(model, "s3://models/points/1", secret="wrong"))
    refused = cluster.wait_reason("model", "points-1", "DownloadFailed", 150)
    assert "access is denied; check the credentials in the Secret" in refused["message"]
    assert cluster.condition("model", "points-1", "Stalled")["status"] == "True"
    assert "not-the-key-of-the-store" not in cluster.kubectl("get", "models,pods,events,jobs", "-o", "yaml")


def test_a_model_on_a_claim_serves_and_its_pods_can_not_write_there(cluster, tmp_path: Path) -> None:
    model = cluster.models["points-1"]
    for part in PARTS:
        target = tmp_path / "models" / "points" / file_of(model, part).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file_of(model, part).read_bytes())
    cluster.apply(*a_claim(cluster, "models", tmp_path / "models"))
    cluster.apply(moved(model, "pvc://models/points"))
    cluster.deploy("points")
    cluster.wait_ready("points", 90)
    assert cluster.infer("points")[0] == 200
    [pod] = cluster.list("pods", "app.kubernetes.io/component=serving")
    mounts = {c["name"]: {m["name"] for m in c["volumeMounts"]} for c in pod["spec"]["containers"]}
    assert "claim-0" not in mounts["serve"]
    cluster.plane.kubectl("delete", "pv", f"{cluster.namespace}-models", "--wait=false")


def test_an_object_swapped_after_its_verification_is_never_served(cluster, s3: S3Server) -> None:
    challenger = cluster.models["points-2"]
    upload(s3, challenger, "points/2")
    there = moved(challenger, "s3://models/points/2", secret="store")
    cluster.apply(a_secret("store", s3.credentials()), cluster.models["points-1"], there)
    wait_for(lambda: cluster.condition("model", "points-2", "Ready")["status"] == "True", 60)
    s3.put("points/2/model.onnx", file_of(cluster.models["points-1"], "artifact").read_bytes())
    cluster.deploy("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}])

    def told() -> bool:
        found = cluster.condition("mdep", "points", "ContestInProgress")
        return found["status"] == "False" and "DigestMismatch" in found["message"]

    wait_for(told, 120)
    for _ in range(20):
        status, headers, _ = cluster.infer("points")
        assert (status, headers["kingmaker-model"]) == (200, "points-1")
    assert cluster.condition("mdep", "points", "Ready")["status"] == "True"
    [pod] = cluster.list("pods", "kingmaker.dev/model=points-2,app.kubernetes.io/component=serving")
    assert not [c for c in pod["status"]["conditions"] if c["type"] == "Ready" and c["status"] == "True"]
