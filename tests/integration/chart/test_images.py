"""Whoever chooses what runs in a pod may create pods; and administrators say where images come from."""

import pytest

from support.rbac_users import Document
from support.team import Team
from support.user_manifests import a_deployment, a_retraining

POLICY = "kingmaker-system-kingmaker-images"
IMAGE = {"serving": {"image": "registry.example/serving:1"}}


def test_an_image_needs_the_right_to_create_pods(team: Team) -> None:
    refusal = team.modeller.cannot_create(a_deployment("own", **IMAGE))
    assert refusal.policy == POLICY
    assert refusal.message == (
        "spec.serving.image: set or changed by system:serviceaccount:team:modeller, who may not create pods in "
        "namespace team. Leave these fields as they are, or have them set by somebody who may create pods there"
    )
    refusal = team.modeller.cannot_create(a_deployment("own", retraining=a_retraining()))
    assert refusal.message.startswith("spec.retraining.template.image: ")
    for person in (team.trainer, team.editor, team.owner, team.admin):
        person.may(
            "create", "--dry-run=server", "-f", "-", body=a_deployment("own", retraining=a_retraining(), **IMAGE)
        )


def test_the_operators_own_image_needs_none(team: Team) -> None:
    team.modeller.create(a_deployment("plain", serving={"replicas": 1}))


@pytest.mark.parametrize(
    "change",
    [
        {"image": "registry.example/trainer:2"},
        {"command": ["sh"]},
        {"args": ["-c", "env"]},
        {"env": [{"name": "A", "value": "b"}]},
        {"volumes": [{"name": "a", "mountPath": "/a", "persistentVolumeClaim": {"claimName": "a"}}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_field_counts(team: Team, change: Document) -> None:
    (name,) = change
    body = a_deployment(f"field-{name}", retraining=a_retraining())
    team.editor.create(body)
    path = f"modeldeployment/field-{name}"
    refusal = team.modeller.cannot_patch(path, {"spec": {"retraining": {"template": change}}})
    assert refusal.message.startswith(f"spec.retraining.template.{name}: set or changed by ")
    team.editor.patch(path, {"spec": {"retraining": {"template": change}}})


def test_who_changes_something_else_answers_for_nothing(team: Team) -> None:
    env = [{"name": "A", "value": "b"}]
    team.editor.create(a_deployment("shared", retraining=a_retraining(env=env, args=["x"]), **IMAGE))
    change = {"serving": {"replicas": 3}, "retraining": {"suspend": True, "template": {"deadline": "2h"}}}
    team.modeller.patch("modeldeployment/shared", {"spec": change})
    team.modeller.patch("modeldeployment/shared", {"spec": {"serving": {"image": None}, "retraining": None}})
    assert team.modeller.cannot_patch("modeldeployment/shared", {"spec": IMAGE}).policy == POLICY


@pytest.mark.parametrize(
    "image",
    [
        "registry.example/a/b:1",
        "registry.example/a@sha256:" + "0" * 64,
        "docker.io/team/trainer:1",
        "registry.example:5000/a:1",
    ],
)
def test_an_image_of_an_allowed_place_passes(team: Team, image: str) -> None:
    team.editor.may("create", "--dry-run=server", "-f", "-", body=a_deployment(serving={"image": image}))


@pytest.mark.parametrize(
    "image",
    ["registry.example.evil.io/a:1", "docker.io/teams/a:1", "docker.io/team:1", "trainer:1", "evil/registry.example/a"],
)
def test_an_image_from_elsewhere_is_refused(team: Team, image: str) -> None:
    for body in (a_deployment(serving={"image": image}), a_deployment(retraining=a_retraining(image=image))):
        for person in (team.editor, team.admin):
            refusal = person.cannot_create(body)
            assert refusal.policy == POLICY
            assert refusal.message == (
                f"{image}: not an image that this cluster allows. Use one from registry.example, docker.io/team/, or "
                "ask the administrators to add yours to admission.allowedImages of the chart"
            )


def test_other_namespaces_are_not_its_business(team: Team) -> None:
    team.elsewhere().create(a_deployment("own", serving={"image": "evil.example/a:1"}))
