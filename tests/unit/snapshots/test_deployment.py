"""Which Models a snapshot of one ModelDeployment has."""

from collections.abc import Mapping
from typing import Any

from kingmaker.adapters.clock import SystemClock
from kingmaker.core.observed import ObservedRouter
from kingmaker.ports import Key
from kingmaker.snapshots.deployment import DeploymentSnapshots
from support.world import World, a_model, a_spec
from unit.core.retraining.test_retraining_runs import RETRAINING


class Objects:
    """A cluster that has these objects, and a router that knows nothing."""

    def __init__(self, *bodies: Mapping[str, Any]) -> None:
        self._bodies = {(body["kind"], body["metadata"]["name"]): body for body in bodies}
        self.untold: dict[tuple[str, str], Mapping[str, Any]] = {}
        """What is there as well, though no watch has told of it yet."""
        self.sought: list[str] = []

    async def get(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self._bodies.get((kind, name))

    async def get_live(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.sought.append(name)
        return self.untold.get((kind, name))

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Any]:
        return []

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        return ()


async def models_of(spec: dict[str, Any], *names: str) -> set[str]:
    deployment = World(spec, {}).deployment.manifest()
    objects: Any = Objects(deployment, *(a_model(name, "f", family="else").manifest() for name in names))
    snapshot = await DeploymentSnapshots(objects, SystemClock(), objects).observe(Key("ModelDeployment", "ns", "churn"))
    assert snapshot is not None
    return set(snapshot.observed.models)


async def test_models_that_have_the_next_runs_name_are_seen_until_one_is_free() -> None:
    spec = a_spec(retraining=RETRAINING)
    assert await models_of(spec, "a", "churn-r1", "churn-r2", "churn-r4") == {"a", "churn-r1", "churn-r2"}


async def test_without_retraining_nobodys_names_matter() -> None:
    assert await models_of(a_spec(), "a", "churn-r1") == {"a"}


async def test_a_model_of_which_no_watch_told_yet_is_not_said_to_be_missing() -> None:
    key = Key("ModelDeployment", "ns", "churn")
    objects: Any = Objects(World(a_spec(), {}).deployment.manifest())
    objects.untold["Model", "a"] = a_model("a", "f").manifest()
    snapshots = DeploymentSnapshots(objects, SystemClock(), objects)
    snapshot = await snapshots.observe(key)
    assert snapshot is not None
    assert set(snapshot.observed.models) == {"a"}


async def test_a_model_that_is_missing_is_looked_for_once() -> None:
    key = Key("ModelDeployment", "ns", "churn")
    objects: Any = Objects(World(a_spec(), {}).deployment.manifest())
    snapshots = DeploymentSnapshots(objects, SystemClock(), objects)
    for _ in range(3):
        snapshot = await snapshots.observe(key)
        assert snapshot is not None
        assert not snapshot.observed.models
    assert objects.sought == ["a"]
    snapshots.forget(key)
    await snapshots.observe(key)
    assert objects.sought == ["a", "a"]
