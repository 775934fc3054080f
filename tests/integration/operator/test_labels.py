"""Labels through the router: for answers of pods, and of a champion, that are no more."""

import urllib.request
from collections import Counter
from typing import Any

from support.laptop import wait_for

PODS = "app.kubernetes.io/component=serving"
KEYS = "app.kubernetes.io/component=ids"


def replace_pods(cluster: Any, *, count: int) -> None:
    """Kill every serving pod, and wait for as many others."""
    old = {pod["metadata"]["uid"] for pod in cluster.list("pods", PODS)}
    cluster.kubectl("delete", "pods", "-l", PODS, "--grace-period=0", "--force")

    def replaced() -> bool:
        pods = cluster.list("pods", PODS)
        ready = [p for p in pods if p["metadata"]["uid"] not in old and is_ready(p)]
        return len(pods) == len(ready) == count

    wait_for(replaced, 60)


def is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def judged(cluster: Any) -> Counter[tuple[str, str]]:
    """Rows by model and outcome, over all pods."""
    found: Counter[tuple[str, str]] = Counter()
    for pod in cluster.list("pods", PODS):
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8082/profile", timeout=5) as response:
            lines = response.read().decode().splitlines()
        for key, count in (line.rsplit(" ", 1) for line in lines if "_feedback_total{model=" in line):
            labels = dict(part.split("=") for part in key.partition("{")[2][:-1].replace('"', "").split(","))
            found[labels["model"], labels["outcome"]] += int(count)
    return found


def test_labels_count_once_though_every_pod_was_replaced_and_another_model_promoted(cluster) -> None:
    challenger = {"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}
    cluster.serve("points", challengers=[challenger])
    wait_for(lambda: {cluster.infer("points")[1]["kingmaker-model"] for _ in range(8)} == {"points-1", "points-2"}, 60)
    expected: Counter[tuple[str, str]] = Counter()
    labels: list[dict[str, Any]] = []

    def predict(count: int) -> None:
        for number in range(count):
            _, headers, body = cluster.infer("points")
            (said,) = body["outputs"][0]["data"]
            label = number % 2
            expected[headers["kingmaker-model"], "correct" if said == label else "wrong"] += 1
            labels.append({"id": headers["kingmaker-request-id"], "label": label})

    predict(10)
    replace_pods(cluster, count=2)
    cluster.deploy("points", challengers=[challenger], serving={"replicas": 2})
    wait_for(lambda: sum(map(is_ready, cluster.list("pods", PODS))) == 4, 60)
    predict(10)
    cluster.deploy("points", championRef={"name": "points-2"})
    wait_for(lambda: {cluster.infer("points")[1]["kingmaker-model"] for _ in range(8)} == {"points-2"}, 60)
    predict(5)
    replace_pods(cluster, count=len(cluster.list("deployments", PODS)))

    url = f"{cluster.url('points')}/v2/models/points/feedback"
    wait_for(lambda: cluster.infer("points")[0] == 200, 60)
    first, *rest = labels
    same = {"kingmaker_request_id": first["id"]}
    assert [cluster.post(url, first, **same)[0] for _ in range(3)] == [200, 409, 409]
    status, _, reply = cluster.post(url, rest)
    assert (status, reply["total"]) == (200, {"accepted": 24, "failed": 0, "matched": 24})
    assert judged(cluster) == expected
    assert {model for model, _ in expected} == {"points-1", "points-2"}


def test_keys_that_somebody_deleted_are_made_again_when_a_pod_waits_for_them(cluster) -> None:
    cluster.serve("points")
    (secret,) = cluster.list("secrets", KEYS)
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"
    cluster.kubectl("delete", "secret", secret["metadata"]["name"])
    cluster.deploy("points", serving={"replicas": 2})
    wait_for(lambda: sum(map(is_ready, cluster.list("pods", PODS))) == 2, 90)
    (again,) = cluster.list("secrets", KEYS)
    assert again["metadata"]["name"] == secret["metadata"]["name"]
    assert again["data"] != secret["data"]
