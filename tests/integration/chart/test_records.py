"""Decisions and status are the operator's, and nobody's else."""

import json

from support.rbac_users import Person, soon
from support.team import SYSTEM, TEAM, Team
from support.user_manifests import a_decision, a_deployment, a_model

POLICY = "kingmaker-system-kingmaker-records"
RECORD = (
    "Decisions are the record of what the operator did: only it writes them, and it deletes the oldest itself. They go "
    "with their ModelDeployment"
)


def test_only_the_operator_writes_history(team: Team) -> None:
    assert not team.owner.is_allowed("create", "decisions.kingmaker.dev")
    refusal = team.admin.cannot_create(a_decision("forged-000001"))
    assert (refusal.policy, refusal.message) == (POLICY, RECORD)
    team.operator.create(a_decision("true-000001"))
    assert team.viewer.is_allowed("get", "decisions.kingmaker.dev")


def test_nobody_rewrites_or_loses_it(team: Team) -> None:
    team.operator.create(a_decision("kept-000001"))
    assert team.admin.cannot_patch("decision/kept-000001", {"metadata": {"labels": {"a": "b"}}}).message == RECORD
    assert team.admin.may_not("delete", "decision", "kept-000001").message == RECORD
    assert team.admin.may_not("delete", "decisions", "--all").message == RECORD
    team.operator.may("delete", "decision", "kept-000001")


def test_status_is_what_the_operator_found(team: Team) -> None:
    team.modeller.create(a_deployment("found"))
    team.modeller.create(a_model("found"))
    forged = {"status": {"observedGeneration": 7}}
    for path in ("modeldeployment/found", "model/found"):
        refusal = team.admin.cannot_patch(path, forged, "--subresource=status")
        assert (refusal.policy, refusal.message) == (
            POLICY,
            "status is what the operator found: only it writes it. Say what you want in spec",
        )
        body = (a_deployment if path.startswith("modeldeployment") else a_model)("found") | forged
        apply = ("apply", "--server-side", "--subresource=status", "--field-manager=kingmaker", "-f", "-")
        team.operator.may(*apply, body={key: value for key, value in body.items() if key != "spec"})


def test_history_goes_with_its_deployment(team: Team) -> None:
    team.modeller.create(a_deployment("parent"))
    body = json.loads(team.plane.kubectl("get", "modeldeployment", "parent", "-n", TEAM, "-o", "json").stdout)
    owner = {key: body["metadata"][key] for key in ("name", "uid")}
    owner |= {"apiVersion": body["apiVersion"], "kind": body["kind"], "controller": True}
    team.operator.create(a_decision("parent-000001", ownerReferences=[owner]))
    team.modeller.may("delete", "modeldeployment", "parent")
    soon(lambda: "NotFound" in team.plane.kubectl("get", "decision", "parent-000001", "-n", TEAM, check=False).stderr)


def test_only_the_leader_writes_them(team: Team) -> None:
    """The operator's other pod has the same rights, and not the Lease."""
    pods = team.plane.kubectl("get", "pods", "-n", SYSTEM, "-o", "name").stdout.split()
    holder = json.loads(team.plane.kubectl("get", "lease", "kingmaker", "-n", SYSTEM, "-o", "json").stdout)
    other = next(p for p in pods if p != f"pod/{holder['spec']['holderIdentity']}").removeprefix("pod/")
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={other}")
    token = team.plane.kubectl("create", "token", "kingmaker", "-n", SYSTEM, *bound).stdout.strip()
    standby = Person(team.plane, TEAM, (f"--token={token}",))
    refusal = standby.cannot_create(a_decision("late-000001"))
    assert refusal.policy == "kingmaker-system-kingmaker-leader"
