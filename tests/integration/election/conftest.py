"""A laptop cluster without its operator: real API server, real node, real Envoy; the operators are the tests' own."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.serviceurl import service_url
from support.controlplane import ControlPlane, running_control_plane, with_crds
from support.models import packaged
from support.requests import a_request

API = "/apis/kingmaker.dev/v1alpha1"


@dataclass
class Answers:
    """What clients saw."""

    models: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass
class Seat:
    """One ModelDeployment `points` with two models, in a namespace of its own."""

    plane: ControlPlane
    client: KubeClient
    session: aiohttp.ClientSession
    namespace: str

    @property
    def path(self) -> str:
        return f"{API}/namespaces/{self.namespace}/modeldeployments/points"

    async def create(self, models: list[dict[str, Any]]) -> None:
        for model in models:
            await self.client.create(f"{API}/namespaces/{self.namespace}/models", model)
        challenger = {"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}
        spec = {"championRef": {"name": "points-1"}, "challengers": [challenger], "serving": {"replicas": 1}}
        head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "points"}}
        await self.client.create(f"{API}/namespaces/{self.namespace}/modeldeployments", {**head, "spec": spec})

    async def split(self, weight: int) -> None:
        """Say how much the challenger shall get: a decision, a route and a status to write."""
        challenger = {"name": "b", "modelRef": {"name": "points-2"}, "weight": weight}
        await self.client.patch(self.path, {"spec": {"challengers": [challenger]}})

    async def until_split(self, weight: int, *, seconds: float = 40) -> None:
        """Wait until the operator has decided it and every router does it."""
        found: dict[str, Any] = {}
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            found = (await self.client.get(self.path)).get("status", {})
            weights = {v["name"]: v["weight"] for v in found.get("variants", ())}
            holds = {c["type"] for c in found.get("conditions", ()) if c["status"] == "True"}
            if weights.get("points-2") == weight and {"Ready", "RouterConfigured"} <= holds:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not {weight} within {seconds} s: {json.dumps(found)[:3000]}")

    async def decisions(self) -> list[dict[str, Any]]:
        """Give all records, oldest first."""
        items = (await self.client.get(f"{API}/namespaces/{self.namespace}/decisions"))["items"]
        return sorted((item["spec"] for item in items), key=lambda spec: spec["sequence"])

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Answers]:
        """Ask through the router without a break while the block runs."""
        service = await self.client.get(f"/api/v1/namespaces/{self.namespace}/services/points")
        url = f"{service_url(service)}/v2/models/points/infer"
        seen, stopping = Answers(), asyncio.Event()

        async def ask() -> None:
            while not stopping.is_set():
                try:
                    async with self.session.post(url, json=a_request([[1.0, 2.0]])) as response:
                        text = await response.text()
                        if response.status == 200:
                            seen.models[response.headers["kingmaker-model"]] += 1
                        else:
                            seen.failures.append(f"{response.status} {text}")
                except (aiohttp.ClientError, TimeoutError) as error:
                    seen.failures.append(repr(error))
                await asyncio.sleep(0.02)

        asking = asyncio.create_task(ask())
        try:
            yield seen
        finally:
            stopping.set()
            await asking


@pytest.fixture(scope="session")
def bare_laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Everything of `kingmaker up` but the operator."""
    with running_control_plane(tmp_path_factory.mktemp("laptop"), without="crds,operator") as plane:
        yield with_crds(plane)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two models of one family."""
    out: Path = tmp_path_factory.mktemp("models")
    return [packaged(name, out, seed=seed) for seed, name in enumerate(("points-1", "points-2"))]


@pytest.fixture
async def client(bare_laptop: ControlPlane) -> AsyncIterator[KubeClient]:
    """An administrator."""
    async with KubeClient(read_kubeconfig(bare_laptop.kubeconfig), agent="test") as found:
        yield found


@pytest.fixture
async def seat(bare_laptop: ControlPlane, client: KubeClient, models: list[dict[str, Any]]) -> AsyncIterator[Seat]:
    """A ModelDeployment that no operator has seen yet."""
    name = f"test-{secrets.token_hex(4)}"
    bare_laptop.kubectl("create", "namespace", name)
    async with aiohttp.ClientSession() as session:
        found = Seat(bare_laptop, client, session, name)
        await found.create(models)
        yield found
    bare_laptop.kubectl("delete", "namespace", name, "--wait=false")
