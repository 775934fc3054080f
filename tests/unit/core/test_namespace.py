"""What a namespace has once: made for the first who needs it, removed after the last, owned by nobody."""

from dataclasses import replace
from typing import Any

import pytest

from kingmaker.core.manifests.router import RouterContainer
from kingmaker.core.namespace import SHARED, ObservedNamespace, decide_namespace
from kingmaker.core.plan import Action, Apply, Scale
from support.every_manifest import SETTINGS

ENVOY = RouterContainer(("--config-yaml", "{}"))
FOR_JOBS = {("ServiceAccount", "kingmaker-workload"), ("NetworkPolicy", "kingmaker-jobs")}
NOBODY = ObservedNamespace("team")
MODELS = replace(NOBODY, models=frozenset({"m"}))
ALL = replace(MODELS, deployments=frozenset({"a", "b"}))


def plan_of(observed: ObservedNamespace, **settings: Any) -> tuple[list[tuple[str, str]], set[tuple[str, str]]]:
    """What is written, in this order, and what is removed."""
    plan = decide_namespace(observed, replace(SETTINGS, **settings), ENVOY)
    return [*map(_written, plan.writes)], {(r.kind, r.name) for r in plan.removals}


def _written(action: Action) -> tuple[str, str]:
    assert isinstance(action, Apply | Scale)
    if isinstance(action, Scale):
        return "Deployment", action.name
    return action.body["kind"], action.body["metadata"]["name"]


def with_shared(observed: ObservedNamespace, **metadata: Any) -> ObservedNamespace:
    """The namespace with everything that it may share, as it was applied."""
    bodies = [a.body for a in decide_namespace(ALL, SETTINGS, ENVOY).writes if isinstance(a, Apply)]
    live = [dict(body, metadata=body["metadata"] | {"uid": "u"} | metadata) for body in bodies]
    managed = {"manager": "kingmaker", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    for body in live:
        body["metadata"] = {"managedFields": [managed]} | body["metadata"]
    return replace(observed, shared={(b["kind"], b["metadata"]["name"]): b for b in live})


def test_a_deployment_needs_everything_and_the_router_comes_last() -> None:
    written, removed = plan_of(ALL)
    assert set(written) == set(SHARED)
    assert written[-1] == ("Deployment", "kingmaker-router")
    assert not removed


def test_a_model_needs_what_its_jobs_need() -> None:
    assert set(plan_of(MODELS)[0]) == FOR_JOBS


def test_what_is_as_it_should_be_is_not_written() -> None:
    assert plan_of(with_shared(ALL)) == ([], set())


@pytest.mark.parametrize(
    ("left", "removed"),
    [(ALL, set()), (MODELS, set(SHARED) - FOR_JOBS), (NOBODY, set(SHARED))],
    ids=["all", "models", "nobody"],
)
def test_what_nobody_uses_any_more_is_removed(left: ObservedNamespace, removed: set[tuple[str, str]]) -> None:
    assert plan_of(with_shared(left)) == ([], removed)


def test_what_earlier_releases_gave_to_all_deployments_is_applied_without_owners() -> None:
    owner = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "name": "a", "uid": "1"}
    observed = with_shared(ALL, ownerReferences=[owner])
    plan = decide_namespace(observed, SETTINGS, ENVOY)
    assert len(plan.writes) == len(SHARED)
    assert all("ownerReferences" not in a.body["metadata"] for a in plan.writes if isinstance(a, Apply))


def test_somebody_elses_object_is_never_removed_and_its_name_is_looked_at_before_it_is_written() -> None:
    theirs = with_shared(ALL, labels={})
    assert plan_of(replace(theirs, deployments=frozenset(), models=frozenset())) == ([], set())
    assert all(a.is_new for a in decide_namespace(theirs, SETTINGS, ENVOY).writes if isinstance(a, Apply))


def test_a_budget_for_a_single_router_is_removed() -> None:
    written, removed = plan_of(with_shared(ALL), router_replicas=1)
    assert written == [("Deployment", "kingmaker-router")]
    assert removed == {("PodDisruptionBudget", "kingmaker-router")}
