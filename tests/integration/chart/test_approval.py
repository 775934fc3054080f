"""Where approval is required, promoting is a right of its own."""

from dataclasses import replace

import pytest

from support.rbac_users import Document, Person, soon
from support.team import DOOMED, Team
from support.user_manifests import DIGEST, a_decision, a_deployment

POLICY = "kingmaker-system-kingmaker-approval"
REQUIRED = {"required": True}
APPROVED = {"required": True, "approvedDigests": [DIGEST]}


def refusal_of(found: str, person: Person, *, required: bool) -> str:
    rest = ", and this one promotes only what was approved" if required else ""
    return (
        f"{found}: {person.user} may not approve ModelDeployments in namespace team{rest}. Leave it to somebody with "
        "the verb approve (ClusterRole kingmaker-approve)"
    )


def approval(rule: Document | None) -> Document:
    return {"spec": {"contest": {"approval": rule}}}


def test_a_digest_is_approved_by_those_who_may(team: Team) -> None:
    team.modeller.create(a_deployment("digest", approval=REQUIRED))
    for person in (team.modeller, team.editor, team.owner):
        refusal = person.cannot_patch("modeldeployment/digest", approval(APPROVED))
        assert refusal.policy == POLICY
        assert refusal.message == refusal_of("spec.contest.approval", person, required=True)
    team.approver.patch("modeldeployment/digest", approval(APPROVED))


def test_nothing_is_created_approved(team: Team) -> None:
    refusal = team.modeller.cannot_create(a_deployment("born", approval=APPROVED))
    assert refusal.message == refusal_of("spec.contest.approval", team.modeller, required=False)
    team.approver.create(a_deployment("born", approval=APPROVED))


def test_whether_approval_is_required_is_not_for_everybody_to_say(team: Team) -> None:
    team.modeller.create(a_deployment("rule"))
    for rule in (REQUIRED, APPROVED):
        assert team.owner.cannot_patch("modeldeployment/rule", approval(rule)).policy == POLICY
    team.approver.patch("modeldeployment/rule", approval(REQUIRED))
    for rule in ({"required": False}, None):
        assert team.owner.cannot_patch("modeldeployment/rule", approval(rule)).policy == POLICY
    team.approver.patch("modeldeployment/rule", approval(None))


@pytest.mark.parametrize(
    ("name", "found", "change"),
    [
        ("champion", "spec.championRef", {"championRef": {"name": "churn-2"}}),
        ("promotion", "spec.contest.promotion", {"contest": {"promotion": "Manual"}}),
        ("contest", "spec.contest.approval", {"contest": None}),
    ],
)
def test_no_other_way_leads_to_the_seat(team: Team, name: str, found: str, change: Document) -> None:
    team.modeller.create(a_deployment(name, approval=REQUIRED))
    refusal = team.modeller.cannot_patch(f"modeldeployment/{name}", {"spec": change})
    assert refusal.message == refusal_of(found, team.modeller, required=True)
    team.approver.patch(f"modeldeployment/{name}", {"spec": change})


def test_without_approval_the_seat_is_its_authors(team: Team) -> None:
    team.modeller.create(a_deployment("free"))
    change = {"championRef": {"name": "b"}, "contest": {"promotion": "Never"}}
    team.modeller.patch("modeldeployment/free", {"spec": change})
    team.modeller.may("delete", "modeldeployment", "free")


def test_all_the_rest_is_for_everybody_to_change(team: Team) -> None:
    team.modeller.create(a_deployment("rest", approval=REQUIRED))
    challenger = {"name": "b", "modelRef": {"name": "b"}}
    change = {"challengers": [challenger], "serving": {"replicas": 3}, "contest": {"deadline": "30d"}}
    team.modeller.patch("modeldeployment/rest", {"spec": change})


def test_deleting_and_making_anew_is_no_way_around(team: Team) -> None:
    team.modeller.create(a_deployment("anew", approval=REQUIRED))
    refusal = team.owner.may_not("delete", "modeldeployment", "anew")
    assert refusal.policy == POLICY
    assert refusal.message == refusal_of("deletion", team.owner, required=True)
    team.approver.may("delete", "modeldeployment", "anew")


def test_a_collection_goes_only_as_far_as_its_parts(team: Team) -> None:
    """`deletecollection` asks once for all and once for each."""
    team.modeller.create(a_deployment("part", approval=REQUIRED, metadata={"labels": {"try": "parts"}}))
    path = "/apis/kingmaker.dev/v1alpha1/namespaces/team/modeldeployments?labelSelector=try%3Dparts"
    assert team.owner.may_not("delete", "--raw", path).policy == POLICY
    team.approver.may("delete", "--raw", path)


def test_a_namespace_is_deleted_whatever_is_required_in_it(team: Team) -> None:
    Person(team.plane, DOOMED).create(a_deployment("kept", approval=REQUIRED))
    replace(team.operator, namespace=DOOMED).create(a_decision("kept-000001"))
    team.plane.kubectl("delete", "namespace", DOOMED, "--wait=false")
    soon(lambda: "NotFound" in team.plane.kubectl("get", "namespace", DOOMED, check=False).stderr, seconds=60)
