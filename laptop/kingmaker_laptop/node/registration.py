"""Be a Node: the object, its status, and the Lease that says that we live."""

import asyncio
import logging
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kingmaker.kube.client import STRATEGIC, KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.times import format_micro_time, format_time, utc_now
from kingmaker_laptop.node.tools import HOST_IP

logger = logging.getLogger(__name__)

Document = dict[str, Any]

LEASE_SECONDS: Final = 40
RENEW_SECONDS: Final = 10.0
_STATUS_EVERY: Final = 12
"""The status goes with every so manieth renewal; the node controller lives on the Lease in between."""

_RETRY_SECONDS: Final = 1.0
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_VERSION: Final = "v1.36.0-kingmaker"
_CONDITIONS: Final = {
    "MemoryPressure": ("False", "ProcessNode", "not measured"),
    "DiskPressure": ("False", "ProcessNode", "not measured"),
    "PIDPressure": ("False", "ProcessNode", "not measured"),
}


def machine_resources(folder: Path, *, max_pods: int) -> dict[str, str]:
    """The machine's resources as quantities."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{shutil.disk_usage(folder).total // 1024}Ki",
        "pods": str(max_pods),
    }


class Registration:
    """One node's objects in the API."""

    def __init__(self, client: KubeClient, *, name: str, resources: Mapping[str, str], port: int) -> None:
        self._client = client
        self._name = name
        self._resources = dict(resources)
        self._port = port
        self._uid = ""

    async def register(self) -> None:
        """Create the Node, or take it over, and declare it ready; waits until the API server answers."""
        while True:
            try:
                await self._create()
                await self._write_status(is_ready=True)
                await self._renew()
                return
            except ApiError as error:
                logger.warning("node %s can't be registered yet: %s", self._name, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def run(self) -> None:
        """Renew until cancelled; an outage is waited out."""
        renewals = 0
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            renewals += 1
            try:
                await self._renew()
                if renewals % _STATUS_EVERY == 0:
                    await self._write_status(is_ready=True)
            except ApiError as error:
                logger.warning("node %s: %s", self._name, error)
                if error.is_not_found:
                    await self.register()

    async def retire(self) -> None:
        """Say that the node stops, so that nothing is scheduled to it; an API server that is gone already is fine."""
        try:
            async with asyncio.timeout(1):
                await self._write_status(is_ready=False)
        except (ApiError, TimeoutError) as error:
            logger.info("the API server did not hear that node %s stops: %s", self._name, error)

    async def _create(self) -> None:
        system, machine = platform.system().lower(), _ARCHITECTURES.get(platform.machine(), platform.machine())
        labels = {
            "kubernetes.io/hostname": self._name,
            "kubernetes.io/os": system,
            "kubernetes.io/arch": machine,
            "kingmaker.dev/node": "process",
        }
        metadata = {"name": self._name, "labels": labels}
        try:
            found = await self._client.create("/api/v1/nodes", {"metadata": metadata})
        except ApiError as error:
            if error.status != 409:
                raise
            found = await self._client.patch(f"/api/v1/nodes/{self._name}", {"metadata": {"labels": labels}})
        self._uid = found["metadata"]["uid"]

    async def _write_status(self, *, is_ready: bool) -> None:
        now = format_time(utc_now())
        ready = ("True", "ProcessNodeReady", "pods run as processes") if is_ready else ("False", "NodeStopped", "")
        known = await self._known_conditions()
        conditions = []
        for kind, (value, reason, message) in {**_CONDITIONS, "Ready": ready}.items():
            before = known.get(kind, {})
            since = before["lastTransitionTime"] if before.get("status") == value else now
            conditions.append(
                {
                    "type": kind,
                    "status": value,
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": since,
                }
            )
        status = {
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": self._name}],
            "capacity": self._resources,
            "allocatable": self._resources,
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": _node_info(),
        }
        await self._client.patch(f"/api/v1/nodes/{self._name}/status", {"status": status}, kind=STRATEGIC)

    async def _known_conditions(self) -> dict[str, Document]:
        node = await self._client.get(f"/api/v1/nodes/{self._name}")
        return {one["type"]: one for one in node.get("status", {}).get("conditions") or []}

    async def _renew(self) -> None:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format_micro_time(utc_now()),
        }
        try:
            await self._client.patch(f"{path}/{self._name}", {"spec": spec})
        except ApiError as error:
            if not error.is_not_found:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": self._uid}
            await self._client.create(
                path, {"metadata": {"name": self._name, "ownerReferences": [owner]}, "spec": spec}
            )


def _node_info() -> dict[str, str]:
    return {
        "kubeletVersion": _VERSION,
        "kubeProxyVersion": _VERSION,
        "containerRuntimeVersion": "process://1",
        "kernelVersion": platform.release(),
        "osImage": platform.platform(terse=True),
        "operatingSystem": platform.system().lower(),
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
    }
