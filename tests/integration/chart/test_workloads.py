"""Nobody but the operator makes pods that look like the operator's: requests and configuration would go there."""

import json

import pytest

from support.rbac_users import Document, Person, soon
from support.team import SYSTEM, TEAM, Team
from support.user_manifests import a_pod, a_workload

POLICY = "kingmaker-system-kingmaker-workloads"
SERVER = {"kingmaker.dev/deployment-uid": "0c0ffee0-0000-4000-8000-000000000001"}
ROUTER = {"app.kubernetes.io/name": "kingmaker-router", "app.kubernetes.io/component": "router"}
MANAGED = {"app.kubernetes.io/managed-by": "kingmaker"}
VERIFIER = {"batch.kubernetes.io/job-name": "churn-1-verify-0123456789"}
KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController")


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (SERVER, "the label kingmaker.dev/deployment-uid"),
        (ROUTER, "the labels app.kubernetes.io/name: kingmaker-router and app.kubernetes.io/component: router"),
        (MANAGED, "the label app.kubernetes.io/managed-by: kingmaker"),
        (VERIFIER, "the label batch.kubernetes.io/job-name of a Job of the operator"),
        (
            {"batch.kubernetes.io/job-name": "churn-retrain-1"},
            "the label batch.kubernetes.io/job-name of a Job of the operator",
        ),
    ],
)
def test_no_pod_passes_for_one_of_the_operators(team: Team, labels: Document, found: str) -> None:
    for person in (team.editor, team.owner, team.admin):
        refusal = person.cannot_create(a_pod(labels))
        assert refusal.policy == POLICY
        assert refusal.message == (
            f"{found}: only the operator makes such objects, for requests and configuration are found by it. Use other "
            "labels"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_makes_such_pods_either(team: Team, kind: str) -> None:
    for labels in (SERVER, ROUTER):
        assert team.editor.cannot_create(a_workload(kind, labels)).policy == POLICY
    team.editor.may("create", "--dry-run=server", "-f", "-", body=a_workload(kind, {"app.kubernetes.io/name": "mine"}))


def test_a_job_is_not_taken_for_a_run(team: Team) -> None:
    """By its own labels the operator finds a Job, and believes what its pods say."""
    assert team.editor.cannot_create(a_workload("Job", {}, labels=SERVER)).policy == POLICY


def test_a_pod_does_not_become_one_later(team: Team) -> None:
    harmless = {"app.kubernetes.io/component": "router", "kingmaker.dev/deployment": "churn"}
    team.editor.create(a_pod(harmless, "later"))
    team.editor.patch("pod/later", {"metadata": {"labels": {"app.kubernetes.io/component": "db"}}})
    for labels in (SERVER, ROUTER):
        assert team.editor.cannot_patch("pod/later", {"metadata": {"labels": labels}}).policy == POLICY


@pytest.fixture(scope="module")
def served(team: Team) -> str:
    """Give the name of a pod that controllers made for a Deployment which the operator applied."""
    body = a_workload("Deployment", SERVER | MANAGED, "churn-churn-1", namespace=TEAM, labels=SERVER | MANAGED)
    apply = ("apply", "--server-side", "--field-manager=kingmaker", "-f", "-")
    team.operator.may(*apply, body=body)
    body["spec"]["replicas"] = 2
    team.operator.may(*apply, body=body)

    def pods() -> list[str]:
        selector = "kingmaker.dev/deployment-uid"
        return team.plane.kubectl("get", "pods", "-n", TEAM, "-l", selector, "-o", "name").stdout.split()

    soon(lambda: len(pods()) == 2)
    return pods()[0]


def test_controllers_make_what_the_operator_asks_for(team: Team, served: str) -> None:
    body = json.loads(team.plane.kubectl("get", served, "-n", TEAM, "-o", "json").stdout)
    assert body["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    team.operator.may("delete", "deployment", "churn-churn-1", "--dry-run=server")


def test_controllers_make_what_a_job_of_the_operator_asks_for(team: Team) -> None:
    name = "churn-1-verify-0123456789"
    team.operator.create(a_workload("Job", MANAGED, name, labels=MANAGED))
    pods = ("get", "pods", "-n", TEAM, "-l", f"batch.kubernetes.io/job-name={name}", "-o", "name")
    soon(lambda: team.plane.kubectl(*pods).stdout)


def test_what_runs_in_it_stays(team: Team, served: str) -> None:
    image = [{"name": "a", "image": "registry.example/mine:1"}]
    said = (
        "this object has the label kingmaker.dev/deployment-uid, so it belongs to the operator. Change its Model or "
        "ModelDeployment instead; to start a pod anew, delete the pod"
    )
    pod = ("patch", served, f"--patch={json.dumps({'spec': {'containers': image}})}")
    deployment = ("set", "image", "deployment/churn-churn-1", "a=registry.example/mine:1")
    for change in (pod, deployment, ("rollout", "restart", "deployment/churn-churn-1")):
        refusal = team.owner.may_not(*change)
        assert (refusal.policy, refusal.message) == (POLICY, said)


def test_all_the_rest_is_as_with_any_pod(team: Team, served: str) -> None:
    team.editor.may("annotate", served, "note=mine")
    # The kubelet's word on a pod, and whoever evicts it.
    phase = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    team.admin.patch(served, phase, "--subresource=status")
    team.editor.may("delete", served)


def test_other_controllers_are_named_in_the_values(team: Team) -> None:
    team.kueue.may("create", "--dry-run=server", "-f", "-", body=a_workload("Job", SERVER))


def test_other_namespaces_are_not_its_business(team: Team) -> None:
    team.elsewhere().create(a_pod(SERVER))
    assert Person(team.plane, SYSTEM).is_allowed("create", "pods")
