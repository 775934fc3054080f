"""Labels and annotations of the operator's own: nobody else says which Model comes from which run."""

import pytest

from support.rbac_users import Document
from support.team import Team
from support.user_manifests import a_deployment, a_model

POLICY = "kingmaker-system-kingmaker-metadata"
OWN = "kingmaker.dev/deployment"
FORGED = [
    {"labels": {"kingmaker.dev/deployment-uid": "0"}},
    {"labels": {OWN: "churn"}},
    {"annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}},
    {"annotations": {"kopf.dev/progress": "{"}},
    {"annotations": {"kingmaker.dev/anything": ""}},
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda forged: next(iter(next(iter(forged.values())))))
def test_nobody_claims_what_the_operator_says(team: Team, forged: Document) -> None:
    (key,) = next(iter(forged.values()))
    for person in (team.modeller, team.owner, team.admin):
        for body in (a_model("forged", **forged), a_deployment("forged", metadata=forged)):
            refusal = person.cannot_create(body)
            assert refusal.policy == POLICY
            assert refusal.message == (
                f"{key}: set, changed or removed. Labels and annotations below kingmaker.dev/, kopf.dev/ and "
                "kopf.zalando.org/ belong to the operator: leave them out of a new object and as they are in an "
                "existing one. Yours to set is the label kingmaker.dev/family"
            )


def test_all_that_is_forged_is_named(team: Team) -> None:
    labels = {OWN: "a", "team": "growth"}
    refusal = team.modeller.cannot_create(a_model(labels=labels, annotations={"kopf.dev/a": "", "note": "mine"}))
    assert refusal.message.startswith(f"{OWN}, kopf.dev/a: ")


def test_people_label_as_they_like(team: Team) -> None:
    labels = {"kingmaker.dev/family": "churn", "team": "growth", "notkingmaker.dev/deployment": "a"}
    team.modeller.create(a_model("labelled", labels=labels, annotations={"example.com/kopf.dev": "a"}))
    team.modeller.patch("model/labelled", {"metadata": {"labels": {"kingmaker.dev/family": None, "more": "1"}}})
    assert team.modeller.cannot_patch("model/labelled", {"metadata": {"labels": {OWN: "churn"}}}).policy == POLICY


def test_what_the_operator_said_stays_as_it_is(team: Team) -> None:
    team.operator.create(a_model("produced", labels={OWN: "churn"}, annotations={"kopf.dev/old": "{}"}))
    for change in (None, "other"):
        refusal = team.modeller.cannot_patch("model/produced", {"metadata": {"labels": {OWN: change}}})
        assert refusal.message.startswith(f"{OWN}: set, changed or removed.")
    team.modeller.patch("model/produced", {"metadata": {"labels": {"team": "growth"}}})
    # What is of no use to anybody may be tidied away.
    team.modeller.patch("model/produced", {"metadata": {"annotations": {"kopf.dev/old": None}}})


def test_other_namespaces_are_not_its_business(team: Team) -> None:
    team.elsewhere().create(a_model("forged", labels={OWN: "churn"}))
