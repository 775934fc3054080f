"""The node: one worker per pod that is bound to it, fed by one watch."""

import asyncio
import logging
from typing import Any, Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker.kube.reflector import LocalCopy, Reflector
from kingmaker_laptop.node.addresses import Addresses, NoAddressError
from kingmaker_laptop.node.checks import Checks
from kingmaker_laptop.node.endpoint import Endpoint
from kingmaker_laptop.node.events import EventRecorder, Subject
from kingmaker_laptop.node.leftovers import end_leftovers
from kingmaker_laptop.node.podfolder import PodFolder, PodState
from kingmaker_laptop.node.podspec import PodSpec, parse_pod
from kingmaker_laptop.node.proxychild import ProxyChild
from kingmaker_laptop.node.registration import Registration, machine_resources
from kingmaker_laptop.node.settings import Settings
from kingmaker_laptop.node.sources import SourceWatches
from kingmaker_laptop.node.states import Ending
from kingmaker_laptop.node.times import parse_time, utc_now
from kingmaker_laptop.node.tls import server_context
from kingmaker_laptop.node.tools import HOST_IP, NodeTools
from kingmaker_laptop.node.worker import PodWorker

logger = logging.getLogger(__name__)

Document = dict[str, Any]

_COMPONENT: Final = "kingmaker-node"


async def run_node(settings: Settings, stop: asyncio.Event) -> None:
    """Be the node until `stop` is set; then end every pod's processes."""
    resources = machine_resources(settings.folder, max_pods=settings.max_pods)
    connection = read_kubeconfig(settings.kubeconfig)
    async with KubeClient(connection, agent=_COMPONENT) as client, Checks() as checks:
        events = EventRecorder(client, component=_COMPONENT, host=settings.name)
        watches = SourceWatches(client)
        agent = Agent(NodeTools(client, settings, events, checks, watches, resources))
        endpoint = Endpoint(agent.find)
        tls = server_context(settings.folder, node=settings.name, client_authority=settings.client_authority)
        port = await endpoint.start(settings.port, tls)
        registration = Registration(client, name=settings.name, resources=resources, port=port)
        proxy = ProxyChild(settings) if settings.has_proxy else None
        tasks = [asyncio.create_task(work) for work in (events.run(), _register(registration), agent.watch())]
        if proxy is not None:
            tasks.append(asyncio.create_task(proxy.run()))
        stopped = asyncio.create_task(stop.wait())
        logger.info("node %s runs; kubelet endpoint on port %d", settings.name, port)
        try:
            ended, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stopped not in ended:  # A task that ends by itself is a bug: show it, don't limp on.
                await next(iter(ended))
            logger.info("node %s stops", settings.name)
            await asyncio.gather(agent.halt(), registration.retire())
        finally:
            if proxy is not None:
                proxy.terminate()
            for task in [*tasks, stopped]:
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
            await agent.close()
            await watches.close()
            await endpoint.close()


async def _register(registration: Registration) -> None:
    await registration.register()
    await registration.run()


class Agent:
    """All pods of the node."""

    def __init__(self, tools: NodeTools) -> None:
        self._tools = tools
        self._pods = tools.settings.folder / "pods"
        self._pods.mkdir(mode=0o700, exist_ok=True)
        self._addresses = Addresses(tools.settings.pod_network, tools.settings.folder / "addresses.json")
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._finished: set[str] = set()
        self._is_first_list = True
        self._is_halted = False
        for folder in self._folders():
            state = folder.read_state()
            if state is not None:
                self._addresses.claim(state.ip)

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod."""
        found = (one for one in self._workers.values() if (one.pod.namespace, one.pod.name) == (namespace, name))
        return next(found, None)

    async def watch(self) -> None:
        """Follow the pods that are bound to this node."""
        selector = {"fieldSelector": f"spec.nodeName={self._tools.settings.name}"}
        copy = LocalCopy(self._changed, self._synced)
        await Reflector(self._tools.client, "/api/v1/pods", copy, params=selector).run()

    async def halt(self) -> None:
        """End all pods' processes within the node's own grace period."""
        self._is_halted = True
        grace = self._tools.settings.stop_grace_seconds
        await asyncio.gather(*(worker.halt(grace) for worker in self._workers.values()))

    async def close(self) -> None:
        """Stop caring for pods; what runs goes on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _changed(self, item: Document, is_gone: bool) -> None:
        uid = item["metadata"]["uid"]
        worker = self._workers.get(uid)
        if is_gone:
            self._finished.discard(uid)
            if worker is not None:
                worker.remove()
        elif worker is not None:
            worker.update(parse_pod(item))
        elif uid not in self._finished and not self._is_halted:
            self._arrive(parse_pod(item))

    def _arrive(self, pod: PodSpec) -> None:
        folder = PodFolder(self._pods / pod.uid)
        try:
            state = folder.read_state() or self._first_state(pod)
        except NoAddressError as error:
            self._tools.events.warning(_subject(pod), "FailedCreatePodSandBox", str(error))
            asyncio.get_running_loop().call_later(1, self._arrive_again, pod)
            return
        folder.create()
        folder.write_state(state)

        def done() -> None:
            self._addresses.release(state.ip)
            self._workers.pop(pod.uid, None)
            self._tasks.pop(pod.uid, None)
            self._finished.add(pod.uid)

        worker = PodWorker(pod, folder=folder, state=state, tools=self._tools, on_done=done)
        self._workers[pod.uid] = worker
        self._tasks[pod.uid] = asyncio.create_task(worker.run(), name=f"pod {pod.namespace}/{pod.name}")

    def _arrive_again(self, pod: PodSpec) -> None:
        if pod.uid not in self._workers and not self._is_halted:
            self._arrive(pod)

    def _first_state(self, pod: PodSpec) -> PodState:
        status = pod.document.get("status") or {}
        started_at = parse_time(status["startTime"]) if status.get("startTime") else utc_now()
        ip = HOST_IP if pod.is_host_network else status.get("podIP") or self._addresses.take()
        self._addresses.claim(ip)
        ending = None
        if status.get("phase") == "Failed":  # Decided before our memory was lost, or by somebody else.
            ending = Ending(status.get("reason", ""), status.get("message", ""), is_failure=True)
        return PodState(pod.namespace, pod.name, ip, started_at, ending)

    def _synced(self) -> None:
        """After the first whole list: what is on disk but not in the API has been deleted while no node ran."""
        if not self._is_first_list:
            return
        self._is_first_list = False
        for folder in self._folders():
            if folder.uid not in self._workers:
                self._tasks[folder.uid] = asyncio.create_task(self._end_leftover(folder))

    async def _end_leftover(self, folder: PodFolder) -> None:
        state = folder.read_state()
        await end_leftovers(folder)
        if state is not None:
            self._addresses.release(state.ip)
        self._tasks.pop(folder.uid, None)

    def _folders(self) -> list[PodFolder]:
        return [PodFolder(path) for path in self._pods.iterdir() if path.is_dir()]


def _subject(pod: PodSpec) -> Subject:
    return Subject("Pod", pod.namespace, pod.name, pod.uid)
