"""Everything one pass about a namespace has to know. Nothing in it is parsed: no object can stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from kingmaker.core.manifests.objects import ROUTER_SELECTOR
from kingmaker.core.namespace import SHARED, ObservedNamespace
from kingmaker.core.observed import RouterPod
from kingmaker.core.serving.observe import has_ended, is_pod_ready
from kingmaker.ports import Body, Cluster


async def observe_namespace(cluster: Cluster, namespace: str) -> ObservedNamespace:
    """Give the snapshot of one namespace as far as known."""
    deployments, models = await cluster.list("ModelDeployment", namespace), await cluster.list("Model", namespace)
    pods = await cluster.list("Pod", namespace, ROUTER_SELECTOR)
    shared = [await cluster.get(kind, namespace, name) for kind, name in SHARED]
    return ObservedNamespace(
        name=namespace,
        deployments=_names(deployments),
        models=_names(models),
        shared={key: body for key, body in zip(SHARED, shared, strict=True) if body},
        routers=tuple(sorted(map(_router, filter(_may_connect, pods)), key=lambda router: router.pod)),
    )


async def look_again(cluster: Cluster, observed: ObservedNamespace) -> ObservedNamespace:
    """Give the snapshot with who is there now, read live."""
    deployments, models = await asyncio.gather(
        cluster.list_live("ModelDeployment", observed.name),
        cluster.list_live("Model", observed.name),
    )
    return replace(observed, deployments=_names(deployments), models=_names(models))


def _names(bodies: Iterable[Body]) -> frozenset[str]:
    return frozenset(b["metadata"]["name"] for b in bodies if not b["metadata"].get("deletionTimestamp"))


def _may_connect(pod: Body) -> bool:
    """Whether a router pod asks for its routes; one that is going away still acknowledges them."""
    return bool(pod.get("status", {}).get("podIP")) and not has_ended(pod)


def _router(pod: Body) -> RouterPod:
    return RouterPod(pod["metadata"]["name"], pod["status"]["podIP"], is_pod_ready(pod))


async def spokesman(cluster: Cluster, observed: ObservedNamespace) -> Body | None:
    """Give who gets the Events about its namespace: the first ModelDeployment, else the first Model."""
    for kind, names in (("ModelDeployment", observed.deployments), ("Model", observed.models)):
        if names:
            return await cluster.get(kind, observed.name, min(names))
    return None
