"""Follow Services and Pods, and keep the listeners in step with them."""

import asyncio
import logging
from typing import Any, Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.reflector import LocalCopy, Reflector
from kingmaker_laptop.node.events import EventRecorder, Subject
from kingmaker_laptop.proxy.listeners import Listeners
from kingmaker_laptop.proxy.routes import Problem, build_routes

logger = logging.getLogger(__name__)

Document = dict[str, Any]

_RETRY_SECONDS: Final = 0.1


class ServiceProxy:
    """Forwards every Service of the cluster."""

    def __init__(self, client: KubeClient, events: EventRecorder, *, node: str) -> None:
        self._client = client
        self._events = events
        # A node's credentials list the pods of that node only; no others can be reached from this machine anyway.
        self._selectors = {"pods": {"fieldSelector": f"spec.nodeName={node}"}}
        self._listeners = Listeners()
        self._services: dict[str, dict[str, Document]] = {}
        self._pods: dict[str, dict[str, Document]] = {}
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self._synced: set[str] = set()
        self._reported: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Forward until cancelled. An API server that is away changes nothing."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow("services", self._services))
                group.create_task(self._follow("pods", self._pods))
                group.create_task(self._keep_in_step())
        finally:
            self._listeners.close()

    async def _follow(self, collection: str, store: dict[str, dict[str, Document]]) -> None:
        def changed(item: Document, is_gone: bool) -> None:
            metadata = item["metadata"]
            of_namespace = store.setdefault(metadata["namespace"], {})
            if is_gone:
                of_namespace.pop(metadata["uid"], None)
            else:
                of_namespace[metadata["uid"]] = item
            self._mark(metadata["namespace"])

        def synced() -> None:
            self._synced.add(collection)
            for namespace in self._services:
                self._mark(namespace)

        await Reflector(
            self._client,
            f"/api/v1/{collection}",
            LocalCopy(changed, synced),
            params=self._selectors.get(collection),
        ).run()

    def _mark(self, namespace: str) -> None:
        self._dirty.add(namespace)
        self._changed.set()

    async def _keep_in_step(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._synced != {"services", "pods"}:
                continue  # Services without their pods would look as if nothing were ready.
            dirty, self._dirty = self._dirty, set()
            for namespace in dirty:
                await self._show(namespace)

    async def _show(self, namespace: str) -> None:
        services = self._services.get(namespace, {})
        routes, problems = build_routes(services.values(), self._pods.get(namespace, {}).values())
        for problem in problems:
            self._report(problem)
        failures = await self._listeners.show(namespace, routes)
        for route, error in failures:
            logger.warning("%s can't be served at %s:%d: %s", route.service, *route.listen, error)
        if failures:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._mark, namespace)

    def _report(self, problem: Problem) -> None:
        metadata = problem.service["metadata"]
        key = (metadata["uid"], problem.message)
        if key not in self._reported:
            self._reported.add(key)
            subject = Subject("Service", metadata["namespace"], metadata["name"], metadata["uid"])
            self._events.warning(subject, "PortNotServed", problem.message)


async def run_proxy(client: KubeClient, *, node: str) -> None:
    """Run the proxy with its events until cancelled."""
    events = EventRecorder(client, component="kingmaker-proxy", host=node)
    async with asyncio.TaskGroup() as group:
        group.create_task(events.run())
        group.create_task(ServiceProxy(client, events, node=node).run())
