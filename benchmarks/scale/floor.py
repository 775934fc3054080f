"""The floor: a program that applies the very objects which a controller made, and waits for the same pods."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.common.progress import say
from benchmarks.scale.applied import as_written
from benchmarks.scale.site import POLL, Site, at_once, insist, spent
from benchmarks.scale.system import Document

_FIRST: Final = frozenset({"ServiceAccount"})
"""Without its account no pod is created, and Kubernetes waits a while before it tries again."""
_APPLY: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Made:
    """What a controller made: path and body of each object in the order of creation, and how many pods came up."""

    objects: list[tuple[str, Document]]
    pods: int


async def record(site: Site) -> Made:
    """Read what the controller has made so far."""
    found: list[tuple[str, str, Document]] = []
    for collection in site.system.children:
        listed = await site.client.get(collection.path, collection.params)
        for item in listed["items"]:
            # Items of a list come without their type.
            typed = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")} | item
            body = as_written(typed, site.system.manager)
            if body is not None:
                path = collection.object(body["metadata"]["namespace"], body["metadata"]["name"])
                found.append((item["metadata"]["creationTimestamp"], path, body))
    found.sort(key=lambda one: (one[2]["kind"] not in _FIRST, one[0]))
    return Made([(path, body) for _, path, body in found], await site.node.ready_pods())


async def apply_all(site: Site, made: Made, *, seconds: float) -> tuple[float, dict[str, float]]:
    """Apply all of it with server-side apply and wait for the pods; give the seconds that took, and everybody's CPU.

    Raises:
        TimeoutError: The pods do not come up in time.
    """
    bodies = [(f"{path}?fieldManager=floor&force=true", body) for path, body in made.objects]
    began, cpu = time.monotonic(), site.cpu()
    await at_once(lambda one: insist(lambda: site.client.patch(*one, kind=_APPLY)), bodies)
    say(f"  {len(bodies)} objects applied after {time.monotonic() - began:.1f} s")
    while (ready := await site.node.ready_pods()) < made.pods:
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{ready} of {made.pods} pods are up after {seconds:.0f} s")
        await asyncio.sleep(POLL)
    took = time.monotonic() - began
    used = spent(cpu, site.cpu())
    say(f"  {ready} pods came up after {took:.1f} s, CPU {used}")
    return took, used
