"""A number of pods that changes alone is written alone, and everything ends as if all of it had been applied."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.core.plan import Action, Apply, HandOver, Scale
from kingmaker.core.serving.children import write_objects
from kingmaker.core.serving.ownership import owns_replicas
from support.world import World, a_model, a_spec

BODY: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "ns"},
    "spec": {"replicas": 2, "template": {"image": "one"}},
}
SCALING = {"minReplicas": 2, "maxReplicas": 10, "targetCPUPercent": 70}


def entry(manager: str, operation: str, **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}}}, **more}


OURS = entry("kingmaker", "Apply")
SCALED = entry("kingmaker", "Update", subresource="scale")
THEIRS = entry("kubectl", "Update", subresource="scale")


def live(*managers: dict[str, Any], replicas: int = 2, image: str = "one") -> dict[str, Any]:
    meta = {**BODY["metadata"], "uid": "u", "managedFields": [*managers]}
    return {**BODY, "metadata": meta, "spec": {"replicas": replicas, "template": {"image": image}}}


def written(there: dict[str, Any], replicas: int | None) -> Action | None:
    spec = {key: value for key, value in BODY["spec"].items() if key != "replicas" or replicas is not None}
    body = {**BODY, "spec": spec | ({} if replicas is None else {"replicas": replicas})}
    found = write_objects({("Deployment", "d"): there}, [body])
    return found[0] if found else None


@pytest.mark.parametrize("owner", [OURS, SCALED, THEIRS], ids=["applied", "scaled", "theirs"])
def test_a_number_that_alone_is_different_is_written_alone(owner: dict[str, Any]) -> None:
    assert written(live(owner), 3) == Scale("d", "u", 3)


@pytest.mark.parametrize("owner", [OURS, SCALED, THEIRS], ids=["applied", "scaled", "theirs"])
def test_where_more_is_different_all_is_applied(owner: dict[str, Any]) -> None:
    assert isinstance(written(live(owner, image="two"), 3), Apply)
    assert isinstance(written(live(owner, image="two"), 2), Apply)


def test_a_number_that_is_right_is_not_written_again_whichever_way_it_was_written() -> None:
    assert written(live(OURS), 2) is None
    assert written(live(SCALED), 2) is None
    assert written(live(OURS, SCALED), 2) is None


def test_the_right_number_of_somebody_else_is_taken_over() -> None:
    # Scaling to the number that is there would change nothing, its owner neither.
    assert isinstance(written(live(THEIRS), 2), Apply)


def test_only_what_was_applied_has_to_be_handed_over() -> None:
    assert isinstance(written(live(OURS), None), HandOver)
    assert isinstance(written(live(OURS, SCALED), None), HandOver)
    assert written(live(SCALED), None) is None
    assert isinstance(written(live(SCALED, image="two"), None), Apply)


class Applying(World):
    """The same world, where the whole is applied instead of a number alone."""

    def _act(self, action: Action) -> None:
        if isinstance(action, Scale):
            now = self.objects["Deployment", action.name]
            action = Apply({**now, "spec": {**now["spec"], "replicas": action.replicas}})
        super()._act(action)


STEPS = st.lists(
    st.one_of(
        st.builds(lambda n: {"serving": {"replicas": n}}, st.integers(1, 4)),
        st.builds(lambda n, i: {"serving": {"replicas": n, "image": i}}, st.integers(1, 3), st.sampled_from("xy")),
        st.builds(lambda n: {"serving": {"autoscaling": SCALING | {"minReplicas": n}}}, st.integers(1, 4)),
        st.integers(1, 5),
    ),
    max_size=8,
)


def play(world: World, steps: list[Any], crashes: list[int]) -> dict[tuple[str, str], Any]:
    world.settle()
    for number, step in enumerate(steps):
        if isinstance(step, int):
            # Somebody scales it by hand.
            body: Any = world.objects["Deployment", "churn-a"]
            if body["spec"]["replicas"] != step:
                body["spec"]["replicas"] = step
                body["metadata"]["managedFields"] = [THEIRS]
        else:
            world.edit(**step)
        if number < len(crashes):
            world.step(crashes[number])
        world.settle()
    return {key: json.loads(json.dumps(body)) for key, body in world.objects.items()}


@settings(max_examples=150, deadline=None)
@given(STEPS, st.lists(st.integers(0, 3), max_size=4))
def test_whatever_is_scaled_and_applied_the_end_is_that_of_applies_alone(steps: list[Any], crashes: list[int]) -> None:
    models = {"a": a_model("a", "a")}
    scaled = play(World(a_spec(), dict(models)), steps, crashes)
    applied = play(Applying(a_spec(), dict(models)), steps, crashes)
    for body in (scaled["Deployment", "churn-a"], applied["Deployment", "churn-a"]):
        owned = body["metadata"].pop("managedFields")
        if not any(kind == "HorizontalPodAutoscaler" for kind, _ in scaled):
            assert owns_replicas({"metadata": {"managedFields": owned}})
        body["metadata"].pop("resourceVersion", None)
    assert scaled == applied
