"""What the real API server makes of good objects: defaults, immutability, status, kubectl's columns and words."""

import json
from typing import Any

import pytest

from kingmaker.api import ModelDeployment
from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from support.controlplane import ControlPlane
from support.manifests import DIGEST, a_decision, a_model, a_retraining_seat, a_seat

from .conftest import Create, collection


@pytest.mark.parametrize(
    "body",
    [a_seat(), a_retraining_seat(), a_seat(contest={"promotion": "Manual"}), a_seat(monitoring={"drift": {}})],
    ids=["nothing said", "retraining", "one field of a block", "an empty block"],
)
async def test_the_server_fills_in_the_models_own_defaults(body: dict[str, Any], try_create: Create) -> None:
    filled = await try_create(body)
    assert filled["spec"] == ModelDeployment.parse(body).manifest()["spec"]


async def test_naming_some_guardrails_switches_the_others_off(try_create: Create) -> None:
    filled = await try_create(a_seat(contest={"verdict": {"guardrails": {"errors": {}}}}))
    assert filled["spec"]["contest"]["verdict"]["guardrails"] == {"errors": {}, "queries": []}


async def test_a_fresh_object_says_that_nobody_has_seen_it(admin: KubeClient, namespace: str) -> None:
    for body in (a_model(), a_seat()):
        made = await admin.create(collection(body, namespace), body)
        assert made["status"]["observedGeneration"] == -1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"version": "2"}, "a changed field"),
        ({"task": None}, "a removed field"),
        ({"metrics": [{"name": "a", "value": "1", "dataset": "b"}]}, "an added field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_model_never_changes(change: dict[str, Any], what: str, admin: KubeClient, namespace: str) -> None:
    await admin.create(collection(a_model(), namespace), a_model())
    with pytest.raises(ApiError) as refused:
        await admin.patch(f"{collection(a_model(), namespace)}/churn-1", {"spec": change})
    assert "create a new Model under another name instead of changing this one" in str(refused.value)


async def test_a_models_labels_may_change(admin: KubeClient, namespace: str) -> None:
    await admin.create(collection(a_model(), namespace), a_model())
    labels = {"metadata": {"labels": {"example.com/contest": "open"}}}
    assert (await admin.patch(f"{collection(a_model(), namespace)}/churn-1", labels))["spec"]["family"] == "churn"


async def test_a_decision_never_changes(admin: KubeClient, namespace: str) -> None:
    await admin.create(collection(a_decision(), namespace), a_decision())
    for change in ({"reason": "HumanRequest"}, {"message": "I did not mean it"}, {"evidence": []}):
        with pytest.raises(ApiError) as refused:
            await admin.patch(f"{collection(a_decision(), namespace)}/churn-000001", {"spec": change})
        assert "a Decision is a record of what happened: it is never changed" in str(refused.value)


async def test_the_longest_outcome_is_kept(admin: KubeClient, namespace: str) -> None:
    body = a_decision(outcome="x" * 65_536)
    assert (await admin.create(collection(body, namespace), body))["spec"]["outcome"] == body["spec"]["outcome"]


def _status() -> dict[str, Any]:
    moment = "2026-01-02T03:04:05Z"
    return {
        "observedGeneration": 1,
        "champion": {"name": "churn-1", "digest": DIGEST, "since": moment},
        "contest": {"challenger": "churn-2", "digest": DIGEST, "stage": "canary", "since": moment, "verdict": "Pass"},
        "traffic": "95/5",
        "drift": {"state": "Warning", "features": ["age"]},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Serving", "message": "m", "lastTransitionTime": moment}
        ],
    }


def test_the_columns_say_what_goes_on(crds: ControlPlane, namespace: str) -> None:
    crds.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(a_seat()))
    patch = json.dumps({"status": _status()})
    crds.kubectl("patch", "mdep", "churn", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    header, row = crds.kubectl("get", "mdep", "-n", namespace).stdout.splitlines()
    columns = ["NAME", "CHAMPION", "CHALLENGER", "STAGE", "TRAFFIC", "VERDICT", "DRIFT", "READY", "STATUS", "AGE"]
    assert header.split() == columns
    assert row.split()[:-1] == ["churn", "churn-1", "churn-2", "canary", "95/5", "Pass", "Warning", "True", "Serving"]
    assert len(row) <= 100


@pytest.mark.parametrize(
    ("body", "short", "columns"),
    [
        (a_model(), "mdl", ["NAME", "FAMILY", "VERSION", "READY", "STATUS", "AGE"]),
        (a_decision(), "kmd", ["NAME", "SEQ", "ACTION", "FROM", "TO", "REASON", "AGE"]),
    ],
    ids=["Model", "Decision"],
)
def test_short_names_and_columns(
    body: dict[str, Any], short: str, columns: list[str], crds: ControlPlane, namespace: str
) -> None:
    crds.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(body))
    assert crds.kubectl("get", short, "-n", namespace).stdout.splitlines()[0].split() == columns
    assert body["metadata"]["name"] in crds.kubectl("get", "kingmaker", "-n", namespace).stdout


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("mdep.spec.contest.verdict.margin", "ten percent"),
        ("mdep.spec.contest.stages", "advances when it passes a stage"),
        ("mdep.status.contest.verdict", "Pass, Fail or Inconclusive"),
        ("mdl.spec.artifact.digest", "SHA-256 of the file"),
        ("kmd.spec.outcome", "restores its state from"),
    ],
)
def test_kubectl_explains_every_field_in_our_words(field: str, words: str, crds: ControlPlane) -> None:
    explained = " ".join(crds.kubectl("explain", field).stdout.split())
    assert words in explained


def test_kubectl_refuses_a_misspelt_field_by_itself(crds: ControlPlane, namespace: str) -> None:
    body = json.dumps(a_seat(contests={}))
    refused = crds.kubectl("apply", "-n", namespace, "-f", "-", input=body, check=False)
    assert refused.returncode != 0
    assert 'unknown field "spec.contests"' in refused.stderr


def test_two_appliers_share_the_list_of_challengers(crds: ControlPlane, namespace: str) -> None:
    def apply(manager: str, name: str) -> None:
        body = a_seat(challengers=[{"name": name, "modelRef": {"name": f"churn-{name}"}, "weight": 5}])
        flags = ("--server-side", f"--field-manager={manager}", "-n", namespace, "-f", "-")
        crds.kubectl("apply", *flags, input=json.dumps(body))

    apply("team-a", "a")
    apply("team-b", "b")
    names = crds.kubectl("get", "mdep", "churn", "-n", namespace, "-o", "jsonpath={.spec.challengers[*].name}").stdout
    assert names.split() == ["a", "b"]
