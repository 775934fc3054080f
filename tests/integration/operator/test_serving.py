"""The operator against a real API server, real Envoy and real servers."""

import os
import signal
from urllib.parse import urlsplit

import grpc
import pytest

from kingmaker.core.counts.storage import load_ledger
from support.grpcclient import a_message, call
from support.laptop import wait_for


def test_a_champion_answers_through_the_router(cluster) -> None:
    cluster.serve("points")
    status, headers, body = cluster.infer("points")
    assert status == 200
    assert headers["kingmaker-model"] == "points-1"
    assert body["model_version"] == "points-1"


def test_grpc_answers_at_the_same_address_and_at_a_port_of_its_own(cluster) -> None:
    cluster.serve("points")
    host = urlsplit(cluster.url("points")).netloc
    message = a_message([[1.0, 2.0]], model="points")
    for target in (host, host.replace(":8080", ":8081")):
        found = call(target, message)
        assert found.code is grpc.StatusCode.OK, found.message
        assert found.metadata["kingmaker-model"] == "points-1"
    assert found.response.model_version == "points-1"


def test_nothing_of_kopf_and_no_finalizer_is_on_any_object(cluster) -> None:
    cluster.serve("points")
    kinds = "models,modeldeployments,decisions,deployments,services,configmaps,networkpolicies"
    for item in cluster.list(kinds):
        meta = item["metadata"]
        assert not meta.get("finalizers"), meta["name"]
        assert not [key for key in meta.get("annotations", {}) if "kopf" in key]


def test_the_operator_never_writes_spec(cluster) -> None:
    cluster.serve("points")
    fields = cluster.kubectl("get", "mdep", "points", "-o", "json", "--show-managed-fields")
    import json

    for entry in json.loads(fields)["metadata"]["managedFields"]:
        if entry["manager"] == "kingmaker":
            assert entry["subresource"] == "status"
            assert "f:spec" not in entry["fieldsV1"]


@pytest.mark.parametrize("kind", ["deployment", "service", "networkpolicy", "configmap"])
def test_a_child_deleted_by_hand_comes_back(cluster, kind) -> None:
    cluster.serve("points")
    name = "points-shadow" if kind == "configmap" else "points-points-1"
    before = cluster.get(kind, name)["metadata"]["uid"]
    cluster.kubectl("delete", kind, name, "--wait=false")

    def is_back() -> bool:
        found = [i for i in cluster.list(kind) if i["metadata"]["name"] == name]
        return bool(found) and found[0]["metadata"]["uid"] != before

    wait_for(is_back, 30)
    cluster.wait_ready("points")


def test_a_wrong_digest_is_a_reason_and_hurts_nobody_else(cluster) -> None:
    bad = dict(cluster.models["points-2"], metadata={"name": "bad"})
    bad = {**bad, "spec": {**bad["spec"], "artifact": {**bad["spec"]["artifact"], "digest": "sha256:" + "0" * 64}}}
    cluster.apply(bad)
    condition = cluster.wait_reason("model", "bad", "DigestMismatch")
    assert "expected sha256:0000" in condition["message"]
    assert cluster.condition("model", "bad", "Stalled")["status"] == "True"
    cluster.serve("points")


def test_a_missing_model_is_said_and_found_once_it_is_there(cluster) -> None:
    cluster.deploy("points")
    condition = cluster.wait_reason("mdep", "points", "ChampionNotFound")
    assert "points-1" in condition["message"]
    cluster.apply(*cluster.models.values())
    cluster.wait_ready("points")


def test_an_edited_weight_moves_the_traffic(cluster) -> None:
    challenger = {"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}
    cluster.serve("points", challengers=[challenger])
    wait_for(lambda: {cluster.infer("points")[1]["kingmaker-model"] for _ in range(20)} == {"points-1", "points-2"})
    cluster.deploy("points", challengers=[{**challenger, "weight": 1}])
    wait_for(lambda: cluster.get("mdep", "points")["status"]["variants"][0]["weight"] == 99)
    assert [d["spec"]["action"] for d in cluster.list("decisions")] == ["Deploy", "StartStage", "StartStage"]


def test_a_preview_reaches_a_shadow(cluster) -> None:
    challenger = {"name": "b", "modelRef": {"name": "points-2"}, "shadowPercent": 100}
    cluster.serve("points", challengers=[challenger])
    wait_for(lambda: cluster.infer("points", kingmaker_model="points-2")[1].get("kingmaker-model") == "points-2")
    assert cluster.infer("points")[1]["kingmaker-model"] == "points-1"


def test_a_changed_champion_ref_is_followed(cluster) -> None:
    cluster.serve("points")
    cluster.deploy("points", championRef={"name": "points-2"})
    wait_for(lambda: cluster.infer("points")[1]["kingmaker-model"] == "points-2", 60)
    last = cluster.list("decisions")[-1]["spec"]
    assert (last["action"], last["actor"]) == ("Promote", "Human")


def test_feedback_is_counted_under_the_decision_that_routed(cluster) -> None:
    cluster.serve("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}])
    wait_for(lambda: cluster.get("mdep", "points")["status"].get("contest"), 60)
    number = cluster.list("decisions")[-1]["spec"]["sequence"]

    def counted() -> bool:
        # The first requests may be under way before every router knows of the contest.
        _, headers, _ = cluster.infer("points")
        body = {"id": headers["kingmaker-request-id"], "labels": [1]}
        status, _, reply = cluster.post(f"{cluster.url('points')}/v2/models/points/feedback", body)
        assert (status, reply) == (200, {"matched": 1})
        ledger = cluster.list("cm", "app.kubernetes.io/component=ledger")
        totals = load_ledger(ledger[0]["data"]["ledger.json"]).totals if ledger else {}
        return any(counts[number].arm.labelled for counts in totals.values() if number in counts)

    wait_for(counted, 60)


def test_deleting_a_deployment_leaves_nothing(cluster) -> None:
    cluster.serve("points")
    cluster.kubectl("delete", "mdep", "points")
    kinds = "deployments,services,configmaps,networkpolicies,decisions,pods,replicasets"
    wait_for(lambda: not cluster.list(kinds, "kingmaker.dev/deployment=points"), 60)
    wait_for(lambda: not cluster.list("deployments,pods", "app.kubernetes.io/name=kingmaker-router"), 60)


def test_a_new_deployment_of_an_old_name_begins_a_new_history(cluster) -> None:
    cluster.serve("points")
    old = cluster.get("mdep", "points")["metadata"]["uid"]
    cluster.kubectl("delete", "mdep", "points", "--wait=false")
    wait_for(lambda: "NotFound" in cluster.kubectl("get", "mdep", "points", check=False))
    cluster.deploy("points")
    cluster.wait_ready("points")
    uids = {d["spec"]["deploymentUid"] for d in cluster.list("decisions")}
    assert old not in uids
    assert len(cluster.list("decisions")) == 1


def test_a_killed_operator_goes_on_without_a_new_decision(cluster) -> None:
    import json

    cluster.serve("points")
    record = json.loads((cluster.plane.folder / "processes" / "operator.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    assert cluster.infer("points")[0] == 200
    cluster.deploy("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 10}])
    wait_for(lambda: len(cluster.list("decisions")) == 2, 60)
    assert [d["spec"]["action"] for d in cluster.list("decisions")] == ["Deploy", "StartStage"]


def test_a_quota_is_said_and_the_champion_untouched(cluster) -> None:
    cluster.serve("points")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}}
    cluster.apply({**quota, "spec": {"hard": {"count/deployments.apps": "2"}}})
    wait_for(lambda: cluster.get("resourcequota", "full").get("status", {}).get("used"))
    cluster.deploy("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 10}])
    wait_for(lambda: "exceeded quota" in cluster.kubectl("get", "events"))
    assert cluster.infer("points")[0] == 200
    assert cluster.condition("mdep", "points", "Ready")["status"] == "True"
    cluster.kubectl("delete", "resourcequota", "full")
    wait_for(lambda: len(cluster.list("decisions")) == 2, 60)


def test_history_and_explain_tell_what_happened(cluster) -> None:
    cluster.serve("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 10}])
    wait_for(lambda: len(cluster.list("decisions")) == 2)
    history = cluster.kingmaker("history", "points")
    assert "FirstChampion" in history
    assert "90/10" in history
    explained = cluster.kingmaker("explain", "points")
    assert "points-2: 10 % of the requests" in explained
    assert "wrongAnswers" in explained
    assert max(map(len, (history + explained).splitlines())) <= 80
