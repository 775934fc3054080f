"""A real process node on a test's control plane, and what tests need to look at its pods."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import read_kubeconfig
from support.controlplane import ControlPlane

T = TypeVar("T")
Document = dict[str, Any]

NODE = "laptop"
"""The name that the control plane's node credentials are for."""


@dataclass
class ProcessNode:
    """One folder, and the node process that has it just now."""

    control_plane: ControlPlane
    folder: Path
    flags: tuple[str, ...] = ("--restart-backoff", "1", "--stop-grace", "3")
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start a node process; it registers by itself a moment later."""
        with (self.folder.parent / "node.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        return self.process

    def command(self) -> list[str]:
        credentials = self.control_plane.folder / "credentials"
        own = ["--kubeconfig", str(credentials / "node.kubeconfig"), "--client-ca", str(credentials / "ca.crt")]
        place = ["--dir", str(self.folder), "--name", NODE, "--pod-cidr", self.pod_network()]
        return [sys.executable, "-m", "kingmaker_laptop.node", *own, *place, *self.flags]

    def pod_network(self) -> str:
        """The network that belongs to this control plane's one for Services."""
        address = self.control_plane.kubectl("get", "service", "kubernetes", "-o=jsonpath={.spec.clusterIP}").stdout
        return f"127.{int(address.split('.')[1]) + 80}.0.0/16"

    def kill(self) -> None:
        """End the node process as an out-of-memory killer would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ask the node to end; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def log(self) -> str:
        return (self.folder.parent / "node.log").read_text()

    def proxy_pid(self) -> int:
        return json.loads((self.folder / "proxy.json").read_text())["pid"]


@dataclass(frozen=True)
class Api:
    """The API server seen by an administrator, in one namespace."""

    client: KubeClient
    namespace: str

    def path(self, kind: str, name: str = "", *, group: str = "api/v1") -> str:
        return f"/{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    async def create(self, kind: str, body: Document, *, group: str = "api/v1") -> Document:
        return await self.client.create(self.path(kind, group=group), body)

    async def run(
        self, *containers: Document, name: str = "pod", labels: Document | None = None, **spec: Any
    ) -> Document:
        """Create a pod; containers without an image get one."""
        return await self.create("pods", pod(*containers, name=name, labels=labels, **spec))

    async def pod(self, name: str = "pod") -> Document:
        return await self.client.get(self.path("pods", name))

    async def phase(self, phase: str, name: str = "pod") -> Document:
        """Wait until the pod is in this phase."""
        return await self.until(lambda found: found["status"].get("phase") == phase, name)

    async def until(self, holds: Callable[[Document], Any], name: str = "pod", seconds: float = 20) -> Document:
        """Wait until the pod is as wanted."""

        async def look() -> Document | None:
            found = await self.pod(name)
            return found if holds(found) else None

        return await eventually(look, seconds, told=lambda: self.pod(name))

    async def delete(self, name: str = "pod", **options: Any) -> None:
        await self.client.delete(self.path("pods", name), options)

    async def gone(self, name: str = "pod", seconds: float = 15) -> None:
        """Wait until the API doesn't have the pod any more."""

        async def look() -> bool:
            try:
                await self.pod(name)
            except ApiError as error:
                return error.is_not_found
            return False

        await eventually(look, seconds)

    async def events(self, name: str = "pod") -> dict[str, str]:
        """Reasons of a pod's events, each with all its messages."""
        found = await self.client.get(self.path("events"), {"fieldSelector": f"involvedObject.name={name}"})
        told: dict[str, list[str]] = {}
        for event in found["items"]:
            told.setdefault(event["reason"], []).append(event["message"])
        return {reason: "\n".join(messages) for reason, messages in told.items()}

    async def event(self, reason: str, name: str = "pod") -> str:
        """Wait for an event; its message."""

        async def look() -> str | None:
            return (await self.events(name)).get(reason)

        return await eventually(look, 15, told=lambda: self.events(name))


@contextlib.asynccontextmanager
async def connected(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Api]:
    async with KubeClient(read_kubeconfig(control_plane.kubeconfig), agent="tests") as client:
        yield Api(client, namespace)


async def eventually(
    look: Callable[[], Awaitable[T]], seconds: float = 15, *, told: Callable[[], Awaitable[Any]] | None = None
) -> T:
    """Look until something is seen; a deadline that passes shows what `told` says."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await look()
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            seen = json.dumps(await told(), indent=1, default=str) if told else ""
            raise AssertionError(f"not within {seconds:g} s; last seen: {seen}")
        await asyncio.sleep(0.05)


def pod(*containers: Document, name: str = "pod", labels: Document | None = None, **spec: Any) -> Document:
    spec = {"terminationGracePeriodSeconds": 2, "automountServiceAccountToken": False, **spec}
    initial = [with_image(one) for one in spec.pop("initContainers", [])]
    body = {"containers": [with_image(one) for one in containers], "initContainers": initial, **spec}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": body}


def with_image(container: Document) -> Document:
    return {"image": "none", "name": "main", **container}


def shell(script: str, **fields: Any) -> Document:
    """A container that runs a script."""
    return {"command": ["sh", "-c", script], **fields}


def state(found: Document, container: str = "main") -> Document:
    """A container's status; as good as empty before the node wrote one."""
    status = found["status"]
    every = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
    return next((one for one in every if one["name"] == container), {"state": {}, "restartCount": 0})


def terminated(found: Document, container: str = "main") -> Document:
    return state(found, container)["state"]["terminated"]


def is_ready(found: Document) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found["status"].get("conditions", []))


def pid_of(found: Document, container: str = "main") -> int:
    """Process id of a running container."""
    return int(state(found, container)["containerID"].removeprefix("process://").split("-")[0])


def lives(pid: int) -> bool:
    """Whether a process exists and isn't a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(folder: Path) -> list[int]:
    """Every process whose command line or environment names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(folder).encode() in told and lives(int(entry.name)):
                    found.append(int(entry.name))
    return found
