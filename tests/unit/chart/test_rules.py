"""What the operator may do: little, and in one file that a cluster and a laptop share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "charts" / "kingmaker"
RULES: list[dict[str, Any]] = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())


def verbs(group: str, resource: str) -> set[str]:
    return {v for rule in RULES for v in rule["verbs"] if group in rule["apiGroups"] and resource in rule["resources"]}


def test_no_rule_has_a_wildcard_or_leaves_its_namespace() -> None:
    for rule in RULES:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize("resource", ["pods/exec", "serviceaccounts/token", "namespaces", "nodes"])
def test_what_the_operator_has_no_business_with_is_not_allowed(resource: str) -> None:
    assert not verbs("", resource)


def test_secrets_are_made_and_never_read() -> None:
    assert verbs("", "secrets") == {"create"}


@pytest.mark.parametrize("group", ["rbac.authorization.k8s.io", "apiextensions.k8s.io", "admissionregistration.k8s.io"])
def test_no_rule_touches_what_grants_rights(group: str) -> None:
    assert not any(group in rule["apiGroups"] for rule in RULES)


def test_spec_belongs_to_people() -> None:
    for resource in ("models", "modeldeployments"):
        assert not verbs("kingmaker.dev", resource) & {"update", "patch", "delete"}


def test_a_decision_is_never_changed() -> None:
    assert verbs("kingmaker.dev", "decisions") == {"get", "list", "watch", "create", "delete"}


def test_no_permission_is_named_twice() -> None:
    named = [(g, r) for rule in RULES for g in rule["apiGroups"] for r in rule["resources"]]
    assert len(named) == len(set(named))
