"""The serving pods' counts, read from their management ports."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from typing import Final

import aiohttp

from kingmaker.core.counts.baseline import Baseline, read_baseline
from kingmaker.core.counts.profile import Profile, parse_key
from kingmaker.ports import PodAddress

logger = logging.getLogger(__name__)

PORT: Final = 8082
_PREFIX: Final = "kingmaker_profile_"
_TIMEOUT: Final = 2.0
"""Seconds for one pod. A pod that is slower is left out of this evaluation; its counts come with the next."""
_LIMIT: Final = 4 * 2**20
_AT_ONCE: Final = 64


class PodProfiles:
    """Implements the port `Profiles` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session; redirects are never followed."""
        self._session = session
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def scrape(self, pods: Iterable[PodAddress]) -> list[Profile]:
        """Read `/profile` of every pod at once."""
        found = await asyncio.gather(*(self._scrape_one(pod) for pod in pods))
        return [profile for profile in found if profile is not None]

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        """Read `/baseline` of the first pod that gives the document with this digest."""
        for pod in pods:
            content = await self._fetch(pod, "baseline")
            if content is None or f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
                continue
            try:
                return read_baseline(content, digest=digest)
            except ValueError as error:
                logger.warning("baseline can't be read: %s", error)
        return None

    async def _scrape_one(self, pod: PodAddress) -> Profile | None:
        content = await self._fetch(pod, "profile")
        if content is None:
            return None
        try:
            return parse_profile(pod.uid, content.decode())
        except ValueError as error:
            logger.warning("counts of pod %s can't be read: %s", pod.uid, error)
            return None

    async def _fetch(self, pod: PodAddress, path: str) -> bytes | None:
        url = f"http://{pod.ip}:{PORT}/{path}"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        try:
            async with self._slots, self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                return await _bounded(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            logger.debug("%s: %s", url, error)
            return None


async def _bounded(response: aiohttp.ClientResponse) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(2**16):
        size += len(chunk)
        if size > _LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def parse_profile(pod_uid: str, text: str) -> Profile:
    """Parse one exposition of a serving pod.

    Raises:
        ValueError: A line is not a sample, or the info or start time is missing.
    """
    counters: dict[str, int] = {}
    info = ""
    start = ""
    for line in text.splitlines():
        if not line.startswith(_PREFIX):
            continue
        key, _, value = line.rpartition(" ")
        name = key[len(_PREFIX) :]
        if name.startswith("info{"):
            info = name
        elif name == "start_time_seconds":
            start = value
        else:
            counters[name] = int(value)
    if not info or not start:
        msg = "the exposition has no kingmaker_profile_info or no kingmaker_profile_start_time_seconds"
        raise ValueError(msg)
    labels = parse_key(info).labels
    return Profile(pod_uid, labels["model"], labels["model_digest"], labels["baseline_digest"], start, counters)
