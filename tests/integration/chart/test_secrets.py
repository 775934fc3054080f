"""Whoever names a Secret may read it."""

from support.rbac_users import Person, soon
from support.team import TEAM, Team
from support.user_manifests import a_deployment, a_model, a_retraining

MODELS = "kingmaker-system-kingmaker-model-secrets"
DEPLOYMENTS = "kingmaker-system-kingmaker-modeldeployment-secrets"


def env(*names: str) -> list[dict]:
    """Variables from these Secrets, two of each."""
    return [
        {"name": f"V{i}_{part}", "valueFrom": {"secretKeyRef": {"name": name, "key": part}}}
        for i, name in enumerate(names)
        for part in ("user", "password")
    ]


def let_read(team: Team, person: str, *names: str) -> None:
    role = f"{person}-secrets"
    chosen = [f"--resource-name={name}" for name in names]
    team.plane.kubectl("create", "role", role, "-n", TEAM, "--verb=get", "--resource=secrets", *chosen)
    user = f"--user=system:serviceaccount:{TEAM}:{person}"
    team.plane.kubectl("create", "rolebinding", role, "-n", TEAM, f"--role={role}", user)
    somebody: Person = getattr(team, person)
    soon(lambda: somebody.is_allowed("get", f"secret/{names[0]}"))


def test_a_model_names_only_what_its_author_may_read(team: Team) -> None:
    refusal = team.modeller.cannot_create(a_model("secret", secret="s3"))
    assert refusal.policy == MODELS
    assert refusal.message == (
        "Secret s3: named by system:serviceaccount:team:modeller, who may not get it in namespace team. Name a Secret "
        "that you may read, or have this one named by somebody who may"
    )
    let_read(team, "modeller", "s3")
    team.modeller.create(a_model("secret", secret="s3"))
    assert team.modeller.cannot_create(a_model("other", secret="s3-production")).policy == MODELS
    # Once it is there, anybody may change what else there is to change.
    team.approver.patch("model/secret", {"metadata": {"labels": {"a": "b"}}})


def test_the_operator_names_what_a_parent_named(team: Team) -> None:
    assert not team.operator.is_allowed("get", "secret/s3-of-parent")
    team.operator.create(a_model("produced-by-run", secret="s3-of-parent"))


def test_who_may_read_all_of_them_may_name_any(team: Team) -> None:
    many = [f"any-{i}" for i in range(20)]
    team.editor.create(a_deployment("many", retraining=a_retraining(env=env(*many))))
    team.editor.create(a_model("any", secret="anything"))


def test_a_trainer_gets_only_what_its_author_may_read(team: Team) -> None:
    let_read(team, "trainer", *[f"s{i}" for i in range(20)])
    body = a_deployment("trainer", retraining=a_retraining(env=env("s1", "production", "s2")))
    refusal = team.trainer.cannot_create(body)
    assert refusal.policy == DEPLOYMENTS
    assert refusal.message.startswith("Secret production: named by system:serviceaccount:team:trainer, who may not ")
    team.trainer.create(a_deployment("trainer", retraining=a_retraining(env=env(*[f"s{i}" for i in range(8)]))))


def test_more_than_can_be_looked_up_is_said(team: Team) -> None:
    many = [f"s{i}" for i in range(9)]
    refusal = team.trainer.cannot_create(a_deployment("more", retraining=a_retraining(env=env(*many))))
    assert refusal.policy == DEPLOYMENTS
    assert refusal.message == (
        "9 Secrets named at once by system:serviceaccount:team:trainer, who may not read all of namespace team: more "
        "than 8 are not looked up. Put what the trainer needs into fewer Secrets"
    )


def test_only_what_is_new_is_looked_up(team: Team) -> None:
    others = [f"production-{i}" for i in range(10)]
    team.editor.create(a_deployment("grown", retraining=a_retraining(env=env(*others))))

    def change(*names: str) -> dict:
        return {"spec": {"retraining": {"template": {"env": env(*names)}}}}

    assert team.trainer.cannot_patch("modeldeployment/grown", change("no")).message.startswith("Secret no: ")
    team.trainer.patch("modeldeployment/grown", change(*others, "s1"))
