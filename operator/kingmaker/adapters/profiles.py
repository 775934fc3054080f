"""The serving pods' counts, read from their management ports."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import aiohttp

from kingmaker.adapters.exposition import ExpositionReader, UnreadableError
from kingmaker.core.counts.baseline import Baseline, read_baseline
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.counts.samples import Dropped
from kingmaker.core.manifests.addresses import host_port
from kingmaker.ports import PodAddress

logger = logging.getLogger(__name__)

PORT: Final = 8082
_TIMEOUT: Final = 2.0
"""Seconds for one pod. A pod that is slower is left out of this evaluation; its counts come with the next."""
_KEPT_SECONDS: Final = 75.0
_LIMIT: Final = 4 * 2**20
_AT_ONCE: Final = 64
_BASELINES_AT_ONCE: Final = 8
"""Pods that are asked for the same document at one time: it may have 4 MiB."""
_PATIENCE: Final = 0.2
"""Seconds after which another pod is asked for it, too."""


def pod_session() -> aiohttp.ClientSession:
    """Open a session for pods. Connections last from look to look: to open one costs more than the rest of a look."""
    connector = aiohttp.TCPConnector(keepalive_timeout=_KEPT_SECONDS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class PodProfiles:
    """Implements the port `Profiles` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session; redirects are never followed."""
        self._session = session
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._reader = ExpositionReader()
        self._dropped: Counter[Dropped] = Counter()

    @property
    def dropped(self) -> Mapping[str, int]:
        """Samples that were not counted since the start, by reason."""
        return {str(reason): self._dropped[reason] for reason in Dropped}

    async def scrape(self, pods: Iterable[PodAddress], baselines: Mapping[str, Baseline]) -> list[ProcessCounts]:
        """Read `/profile` of every pod at once."""
        found = await asyncio.gather(*(self._scrape_one(pod, baselines) for pod in pods))
        return [counts for counts in found if counts is not None]

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        """Read `/baseline` of one pod, of others beside it while it does not answer; one right document is enough."""
        waiting = list(pods)
        asked: set[asyncio.Task[Baseline | None]] = set()
        try:
            async with asyncio.timeout(2 * _TIMEOUT):
                while waiting or asked:
                    if waiting and len(asked) < _BASELINES_AT_ONCE:
                        asked.add(asyncio.create_task(self._baseline_of(waiting.pop(0), digest)))
                    patience = _PATIENCE if waiting else None
                    done, asked = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                    found = next((b for b in (task.result() for task in done) if b is not None), None)
                    if found is not None:
                        return found
        except TimeoutError:
            logger.debug("no pod gave the baseline %s in time", digest)
        finally:
            for task in asked:
                task.cancel()
        return None

    async def _baseline_of(self, pod: PodAddress, digest: str) -> Baseline | None:
        content = await self._fetch(pod, "baseline")
        if content is None or f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            return None
        try:
            return read_baseline(content, digest=digest)
        except ValueError as error:
            logger.warning("baseline can't be read: %s", error)
            return None

    async def _scrape_one(self, pod: PodAddress, baselines: Mapping[str, Baseline]) -> ProcessCounts | None:
        content = await self._fetch(pod, "profile")
        if content is None:
            return None
        try:
            read = self._reader.read(pod.uid, content, baselines, pod=pod.name)
        except UnreadableError as error:
            self._dropped[Dropped.SCRAPE] += 1
            logger.warning("counts of pod %s can't be read: %s", pod.uid, error)
            return None
        self._dropped.update(read.dropped)
        return read.counts

    async def _fetch(self, pod: PodAddress, path: str) -> bytes | None:
        url = f"http://{host_port(pod.ip, PORT)}/{path}"
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
