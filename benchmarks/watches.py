"""Two ways to follow a kind, kopf's `on.event` and the reflector: what they cost, how late they are, what they miss.

Prints a table; run with `python benchmarks/watches.py`. Each way runs in a process of its own against one real API
server with 2,000 Models: time and CPU until all are told; 300 single edits, from the answer to the edit until
the handler is called in the operator's loop; 2,000 edits at once, CPU for each. Then connections are cut, one object is
deleted, one is made anew, watches that go on are refused with 410: `ghosts` counts what is gone and was never told.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kingmaker.adapters.connection import connect
from kingmaker.adapters.kinds import RESOURCES
from kingmaker.handlers.watcher import Watcher
from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker.kube.reflector import Reflector
from support.apiproxy import running_api_proxy
from support.controlplane import CRDS, ControlPlane, running_control_plane

NAMESPACE = "watched"
OBJECTS = 2_000
EDITS = 300
PATH = RESOURCES["Model"].path(NAMESPACE)

Told = Callable[[str | None, dict[str, Any]], None]


class Direct:
    """A reflector's copy that tells each event, and the difference of a list by its keys, as the store does."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.known: dict[str, dict[str, Any]] = {}

    def shrink(self, item: dict[str, Any]) -> dict[str, Any]:
        return item

    def replace(self, items: Any, version: str) -> None:  # noqa: ARG002  # the port's
        found = {item["metadata"]["uid"]: item for item in items}
        for uid in self.known.keys() - found.keys():
            self.drop(self.known[uid])
        for item in items:
            self.put(item)

    def put(self, item: dict[str, Any]) -> None:
        self.known[item["metadata"]["uid"]] = item
        self.told("MODIFIED", item)

    def drop(self, item: dict[str, Any]) -> None:
        self.known.pop(item["metadata"]["uid"], None)
        self.told("DELETED", item)


@asynccontextmanager
async def following(way: str, kubeconfig: Path, told: Told) -> AsyncIterator[None]:
    async with await connect(str(kubeconfig)) as client:
        if way == "kopf":
            watcher = Watcher(
                [NAMESPACE],
                lambda _, event, body: told(event, body),
                on_break=lambda: None,
            )
            task = asyncio.create_task(watcher.run())
        else:
            task = asyncio.create_task(Reflector(client, PATH, Direct(told)).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def edit(client: KubeClient, number: int, value: str) -> str:
    body = {"metadata": {"labels": {"edit": value}}}
    answer = await client.patch(f"{PATH}/seat-{number}", body)
    return answer["metadata"]["resourceVersion"]


async def measure(way: str, folder: Path) -> dict[str, float]:
    """Run in a process of its own."""
    plane = ControlPlane(folder)
    versions: dict[str, float] = {}
    names: dict[str, str] = {}

    def told(event: str | None, body: dict[str, Any]) -> None:
        meta = body["metadata"]
        versions.setdefault(meta["resourceVersion"], time.monotonic())
        if event == "DELETED":
            names.pop(meta["name"], None)
        else:
            names[meta["name"]] = meta["uid"]

    async with running_api_proxy(plane) as proxy, KubeClient(read_kubeconfig(plane.kubeconfig), agent="x") as admin:
        with tempfile.TemporaryDirectory() as temporary:
            # Costs are measured without the proxy.
            os.environ["KUBECONFIG"] = str(plane.kubeconfig)
            found = await costs(way, plane, admin, versions, names, told)
            kubeconfig = proxy.kubeconfig(Path(temporary))
            os.environ["KUBECONFIG"] = str(kubeconfig)
            names.clear()
            async with following(way, kubeconfig, told):
                await until(lambda: len(names) == OBJECTS)
                await asyncio.sleep(2)
                before = dict(names)
                proxy.go_down()
                for number in (0, 1):
                    seat = await admin.get(f"{PATH}/seat-{number}")
                    await admin.delete(f"{PATH}/seat-{number}", {})
                    if number == 1:
                        await admin.create(PATH, {key: seat[key] for key in ("apiVersion", "kind", "spec")} | meta(1))
                proxy.come_up(forgetful=True)
                await until(lambda: names["seat-1"] != before["seat-1"])
                await asyncio.sleep(10)
                found["ghosts"] = float("seat-0" in names)
                proxy.remember()
        await admin.create(PATH, {key: seat[key] for key in ("apiVersion", "kind", "spec")} | meta(0))
    return found


async def costs(way: str, plane: ControlPlane, admin: KubeClient, versions: Any, names: Any, told: Told) -> dict:
    began, cpu = time.monotonic(), time.process_time()
    async with following(way, plane.kubeconfig, told):
        await until(lambda: len(names) == OBJECTS)
        found = {
            "listed s": time.monotonic() - began,
            "listed CPU ms each": 1e3 * (time.process_time() - cpu) / OBJECTS,
        }
        found["RSS MiB"] = rss()
        await asyncio.sleep(2)
        late = []
        for number in range(EDITS):
            version = await edit(admin, number, "one")
            answered = time.monotonic()
            await until(lambda version=version: version in versions, 0.0005)
            late.append(max(0.0, versions[version] - answered) * 1e3)
            await asyncio.sleep(0.01)
        late.sort()
        found |= {"edit told p50 ms": late[len(late) // 2], "edit told p99 ms": late[int(len(late) * 0.99)]}
        slots = asyncio.Semaphore(16)

        async def one(number: int) -> str:
            async with slots:
                return await edit(admin, number, "all")

        cpu = time.process_time()
        last = await asyncio.gather(*(one(number) for number in range(OBJECTS)))
        await until(lambda: all(version in versions for version in last))
        found["edit CPU ms each, the editor's own with it"] = 1e3 * (time.process_time() - cpu) / OBJECTS
    return found


async def until(condition: Callable[[], bool], pause: float = 0.01) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  # it is what is measured
            await asyncio.sleep(pause)


def rss() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def meta(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"seat-{number}"}}


async def fill(plane: ControlPlane) -> None:
    artifact = {"format": "ONNX", "uri": "s3://models/m.onnx", "digest": f"sha256:{'a' * 64}"}
    spec = {"family": "m", "version": "1", "artifact": artifact}
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "Model", "spec": spec}
    slots = asyncio.Semaphore(16)
    async with KubeClient(read_kubeconfig(plane.kubeconfig), agent="x") as admin:

        async def one(number: int) -> None:
            async with slots:
                await admin.create(PATH, head | meta(number))

        await asyncio.gather(*(one(number) for number in range(OBJECTS)))


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(asyncio.run(measure(sys.argv[1], Path(sys.argv[2])))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "plane"
        with running_control_plane(folder) as plane:
            plane.kubectl("apply", "--server-side", "-f", str(CRDS))
            plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
            plane.kubectl("create", "namespace", NAMESPACE)
            asyncio.run(fill(plane))
            found = {way: child(way, folder) for way in ("kopf", "reflector")}
    width = max(len(name) for name in found["kopf"])
    print(f"{'':{width}} {'kopf':>10} {'reflector':>10}")
    for name in found["kopf"]:
        print(f"{name:{width}} {found['kopf'][name]:10.2f} {found['reflector'][name]:10.2f}")


def child(way: str, folder: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, way, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
