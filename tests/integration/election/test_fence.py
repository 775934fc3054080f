"""The API server refuses whom the Lease does not name: with tokens as pods have them, and no operator at all."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from kingmaker.adapters.connection import connect
from kingmaker.core.serving.ownership import FIELD_MANAGER
from kingmaker.kube.client import APPLY, MERGE, KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.ports import ConflictError
from kingmaker_laptop import bootstrap
from kingmaker_laptop.credentials import render_kubeconfig
from kingmaker_laptop.home import Home
from support.controlplane import ControlPlane
from support.manifests import MODEL, a_decision, a_model
from support.replicas import forget, install, pod_token

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{bootstrap.NAMESPACE}/leases"
KINGMAKER = "/apis/kingmaker.dev/v1alpha1"
MANAGED = {"app.kubernetes.io/managed-by": "kingmaker"}
QUERY = {"fieldManager": FIELD_MANAGER}


@dataclass
class Pods:
    """Two pods of the operator and a namespace to write to."""

    plane: ControlPlane
    client: KubeClient
    namespace: str
    first: KubeClient
    second: KubeClient
    outside: KubeClient
    """The operator's ServiceAccount, from no pod."""

    async def give_lease(self, holder: str) -> None:
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1}
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "kingmaker"},
            "spec": spec,
        }
        path = f"{LEASES}/kingmaker?fieldManager=test&force=true"
        await self.client.patch(path, body, kind="application/apply-patch+yaml")

    async def write(self, who: KubeClient, name: str) -> None:
        """Server-side apply a ConfigMap as the operator would."""
        body = config_map(name)
        await who.patch(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}", body, kind=APPLY, params=QUERY)

    async def until_written(self, who: KubeClient, name: str) -> int:
        """Write as soon as the API server knows who leads; give how often it refused."""
        for refusals in range(100):
            try:
                await self.write(who, name)
            except ConflictError:
                await asyncio.sleep(0.01)
            else:
                return refusals
        raise AssertionError("refused a hundred times")

    async def until_refused(self, who: KubeClient, name: str) -> str:
        """Write until the API server knows that another one leads; give what it says."""
        for _ in range(100):
            try:
                await self.write(who, name)
            except ConflictError as refused:
                return str(refused)
        raise AssertionError("written a hundred times")


def config_map(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": MANAGED | labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"moment": str(datetime.now(UTC))}}


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    spec = {"paused": True, "replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": MANAGED}, "spec": spec}


@pytest.fixture
async def pods(bare_laptop: ControlPlane, client: KubeClient, tmp_path) -> AsyncIterator[Pods]:
    """With the chart's policy in force; nobody leads yet."""
    await install(bare_laptop, client)
    namespace = f"test-{secrets.token_hex(4)}"
    bare_laptop.kubectl("create", "namespace", namespace)
    home = Home(bare_laptop.folder)
    tokens = {name: await pod_token(client, name) for name in ("first", "second")}
    tokens["outside"] = await bootstrap.request_token(client)
    found = {}
    async with AsyncExitStack() as stack:
        for name, token in tokens.items():
            path = tmp_path / name
            path.write_text(render_kubeconfig(home, server=bare_laptop.url, user=name, token=token))
            found[name] = await stack.enter_async_context(await connect(str(path)))
        yield Pods(bare_laptop, client, namespace, **found)
        await forget(client, ["first", "second"])
        bare_laptop.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_only_the_holder_writes(pods: Pods) -> None:
    await pods.give_lease("first")
    await pods.until_written(pods.first, "a")
    with pytest.raises(ConflictError, match=r"not the leader: the request comes from pod second, .* is held by first"):
        await pods.write(pods.second, "a")
    with pytest.raises(ConflictError, match="the request comes from no pod"):
        await pods.write(pods.outside, "a")
    await pods.give_lease("second")
    refusals = await pods.until_written(pods.second, "a")
    print(f"refused {refusals} times after the takeover")
    with pytest.raises(ConflictError):
        await pods.write(pods.first, "a")


async def test_nobody_writes_after_a_release(pods: Pods) -> None:
    await pods.give_lease("first")
    await pods.until_written(pods.first, "a")
    await pods.give_lease("")
    assert "is held by nobody" in await pods.until_refused(pods.first, "a")


async def test_every_kind_of_write_is_fenced(pods: Pods) -> None:
    await pods.give_lease("first")
    await pods.until_written(pods.first, "a")
    maps, ours = f"/api/v1/namespaces/{pods.namespace}/configmaps", f"{KINGMAKER}/namespaces/{pods.namespace}"
    old = a_decision(metadata__name="old", metadata__labels=MANAGED)
    uid = (await pods.client.create(f"{ours}/decisions", old))["metadata"]["uid"]
    await pods.client.create(f"{ours}/models", a_model(metadata__name="m"))
    status = {"apiVersion": MODEL["apiVersion"], "kind": "Model", "metadata": {"name": "m"}, "status": {"roles": []}}
    deployments = f"/apis/apps/v1/namespaces/{pods.namespace}/deployments"
    await pods.client.create(deployments, deployment("s"))
    forced = {**QUERY, "force": "true"}
    writes = (
        ("POST", maps, QUERY, config_map("b")),
        ("PATCH", f"{maps}/c", QUERY, config_map("c"), APPLY),
        ("DELETE", f"{ours}/decisions/old", {}, {"preconditions": {"uid": uid}}),
        ("PATCH", f"{deployments}/s/scale", QUERY, {"spec": {"replicas": 1}}, MERGE),
        ("POST", f"{ours}/models", QUERY, a_model(metadata__name="n", metadata__labels=MANAGED)),
        ("PATCH", f"{ours}/models/m/status", forced, status, APPLY),
        ("POST", f"{ours}/decisions", QUERY, a_decision(metadata__name="d", metadata__labels=MANAGED)),
    )
    for write in writes:
        with pytest.raises(ConflictError, match="not the leader"):
            await pods.second.request(*write)
    for write in writes:
        await pods.first.request(*write)


async def test_events_may_be_written_by_everybody(pods: Pods) -> None:
    await pods.give_lease("first")
    about = {"kind": "ConfigMap", "name": "a", "namespace": pods.namespace}
    event = {"metadata": {"name": "e", "namespace": pods.namespace}, "involvedObject": about, "type": "Normal"}
    await pods.second.request("POST", f"/api/v1/namespaces/{pods.namespace}/events", {}, event)


async def test_others_are_not_held_up_when_the_lease_is_gone(pods: Pods) -> None:
    await pods.give_lease("first")
    await pods.until_written(pods.first, "a")
    await pods.client.delete(f"{LEASES}/kingmaker", {})
    # Nobody's but the operator's: refused whoever asks.
    decisions = f"{KINGMAKER}/namespaces/{pods.namespace}/decisions"
    refusals = []
    for number in range(100):
        try:
            await pods.first.request("POST", decisions, QUERY, a_decision(metadata__name=f"d-{number}"))
        except ConflictError as refused:
            refusals.append(str(refused))
    assert "no params found" in refusals[-1]
    maps = f"/api/v1/namespaces/{pods.namespace}/configmaps"
    await pods.client.create(maps, config_map("by-a-person"))
    await pods.client.delete(f"{maps}/by-a-person", {})
    deployments = f"/apis/apps/v1/namespaces/{pods.namespace}/deployments"
    await pods.client.create(deployments, deployment("s"))
    await pods.client.patch(f"{deployments}/s/scale", {"spec": {"replicas": 1}})
    await pods.client.delete(f"{maps}/a", {})


async def test_people_are_not_fenced(pods: Pods) -> None:
    await pods.give_lease("first")
    path = f"/api/v1/namespaces/{pods.namespace}/configmaps"
    await pods.client.create(path, config_map("a"))
    await pods.client.patch(f"{path}/a", {"data": {"moment": "later"}})
    deployments = f"/apis/apps/v1/namespaces/{pods.namespace}/deployments"
    await pods.client.create(deployments, deployment("s"))
    await pods.client.patch(f"{deployments}/s/scale", {"spec": {"replicas": 1}})
    await pods.client.delete(f"{path}/a", {})
    with pytest.raises(ApiError, match="not found"):
        await pods.client.get(f"{path}/a")
