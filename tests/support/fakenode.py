"""A node that starts no process: pods are ready at once, verify Jobs find what they should, and counts move as told.

It stands in for kubelets where hundreds of pods are needed and only the operator is looked at.
"""

import asyncio
import hashlib
import ipaddress
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from kingmaker.kube.client import STRATEGIC, KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.reflector import LocalCopy, Reflector
from kingmaker_laptop.node.registration import Registration
from kingmaker_laptop.node.times import format_time, utc_now
from support.fakecounts import BASELINE_ROWS, FEATURES, baseline_document
from support.fakerouter import FakeRouter
from support.faketraffic import Traffic, serving_pod

Pod = dict[str, Any]

NAME = "fake"
RESOURCES = {"cpu": "10000", "memory": "10000Gi", "ephemeral-storage": "10000Gi", "pods": "10000"}
WORKERS = 32
MANAGEMENT_PORT = 8082
_AGAIN_SECONDS = 0.5


class FakeNode:
    """A node's work, without the work.

    Args:
        client: Of an administrator.
        name: Of the Node.
        network: Loopback network from which pods get their addresses.
        xds_port: Where the operator listens for routers, on 127.0.0.1; 0 where there is none, and routers are ready
            without it.
        folder: For the routers' sockets; its path must be short.
    """

    def __init__(self, client: KubeClient, *, name: str, network: str, xds_port: int, folder: Path) -> None:
        self._client = client
        self._name = name
        self._addresses = ipaddress.ip_network(network).hosts()
        self._xds_port = xds_port
        self._folder = folder
        self._queue: asyncio.Queue[Pod] = asyncio.Queue()
        self._started: dict[str, str] = {}
        self.traffic = Traffic()
        self.ready_pods = 0
        """Pods that came up or succeeded, as far as the API server was told."""
        self._routers: dict[str, asyncio.Task[None]] = {}
        self._sites: dict[str, web.TCPSite] = {}
        application = web.Application()
        application.router.add_get("/profile", self._profile)
        application.router.add_get("/baseline", self._baseline)
        self._runner = web.AppRunner(application, access_log=None)

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Be a node until cancelled."""
        registration = Registration(self._client, name=self._name, resources=RESOURCES, port=1)
        await registration.register()
        await self._runner.setup()
        watch = {"fieldSelector": f"spec.nodeName={self._name}"}
        pods = Reflector(self._client, "/api/v1/pods", LocalCopy(self._on_change, on_ready), params=watch)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(registration.run())
                group.create_task(pods.run())
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            for router in self._routers.values():
                router.cancel()
            await asyncio.gather(*self._routers.values(), return_exceptions=True)
            await self._runner.cleanup()

    def _on_change(self, pod: Pod, gone: bool) -> None:
        if not gone:
            self._queue.put_nowait(pod)

    async def _work(self) -> None:
        while True:
            pod = await self._queue.get()
            with suppress(ApiError):  # Gone meanwhile.
                if pod["metadata"].get("deletionTimestamp"):
                    await self._end(pod)
                elif pod["metadata"]["uid"] not in self._started:
                    await self._start(pod)

    async def _start(self, pod: Pod) -> None:
        address = str(next(self._addresses))
        self._started[pod["metadata"]["uid"]] = address
        if pod["spec"]["restartPolicy"] == "Never":
            await self._write(pod, _finished(pod, address))
            return
        meta = pod["metadata"]
        component = meta["labels"]["app.kubernetes.io/component"]
        if component == "router":
            await self._start_router(pod, address)
            return
        if component == "serving":
            self.traffic.add(address, serving_pod(meta["name"], meta["namespace"], _arguments(pod)))
            site = self._sites[meta["uid"]] = web.TCPSite(self._runner, address, MANAGEMENT_PORT)
            await site.start()
        # Others are the chart's own: the operator's pods, which start nothing here.
        await self._write(pod, _running(pod, address, is_ready=True))

    async def _start_router(self, pod: Pod, address: str) -> None:
        await self._write(pod, _running(pod, address, is_ready=not self._xds_port))
        if self._xds_port:
            self._routers[pod["metadata"]["uid"]] = asyncio.create_task(self._route(pod, address))

    async def _route(self, pod: Pod, address: str) -> None:
        meta, configured = pod["metadata"], asyncio.Event()

        def on_change() -> None:
            if router.is_configured:
                configured.set()
            self.traffic.settle(meta["namespace"])

        router = FakeRouter(meta["name"], address, xds_port=self._xds_port, folder=self._folder, on_change=on_change)
        self.traffic.routers[meta["namespace"]][meta["uid"]] = router
        running = asyncio.create_task(router.run())
        try:
            await configured.wait()
            await self._write(pod, _running(pod, address, is_ready=True))
            await running
        finally:
            del self.traffic.routers[meta["namespace"]][meta["uid"]]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _end(self, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        if router := self._routers.pop(uid, None):
            router.cancel()
        if site := self._sites.pop(uid, None):
            await site.stop()
            self.traffic.remove(self._started[uid])
        await self._client.delete(_path(pod), {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})

    async def _write(self, pod: Pod, status: dict[str, Any]) -> None:
        while True:
            try:
                await self._client.patch(f"{_path(pod)}/status", {"status": status}, kind=STRATEGIC)
                break
            except ApiError as error:
                if error.is_lasting:
                    raise
                # A busy API server: nobody would tell the pod's state otherwise.
                await asyncio.sleep(_AGAIN_SECONDS)
        self.ready_pods += status["phase"] == "Succeeded" or status["containerStatuses"][0]["ready"]

    async def _profile(self, request: web.Request) -> web.Response:
        address = _address(request)
        if address not in self.traffic.pods:
            # Its connections outlive a pod.
            raise web.HTTPNotFound
        return web.Response(text=self.traffic.profile(address))

    async def _baseline(self, request: web.Request) -> web.Response:
        pod = self.traffic.pods.get(_address(request))
        if pod is None or not pod.baseline_digest:
            raise web.HTTPNotFound
        return web.Response(body=baseline_document(pod.model))


@asynccontextmanager
async def fake_node(client: KubeClient, *, network: str, xds_port: int, folder: Path) -> AsyncIterator[FakeNode]:
    """Run a fake node while the block runs; all pods are bound to it, and it is forgotten when the block ends."""
    node = FakeNode(client, name=NAME, network=network, xds_port=xds_port, folder=folder)
    ready = asyncio.Event()
    others = [name for name in await _nodes(client) if name != NAME]
    running = asyncio.create_task(node.run(ready.set))
    try:
        await _cordon(client, others, cordoned=True)
        await asyncio.wait_for(ready.wait(), 30)
        yield node
        assert not running.done(), running.exception()
    finally:
        if running.done():
            print(f"the stand-in node ended: {running.exception()!r}")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await _cordon(client, others, cordoned=False)
        await client.delete(f"/api/v1/nodes/{NAME}", {})


async def _nodes(client: KubeClient) -> list[str]:
    return [node["metadata"]["name"] for node in (await client.get("/api/v1/nodes"))["items"]]


async def _cordon(client: KubeClient, names: list[str], *, cordoned: bool) -> None:
    for name in names:
        await client.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": cordoned}}, kind=STRATEGIC)


def _address(request: web.Request) -> str:
    assert request.transport is not None
    return str(request.transport.get_extra_info("sockname")[0])


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _arguments(pod: Pod) -> dict[str, str]:
    container = pod["spec"]["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    return dict(itertools.pairwise(words))


def _running(pod: Pod, address: str, *, is_ready: bool) -> dict[str, Any]:
    state = {"running": {"startedAt": format_time(utc_now())}}
    return _status(pod, address, "Running", state, is_ready=is_ready)


def _finished(pod: Pod, address: str) -> dict[str, Any]:
    trained = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "retrain"
    report = _trained(pod) if trained else _verified(pod)
    moment = format_time(utc_now())
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": moment, "finishedAt": moment}
    return _status(pod, address, "Succeeded", {"terminated": ended | {"message": json.dumps(report)}}, is_ready=False)


def _verified(pod: Pod) -> dict[str, Any]:
    given = _arguments(pod)
    tensors = {"datatype": "FP32", "shape": [-1, FEATURES]}
    digest = given.get("--baseline-digest")
    baseline = {"baseline": {"digest": digest, "rows": BASELINE_ROWS, "features": FEATURES}} if digest else {}
    return baseline | {
        "digest": given["--model-digest"],
        "sizeBytes": 1000,
        "opset": 18,
        "producer": "fake 1",
        "inputs": [{"name": "features", **tensors}],
        "outputs": [{"name": "scores", **tensors}],
        "examples": 0,
    }


def _trained(pod: Pod) -> dict[str, Any]:
    given = {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0]["env"]}
    uri = f"{given['KINGMAKER_OUTPUT_URI']}model.onnx"
    return {"artifact": {"uri": uri, "digest": f"sha256:{hashlib.sha256(uri.encode()).hexdigest()}"}}


def _status(pod: Pod, address: str, phase: str, state: dict[str, Any], *, is_ready: bool) -> dict[str, Any]:
    def container(spec: dict[str, Any], condition: dict[str, Any], *, ready: bool) -> dict[str, Any]:
        known = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0, "started": ready}
        return known | {"ready": ready, "state": condition}

    moment = format_time(utc_now())
    conditions = {"Initialized": True, "ContainersReady": is_ready, "Ready": is_ready}
    over = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": moment, "finishedAt": moment}}
    return {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": moment,
        "conditions": [
            {"type": name, "status": str(holds), "lastTransitionTime": moment} for name, holds in conditions.items()
        ],
        "initContainerStatuses": [container(c, over, ready=True) for c in pod["spec"].get("initContainers", ())],
        "containerStatuses": [container(c, state, ready=is_ready) for c in pod["spec"]["containers"]],
    }
