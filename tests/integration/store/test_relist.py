"""The store at a real API server that goes away and forgets: it ends with what is there, and reads only to begin."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.connection import connect
from kingmaker.adapters.feeds import Feeds
from kingmaker.adapters.kinds import RESOURCES, kinds
from kingmaker.adapters.storedcluster import StoredCluster
from kingmaker.handlers.watcher import Watcher
from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ConflictError, UnavailableError
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker.kube.store import Store
from support.apiproxy import ApiProxy, running_api_proxy
from support.controlplane import ControlPlane
from support.manifests import a_model, a_seat

OURS = {"app.kubernetes.io/managed-by": "kingmaker"}


@dataclass
class Scene:
    """A store that is fed through a proxy, and an administrator who is not."""

    admin: KubeClient
    proxy: ApiProxy
    store: Store
    cluster: StoredCluster
    namespace: str
    synced: list[str] = field(default_factory=list)

    def path(self, kind: str, name: str = "") -> str:
        return RESOURCES[kind].path(self.namespace, name)

    async def create(self, kind: str, name: str) -> dict[str, Any]:
        body = self.body(kind, name)
        return await self.admin.create(self.path(kind), body)

    def body(self, kind: str, name: str) -> dict[str, Any]:
        match kind:
            case "Model":
                body = a_model(metadata__name=name)
            case "ModelDeployment":
                body = a_seat(metadata__name=name)
            case _:
                body = {
                    "apiVersion": "v1",
                    "kind": kind,
                    "metadata": {"name": name, "labels": OURS},
                    "data": {"n": "1"},
                }
        body["metadata"]["namespace"] = self.namespace
        return body

    async def delete(self, kind: str, name: str) -> None:
        await self.admin.delete(self.path(kind, name), {})

    def names(self, kind: str) -> dict[str, str]:
        return {b["metadata"]["name"]: b["metadata"]["uid"] for b in self.store.kinds[kind].all(self.namespace)}

    async def there(self, kind: str) -> dict[str, str]:
        listing = await self.admin.list(self.path(kind))
        items = [b for b in listing.items if b["metadata"]["name"] != "kube-root-ca.crt"]
        return {b["metadata"]["name"]: b["metadata"]["uid"] for b in items}

    async def in_step(self, kind: str, seconds: float = 40) -> None:
        wanted = await self.there(kind)
        await until(lambda: self.names(kind) == wanted, seconds)


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def fed(crds: ControlPlane, namespace: str, folder: Path, monkeypatch: Any) -> AsyncIterator[Scene]:
    async with (
        running_api_proxy(crds) as proxy,
        KubeClient(read_kubeconfig(crds.kubeconfig), agent="test") as admin,
    ):
        kubeconfig = proxy.kubeconfig(folder)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        async with await connect(str(kubeconfig)) as client:
            store = Store(kinds())
            scene = Scene(admin, proxy, store, StoredCluster(KubernetesCluster(client), store), namespace)
            feeds = Feeds(client, store, [namespace], synced=scene.synced.append)
            watcher = Watcher([namespace], feeds.seen, on_break=feeds.list_again)
            tasks = [asyncio.create_task(feeds.run()), asyncio.create_task(watcher.run())]
            try:
                yield scene
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await watcher.close()


@pytest.fixture
async def scene(crds: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    namespace = f"test-{secrets.token_hex(4)}"
    crds.kubectl("create", "namespace", namespace)
    async with fed(crds, namespace, tmp_path, monkeypatch) as scene:
        yield scene
    crds.kubectl("delete", "namespace", namespace, "--wait=false")


KINDS = ("Model", "ModelDeployment", "ConfigMap")


@pytest.mark.parametrize("forgetful", [True, False], ids=["relisted", "resumed"])
async def test_what_was_deleted_or_made_anew_during_an_outage_is_known_afterwards(
    scene: Scene, forgetful: bool
) -> None:
    for kind in KINDS:
        for name in ("stays", "goes", "again"):
            await scene.create(kind, name)
    await until(lambda: scene.synced == [scene.namespace])
    for kind in KINDS:
        await scene.in_step(kind)
    before = {kind: scene.names(kind) for kind in KINDS}
    # kopf has to be watching: only then is there a watch of its to break.
    await until(lambda: any("models" in line and "watch=true" in line for line in scene.proxy.requests))

    scene.proxy.go_down()
    for kind in KINDS:
        await scene.delete(kind, "goes")
        await scene.delete(kind, "again")
        await scene.create(kind, "again")
    assert {kind: scene.names(kind) for kind in KINDS} == before, "an outage keeps the store"
    scene.proxy.come_up(forgetful=forgetful)
    for kind in KINDS:
        await scene.in_step(kind)
        assert "goes" not in scene.names(kind)
        assert scene.names(kind)["again"] != before[kind]["again"]
        assert scene.names(kind)["stays"] == before[kind]["stays"]
    scene.proxy.remember()


async def test_the_last_one_that_was_deleted_during_an_outage_is_known_to_be_gone(scene: Scene) -> None:
    """kopf lists nothing then, so it tells of nothing: it is what the other watches lost that has it listed."""
    for kind in KINDS:
        await scene.create(kind, "only")
    for kind in KINDS:
        await scene.in_step(kind)
    scene.proxy.go_down()
    for kind in KINDS:
        await scene.delete(kind, "only")
    scene.proxy.come_up(forgetful=True)
    for kind in KINDS:
        await scene.in_step(kind)
        assert scene.names(kind) == {}
    scene.proxy.remember()


async def test_nothing_is_read_while_nothing_changes_and_own_writes_are_seen_at_once(scene: Scene) -> None:
    await scene.create("Model", "m")
    await until(lambda: scene.synced == [scene.namespace])
    await scene.in_step("Model")
    # What kopf's first list has asked for is over when both kinds were listed twice.
    await until(lambda: sum("/models?limit" in line and "watch" not in line for line in scene.proxy.reads()) >= 2)
    await asyncio.sleep(1.5)
    scene.proxy.requests.clear()
    for number in range(20):
        body = scene.body("ConfigMap", "ledger") | {"data": {"n": str(number)}}
        await scene.cluster.apply(body)
        known = await scene.cluster.get("ConfigMap", scene.namespace, "ledger")
        assert known is not None
        assert known["data"] == {"n": str(number)}
    await scene.cluster.delete("v1", "ConfigMap", scene.namespace, "ledger", known["metadata"]["uid"])
    assert await scene.cluster.get("ConfigMap", scene.namespace, "ledger") is None
    await scene.in_step("ConfigMap")
    assert await scene.cluster.list("ConfigMap", scene.namespace) == []
    assert scene.proxy.reads() == []


async def test_until_all_is_read_nothing_is_known(scene: Scene, tmp_path: Path) -> None:
    store = Store(kinds())
    async with await connect(str(scene.proxy.kubeconfig(tmp_path))) as client:
        cluster = StoredCluster(KubernetesCluster(client), store)
        with pytest.raises(UnavailableError, match="not read completely yet"):
            await cluster.get("Model", scene.namespace, "m")
        with pytest.raises(UnavailableError, match="not read completely yet"):
            await cluster.list("Pod", scene.namespace)


async def test_a_write_that_contradicts_the_store_makes_it_look(scene: Scene) -> None:
    created = await scene.create("Model", "m")
    await scene.in_step("Model")
    await until(lambda: scene.synced == [scene.namespace])
    scene.proxy.go_down()
    await scene.delete("Model", "m")
    again = await scene.create("Model", "m")
    # The watches stay refused: only answers to requests tell.
    status = {
        "apiVersion": created["apiVersion"],
        "kind": "Model",
        "metadata": {"name": "m", "namespace": scene.namespace, "uid": created["metadata"]["uid"]},
        "status": {"roles": []},
    }
    scene.proxy.come_up(forgetful=False)
    with pytest.raises(ConflictError):
        await scene.cluster.apply_status(status)
    known = await scene.cluster.get("Model", scene.namespace, "m")
    assert known is not None
    assert known["metadata"]["uid"] == again["metadata"]["uid"]
