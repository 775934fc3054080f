"""The pass about a namespace: one at a time, and what is read last is what routers are told last."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kingmaker.adapters.clock import SystemClock
from kingmaker.namespaces import Namespaces
from kingmaker.ports import UnavailableError
from kingmaker.writes import Writer
from support.toldrouters import ToldRouters
from support.world import RULES

Body = Mapping[str, Any]
Bodies = list[Body]


class Shelf:
    """An API server that has router pods and ModelDeployments, and answers a list when it is let."""

    def __init__(self) -> None:
        self.pods: list[str] = []
        self.deployments = ["a"]
        self.live: list[str] | None = None
        self.let = asyncio.Event()
        self.let.set()
        self.applied: list[str] = []
        self.deleted: list[str] = []
        self.objects: dict[tuple[str, str], Body] = {}
        self.away = False

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> Bodies:
        del labels
        if self.away:
            raise UnavailableError("away")
        found = self._found(kind, namespace)
        await self.let.wait()
        return found

    async def list_live(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> Bodies:
        del labels
        if self.live is not None:
            self.deployments = self.live
        return self._found(kind, namespace)

    def _found(self, kind: str, namespace: str) -> Bodies:
        if kind == "Pod":
            return [{"metadata": {"name": p, "namespace": namespace}, "status": {"podIP": p}} for p in self.pods]
        names = self.deployments if kind == "ModelDeployment" else []
        return [{"metadata": {"name": name, "namespace": namespace}} for name in names]

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        del namespace
        return self.objects.get((kind, name))

    get_live = holder = get

    async def apply(self, body: Body) -> Body:
        meta = body["metadata"]
        self.applied.append(meta["name"])
        self.objects[body["kind"], meta["name"]] = {**body, "metadata": meta | {"uid": "1"}}
        return body

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:
        del api_version, namespace, uid
        self.deleted.append(name)
        del self.objects[kind, name]


def a_pass(shelf: Shelf) -> tuple[Namespaces, ToldRouters]:
    told, clock = ToldRouters(), SystemClock()
    return Namespaces(shelf, Writer(shelf, clock), told, clock, RULES), told  # type: ignore[arg-type]  # what is used


async def test_what_was_read_earlier_never_overwrites_what_was_read_later() -> None:
    shelf = Shelf()
    namespaces, told = a_pass(shelf)
    shelf.pods = ["10.0.0.1"]
    shelf.let.clear()
    slow = asyncio.create_task(namespaces.reconcile("team"))
    await asyncio.sleep(0)
    shelf.pods = ["10.0.0.2"]
    quick = asyncio.create_task(namespaces.reconcile("team"))
    await asyncio.sleep(0)
    shelf.let.set()
    await asyncio.gather(slow, quick)
    assert [pod.address for pod in told.pods["team"]] == ["10.0.0.2"]


async def test_it_is_gone_through_once_for_all_who_wait_and_again_after_a_failure() -> None:
    shelf = Shelf()
    namespaces, told = a_pass(shelf)
    shelf.away = True
    with pytest.raises(UnavailableError):
        await namespaces.prepare("team")
    shelf.away = False
    await asyncio.gather(*(namespaces.prepare("team") for _ in range(5)))
    assert len(shelf.applied) == len(set(shelf.applied)) + 2  # the router's name is that of three objects
    assert told.deployments["team"] == {"a"}


async def test_who_comes_while_the_namespace_is_emptied_keeps_what_is_shared() -> None:
    shelf = Shelf()
    namespaces, _ = a_pass(shelf)
    await namespaces.reconcile("team")
    shelf.deployments, shelf.live = [], ["b"]
    await namespaces.reconcile("team")
    assert shelf.deleted == []
    shelf.deployments, shelf.live = [], None
    await namespaces.reconcile("team")
    assert set(shelf.deleted) == {"kingmaker-router", "kingmaker-jobs", "kingmaker-workload"}


async def test_an_empty_namespace_is_forgotten_and_prepared_anew_for_whoever_comes() -> None:
    shelf = Shelf()
    namespaces, told = a_pass(shelf)
    await namespaces.prepare("team")
    shelf.deployments = []
    await namespaces.reconcile("team")
    assert told.forgotten == []
    assert await namespaces.reconcile("team") is None
    assert told.forgotten == ["team"]
    shelf.deployments = ["a"]
    shelf.applied.clear()
    await namespaces.prepare("team")
    assert "kingmaker-workload" in shelf.applied
