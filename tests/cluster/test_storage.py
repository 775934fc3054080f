"""Models from a real S3 server and from a claim in real pods.

Wrong keys, missing files, a file that changes after its verification, a claim that is emptied.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker_laptop.demo.scenario import EXAMPLE
from support.claim_fixture import NAME as CLAIM
from support.claim_fixture import shelf
from support.clients import NAMESPACE as CLIENTS
from support.clients import POD, Clients, StoredProps
from support.cluster import Cluster, Document, condition, wait_until
from support.release import Images
from support.seat import CHALLENGER, CHAMPION, NAME
from support.store import CREDENTIALS, PREFIX, secret

NAMESPACE = "other"

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("release")]

_COPY = """
import fsspec, sys
files, _ = fsspec.core.url_to_fs(sys.argv[1])
files.copy(sys.argv[1], sys.argv[2])
"""


_ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).status)
"""


@pytest.fixture
def props(built: Path, images: Images) -> StoredProps:
    return StoredProps(EXAMPLE, built, images.training)


def a_model(props: StoredProps, name: str, **artifact: Any) -> Document:
    model: Document = copy.deepcopy(yaml.safe_load(props.model(CHAMPION)))
    model["metadata"]["name"] = name
    model["spec"]["artifact"].update(artifact)
    return model


def a_seat(champion: str) -> Document:
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": NAME}}
    return {**head, "spec": {"championRef": {"name": champion}, "serving": {"replicas": 1}}}


def copy_object(cluster: Cluster, source: str, target: str) -> None:
    cluster.execute(CLIENTS, POD, "python", "-", f"{PREFIX}/{source}", f"{PREFIX}/{target}", stdin=_COPY)


def refusal(cluster: Cluster, name: str, reason: str) -> str:
    """Wait until a Model is refused for a reason, and give its words."""

    def found() -> str | None:
        seen = condition(cluster.get("model", name, NAMESPACE), "Stalled")
        return seen["message"] if seen.get("reason") == reason else None

    return wait_until(f"Model {name} is refused, {reason}", found, seconds=150)


def test_wrong_keys_are_a_reason_and_never_told(cluster: Cluster, clients: Clients, props: StoredProps) -> None:
    wrong = secret(NAMESPACE)
    wrong["metadata"]["name"] = "wrong"
    wrong["stringData"] = {**CREDENTIALS, "AWS_SECRET_ACCESS_KEY": "not-the-key-of-the-store"}
    cluster.apply(wrong, a_model(props, "wrong-keys", credentialsSecretRef={"name": "wrong"}), namespace=NAMESPACE)
    said = refusal(cluster, "wrong-keys", "DownloadFailed")
    print(f"\nwrong keys: {said}")
    assert "credentials" in said
    assert "not-the-key-of-the-store" not in cluster.kubectl("get", "models,pods,events", "-n", NAMESPACE, "-o", "yaml")


def test_a_missing_file_is_named(cluster: Cluster, clients: Clients, props: StoredProps) -> None:
    cluster.apply(a_model(props, "missing", uri=f"{PREFIX}/no/such/model.onnx"), namespace=NAMESPACE)
    said = refusal(cluster, "missing", "DownloadFailed")
    print(f"\na missing file: {said}")
    assert f"{PREFIX}/no/such/model.onnx" in said


def test_a_file_that_changed_since_it_was_verified_is_never_served(
    cluster: Cluster, clients: Clients, props: StoredProps
) -> None:
    copy_object(cluster, f"{CHAMPION}/model.onnx", "swapped/model.onnx")
    model = a_model(props, "swapped", uri=f"{PREFIX}/swapped/model.onnx")
    cluster.apply(model, namespace=NAMESPACE)

    def verified() -> bool:
        return condition(cluster.get("model", "swapped", NAMESPACE), "Ready").get("status") == "True"

    wait_until("the Model is verified", verified, seconds=90)
    copy_object(cluster, f"{CHALLENGER}/model.onnx", "swapped/model.onnx")
    cluster.apply(a_seat("swapped"), namespace=NAMESPACE)

    def ready() -> Document:
        return condition(cluster.get("modeldeployment", NAME, NAMESPACE), "Ready")

    try:
        said = wait_until("the reason", lambda: "DigestMismatch" in ready().get("message", "") and ready(), seconds=120)
        print(f"\na file that changed: {said['reason']}: {said['message']}")
        assert said["reason"] == "PodsFailing"
        copy_object(cluster, f"{CHAMPION}/model.onnx", "swapped/model.onnx")
        wait_until("the right file is served", lambda: ready()["status"] == "True", seconds=180)
    finally:
        cluster.kubectl("delete", "modeldeployments,models", "--all", "-n", NAMESPACE)


def test_a_model_on_a_claim_is_served_and_outlives_it(
    cluster: Cluster, clients: Clients, images: Images, props: StoredProps, built: Path
) -> None:
    model = yaml.safe_load(props.model(CHAMPION).replace(PREFIX, f"pvc://{CLAIM}"))
    del model["spec"]["artifact"]["credentialsSecretRef"]

    def is_ready() -> bool:
        return condition(cluster.get("modeldeployment", NAME, NAMESPACE), "Ready").get("status") == "True"

    def answers() -> bool:
        return clients.run(_ASK, f"http://{NAME}.{NAMESPACE}/v2/models/{NAME}").strip() == "200"

    with shelf(cluster, images, NAMESPACE) as claim:
        claim.fill(built / CHAMPION)
        try:
            cluster.apply(model, a_seat(CHAMPION), namespace=NAMESPACE)
            wait_until("the model on the claim is served", is_ready, seconds=150)
            wait_until("it answers", answers, seconds=30)
            labels = {"app_kubernetes_io__component": "serving", "kingmaker_dev__model": CHAMPION}
            (pod,) = cluster.find("pods", NAMESPACE, **labels)
            (fetch,) = pod["spec"]["initContainers"]
            (server,) = pod["spec"]["containers"]
            (volume,) = (v["name"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v)
            mounts = {mount["name"]: mount for mount in fetch["volumeMounts"]}
            assert mounts[volume]["readOnly"]
            assert volume not in {mount["name"] for mount in server["volumeMounts"]}
            claim.clear()
            cluster.execute(NAMESPACE, pod["metadata"]["name"], "sh", "-c", "kill 1", container=server["name"])

            def restarted() -> bool:
                now = cluster.get("pod", pod["metadata"]["name"], NAMESPACE)["status"]["containerStatuses"][0]
                return bool(now["restartCount"]) and bool(now["ready"])

            wait_until("the server is back without the claim's files", restarted, seconds=90)
            wait_until("it answers again", answers, seconds=30)
        finally:
            cluster.kubectl("delete", "modeldeployments,models", "--all", "-n", NAMESPACE)
            cluster.kubectl("wait", "--for=delete", "pods", "--all", "-n", NAMESPACE, "--timeout=90s")
