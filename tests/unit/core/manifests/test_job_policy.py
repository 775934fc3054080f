"""The one NetworkPolicy for Jobs: whom it means, and that nobody gets in."""

from typing import Any

import pytest

from kingmaker.core.manifests.policies import job_network_policy
from kingmaker.core.manifests.serving import variant_deployment
from kingmaker.core.manifests.verification import verify_job
from support.every_manifest import SETTINGS, a_full_deployment, a_full_model, a_retrain_job

POLICY = job_network_policy("team", settings=SETTINGS)


def is_meant(body: dict[str, Any]) -> bool:
    """Whether the policy selects the pods of an object's template."""
    labels, selector = body["spec"]["template"]["metadata"]["labels"], POLICY["spec"]["podSelector"]
    named = all(labels.get(e["key"]) in e["values"] for e in selector["matchExpressions"])
    return named and selector["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (verify_job(a_full_model(), settings=SETTINGS), True),
        (a_retrain_job(a_full_deployment()), True),
        (variant_deployment(a_full_deployment(), a_full_model(), replicas=1, settings=SETTINGS), False),
    ],
    ids=["verify", "retrain", "serve"],
)
def test_it_means_the_pods_of_jobs_alone(body: dict[str, Any], expected: bool) -> None:
    assert is_meant(body) is expected


def test_nobody_gets_in() -> None:
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in POLICY["spec"]
