"""Whatever the operator may write, the API server lets only the leader write."""

import yaml

from kingmaker.adapters.connection import FENCE
from kingmaker.core.manifests.objects import MANAGED
from support.leaderpolicy import CHART, POLICY, leader_policy, lease_rules

DOCUMENTS = {d["metadata"]["name"]: d for d in yaml.safe_load_all(leader_policy())}
SPEC = DOCUMENTS[POLICY]["spec"]
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def matched(rules: list[dict]) -> set[tuple[str, str]]:
    return {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}


def test_every_right_to_write_is_fenced_but_that_to_tell() -> None:
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    writing = matched([rule for rule in rules if WRITES & set(rule["verbs"])])
    assert matched(SPEC["matchConstraints"]["resourceRules"]) == writing - {("", "events")}


def test_every_way_to_write_is_fenced() -> None:
    for rule in SPEC["matchConstraints"]["resourceRules"]:
        assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]
        assert rule["apiVersions"] == ["*"]


def test_the_lease_itself_is_not_fenced() -> None:
    assert "coordination.k8s.io" not in str(SPEC["matchConstraints"])
    names = [rule.get("resourceNames") for rule in lease_rules() if set(rule["verbs"]) != {"create"}]
    bindings = [d["spec"]["paramRef"] for name, d in DOCUMENTS.items() if name != POLICY]
    assert names == [["kingmaker"]]
    assert {b["name"] for b in bindings} == {"kingmaker"}


def test_a_missing_lease_holds_up_nobody_who_collects() -> None:
    records = DOCUMENTS[f"{POLICY}-records"]["spec"]
    objects = DOCUMENTS[f"{POLICY}-objects"]["spec"]
    assert records["paramRef"]["parameterNotFoundAction"] == "Deny"
    assert all("DELETE" not in rule["operations"] for rule in records["matchResources"]["resourceRules"])
    assert objects["paramRef"]["parameterNotFoundAction"] == "Allow"
    assert objects["matchResources"]["objectSelector"]["matchLabels"] == MANAGED
    scale = DOCUMENTS[f"{POLICY}-scale"]["spec"]
    assert scale["paramRef"]["parameterNotFoundAction"] == "Allow"


def test_the_operator_knows_the_refusal_by_the_policys_name() -> None:
    said = f"forbidden: ValidatingAdmissionPolicy '{POLICY}' with binding 'b' denied request: not the leader"
    assert FENCE.search(said)
    assert not FENCE.search(said.replace(POLICY, POLICY.replace("leader", "images")))
