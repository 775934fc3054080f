"""Scaling a Deployment at a real API server: its account of who says how many pods is what the core relies on."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from kingmaker.adapters.clock import SystemClock
from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.kinds import RESOURCES, kinds
from kingmaker.adapters.storedcluster import StoredCluster
from kingmaker.core.manifests.objects import MANAGED
from kingmaker.core.plan import Action, Apply, Scale
from kingmaker.core.serving.children import write_objects
from kingmaker.core.serving.diff import contains
from kingmaker.core.serving.ownership import owns_replicas
from kingmaker.kube.client import APPLY, KubeClient
from kingmaker.kube.errors import ConflictError
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker.kube.store import Store
from kingmaker.writes import Writer
from support.controlplane import ControlPlane

FIXED: dict[str, tuple[int | None, str]] = {
    "five": (5, "one"),
    "two": (2, "one"),
    "image": (5, "two"),
    "autoscaled": (None, "one"),
}
"""What people want: a number of pods, None for an autoscaler's; an image."""
OTHERS = {"by hand": ("kubectl", 5), "autoscaler": ("kube-controller-manager", 3)}
"""Who else scales, and to what."""


@dataclass
class Site:
    """A store that is told what was written, and an administrator."""

    client: KubeClient
    cluster: StoredCluster
    writer: Writer
    namespace: str

    def body(self, name: str, wanted: tuple[int | None, str]) -> dict[str, Any]:
        replicas, image = wanted
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
        # Paused: no pods come of it.
        spec = {"paused": True, "selector": {"matchLabels": labels}, "template": template}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace, "labels": dict(MANAGED)},
            "spec": spec | ({} if replicas is None else {"replicas": replicas}),
        }

    async def settle(self, name: str, wanted: tuple[int | None, str], *, applies: bool) -> list[Action]:
        """Write until nothing has to be; with `applies` always all of it. Give what was done."""
        body, done = self.body(name, wanted), list[Action]()
        for _ in range(4):
            actions = await self.missing(name, body)
            if not actions:
                return done
            for action in actions:
                chosen = Apply(body) if applies and isinstance(action, Scale) else action
                await self.writer.act([chosen], self.namespace, None)
                done.append(chosen)
            # What was written is known at once.
            assert await self.missing(name, body) == ()
            await self.cluster.get_live("Deployment", self.namespace, name)
        raise AssertionError(f"{name} goes on being written: {done}")

    async def missing(self, name: str, body: dict[str, Any]) -> tuple[Action, ...]:
        live = await self.cluster.get("Deployment", self.namespace, name)
        return write_objects({("Deployment", name): live} if live else {}, [body])

    async def scale(self, name: str, manager: str, replicas: int) -> None:
        path = RESOURCES["Deployment"].path(self.namespace, name)
        await self.client.patch(f"{path}/scale", {"spec": {"replicas": replicas}}, params={"fieldManager": manager})
        await self.cluster.get_live("Deployment", self.namespace, name)


@pytest.fixture
async def site(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Site]:
    async with KubeClient(read_kubeconfig(control_plane.kubeconfig), agent="test") as client:
        store = Store({"Deployment": kinds()["Deployment"]})
        store.replace("Deployment", "", [], "1")
        cluster = StoredCluster(KubernetesCluster(client), store)
        yield Site(client, cluster, Writer(cluster, SystemClock()), namespace)


async def play(site: Site, name: str, steps: tuple[str, ...], *, applies: bool) -> tuple[dict[str, Any], list[Action]]:
    """Let people and others do something one after the other; give the Deployment's spec in the end, and all writes."""
    wanted = FIXED["two"]
    done = await site.settle(name, wanted, applies=applies)
    for step in steps:
        wanted = FIXED.get(step, wanted)
        if step in OTHERS:
            await site.scale(name, *OTHERS[step])
        done += await site.settle(name, wanted, applies=applies)
    live = await site.client.get(RESOURCES["Deployment"].path(site.namespace, name))
    assert contains(live, site.body(name, wanted))
    assert owns_replicas(live) or wanted[0] is None
    return live["spec"], done


async def test_whatever_is_scaled_and_applied_the_end_is_that_of_applies_alone(site: Site) -> None:
    async def compare(number: int, steps: tuple[str, ...]) -> int:
        scaled, writes = await play(site, f"d{number}", steps, applies=False)
        applied, _ = await play(site, f"e{number}", steps, applies=True)
        for spec in (scaled, applied):
            del spec["selector"], spec["template"]["metadata"]
        assert scaled == applied, steps
        return sum(isinstance(action, Scale) for action in writes)

    # Each step after and before each other one, many triples among them.
    every = [*itertools.product([*FIXED, *OTHERS], repeat=3)][::5]
    counts: list[int] = []
    for begin in range(0, len(every), 8):
        some = enumerate(every[begin : begin + 8], begin)
        counts += await asyncio.gather(*(compare(number, steps) for number, steps in some))
    assert sum(counts) > 20


async def test_gitops_sees_no_difference_and_others_a_conflict(site: Site, control_plane: ControlPlane) -> None:
    await site.settle("d", (2, "one"), applies=False)
    assert await site.settle("d", (4, "one"), applies=False) == [Scale("d", await uid(site, "d"), 4)]
    path, body = RESOURCES["Deployment"].path(site.namespace, "d"), site.body("d", (4, "one"))
    # The next whole apply writes nothing.
    before = await site.client.get(path)
    dry = await site.client.patch(path, body, kind=APPLY, params={"fieldManager": "kingmaker", "dryRun": "All"})
    assert dry["spec"] == before["spec"]
    assert dry["metadata"]["generation"] == before["metadata"]["generation"]
    # The number has an owner: whoever wants another one is told so.
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 9}}
    with pytest.raises(ConflictError, match=r'"kingmaker" with subresource "scale"'):
        await site.client.patch(path, theirs, kind=APPLY, params={"fieldManager": "argocd"})


async def test_only_the_deployment_that_is_meant_is_scaled(site: Site) -> None:
    await site.settle("d", (2, "one"), applies=False)
    old, path = await uid(site, "d"), RESOURCES["Deployment"].path(site.namespace, "d")
    await site.client.delete(path, {"propagationPolicy": "Background"})
    with pytest.raises(ConflictError, match="is gone"):
        await site.cluster.scale(site.namespace, "d", old, 7)
    assert await site.cluster.get("Deployment", site.namespace, "d") is None

    again = await site.client.create(RESOURCES["Deployment"].path(site.namespace), site.body("d", (3, "one")))
    with pytest.raises(ConflictError, match=old):
        await site.cluster.scale(site.namespace, "d", old, 7)
    # It looked, so the next pass knows.
    assert await uid(site, "d") == again["metadata"]["uid"]
    assert (await site.client.get(path))["spec"]["replicas"] == 3


async def uid(site: Site, name: str) -> str:
    live = await site.cluster.get("Deployment", site.namespace, name)
    assert live is not None
    return str(live["metadata"]["uid"])
