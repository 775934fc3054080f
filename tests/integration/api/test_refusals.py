"""What can't work is refused by the real API server, with a sentence that says what to do."""

from typing import Any

import pytest

from kingmaker.kube.errors import ApiError
from support.badmanifests import ALL
from support.manifests import a_decision, a_model, a_retraining_seat, a_seat

from .conftest import Create

MEASURES: dict[str, dict[str, Any]] = {
    "ErrorRate": {"absoluteMargin": "0.001", "reference": {"maximum": "0.02"}},
    "Cost": {"costs": {"falseNegative": "50", "falsePositive": "1"}, "absoluteMargin": "2"},
    "Recall": {"ofClass": "fraud", "reference": {"minimum": "0.8"}},
    "Precision": {"guardrails": {"classes": {"margin": "0.1"}}},
    "BalancedError": {},
    "LogLoss": {},
    "Brier": {},
    "AbsoluteError": {"clip": "100"},
    "SquaredError": {"clip": "0.5", "reference": {"maximum": "0.1"}},
}
MEASURED = [a_seat(contest__verdict={"measure": measure} | more) for measure, more in MEASURES.items()]
BROKEN = [pytest.param(body, words, id=what) for what, body, words in ALL]


def test_the_table_is_long_enough() -> None:
    assert len(BROKEN) >= 60


@pytest.mark.parametrize(("body", "words"), BROKEN)
async def test_a_bad_manifest_is_refused_with_a_sentence(body: dict[str, Any], words: str, try_create: Create) -> None:
    with pytest.raises(ApiError) as refused:
        await try_create(body)
    assert refused.value.status in {400, 422}
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [a_model(), a_seat(), a_retraining_seat(), a_decision(), *MEASURED],
    ids=["Model", "ModelDeployment", "retraining", "Decision", *MEASURES],
)
async def test_what_the_bad_ones_are_made_from_is_accepted(body: dict[str, Any], try_create: Create) -> None:
    await try_create(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (a_model(artifact__mirror="s3://b/c"), "spec.artifact.mirror"),
        (a_seat(routing__mode="Envoy"), "spec.routing.mode"),
        (a_seat(serving__hostNetwork=True), "spec.serving.hostNetwork"),
        (a_seat(monitoring__source="Prometheus"), "spec.monitoring.source"),
        (
            a_seat(contest__verdict__guardrails={"errors": {"maximum": 1}}),
            "spec.contest.verdict.guardrails.errors.maximum",
        ),
        (a_retraining_seat(template__serviceAccountName="admin"), "spec.retraining.template.serviceAccountName"),
        (a_decision(mood="good"), "spec.mood"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_field_that_is_not_honoured_is_not_accepted(
    body: dict[str, Any], field: str, try_create: Create
) -> None:
    with pytest.raises(ApiError) as refused:
        await try_create(body)
    assert f'unknown field "{field}"' in str(refused.value)
