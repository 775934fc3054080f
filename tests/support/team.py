"""The chart installed for one namespace, and people in it, each with roles of their own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from support.controlplane import ControlPlane, running_control_plane
from support.helm import CHART, Helm
from support.rbac_users import Document, Person, soon
from support.user_manifests import DIGEST, a_decision, a_deployment, a_model, a_pod, a_retraining

SYSTEM = "kingmaker-system"
TEAM = "team"
ELSEWHERE = "elsewhere"
"""A namespace that the operator does not look after."""

DOOMED = "doomed"
"""A watched namespace that a test deletes."""

VALUES: Document = {
    "scope": {"namespaces": [TEAM, DOOMED]},
    "admission": {"allowedImages": ["registry.example", "docker.io/team/"], "controllers": ["kueue"]},
}
ROLES = {
    "viewer": ["view"],
    "editor": ["edit"],
    "owner": ["admin"],
    # People who work with models and nothing else.
    "modeller": ["kingmaker-view", "kingmaker-edit"],
    "approver": ["kingmaker-view", "kingmaker-edit", "kingmaker-approve"],
    "trainer": ["kingmaker-view", "kingmaker-edit", "pods-only"],
    "kueue": ["edit"],
}


@dataclass(frozen=True)
class Team:
    """A watched namespace, and who works in it."""

    plane: ControlPlane
    helm: Helm
    admin: Person
    operator: Person
    viewer: Person
    editor: Person
    owner: Person
    modeller: Person
    approver: Person
    trainer: Person
    kueue: Person

    def elsewhere(self) -> Person:
        """The administrator, in a namespace that the operator does not look after."""
        return Person(self.plane, ELSEWHERE)


@contextmanager
def installed_team(folder: Path) -> Iterator[Team]:
    """Run a control plane with the chart while the block runs. Its operator's pods wait for a node for ever."""
    with running_control_plane(folder / "plane") as plane:
        helm = Helm(folder, plane.kubeconfig)
        for namespace in (TEAM, DOOMED, ELSEWHERE):
            plane.kubectl("create", "namespace", namespace)
        plane.kubectl("create", "clusterrole", "pods-only", "--verb=create", "--resource=pods")
        helm.run("install", "kingmaker", str(CHART), "-n", SYSTEM, "--create-namespace", values=VALUES)
        people = {name: _person(plane, name, roles) for name, roles in ROLES.items()}
        team = Team(plane, helm, Person(plane, TEAM), _operator(plane), **people)
        _wait_for_roles(team)
        _wait_for_policies(team)
        yield team


def _person(plane: ControlPlane, name: str, roles: list[str]) -> Person:
    user = "kueue" if name == "kueue" else f"system:serviceaccount:{TEAM}:{name}"
    for role in roles:
        plane.kubectl("create", "rolebinding", f"{name}-{role}", "-n", TEAM, f"--clusterrole={role}", f"--user={user}")
    return Person.named(plane, TEAM, user)


def _operator(plane: ControlPlane) -> Person:
    """Give the operator as one of its pods, which leads."""

    def pods() -> list[str]:
        return plane.kubectl("get", "pods", "-n", SYSTEM, "-o", "name").stdout.split()

    pod = soon(pods)[0].removeprefix("pod/")
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}")
    token = plane.kubectl("create", "token", "kingmaker", "-n", SYSTEM, *bound).stdout.strip()
    operator = Person(plane, TEAM, (f"--token={token}",))
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kingmaker"}}
    body = json.dumps({**lease, "spec": {"holderIdentity": pod, "leaseDurationSeconds": 15}})
    plane.kubectl(f"--token={token}", "create", "-n", SYSTEM, "-f", "-", input=body)
    return operator


def _wait_for_roles(team: Team) -> None:
    soon(lambda: team.editor.is_allowed("create", "modeldeployments.kingmaker.dev"))
    soon(lambda: team.owner.is_allowed("create", "modeldeployments.kingmaker.dev"))
    soon(lambda: team.approver.is_allowed("approve", "modeldeployments.kingmaker.dev"))
    soon(lambda: team.trainer.is_allowed("create", "pods"))


def _wait_for_policies(team: Team) -> None:
    """Wait until each policy refuses something; what they allow proves nothing before."""
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "probe", "key": "a"}}}]
    approved = {"required": True, "approvedDigests": [DIGEST]}
    refused = {
        "metadata": (team.modeller, a_model(labels={"kingmaker.dev/deployment-uid": "probe"})),
        "images": (team.modeller, a_deployment(serving={"image": "registry.example/probe:1"})),
        "model-secrets": (team.modeller, a_model(secret="probe")),
        "modeldeployment-secrets": (team.trainer, a_deployment(retraining=a_retraining(env=env))),
        "approval": (team.modeller, a_deployment(approval=approved)),
        "workloads": (team.editor, a_pod({"kingmaker.dev/deployment-uid": "probe"})),
        "records": (team.admin, a_decision()),
    }
    for policy, (person, body) in refused.items():
        soon(partial(_is_refused, f"{SYSTEM}-kingmaker-{policy}", person, body))


def _is_refused(policy: str, person: Person, body: Document) -> bool:
    refusal = person.answer_to("create", "--dry-run=server", "-f", "-", body=body)
    return refusal is not None and refusal.policy == policy
