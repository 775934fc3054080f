"""Copies of the champion's requests to one challenger: queued, sent in batches, compared. The champion never waits."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import aiohttp
import numpy as np

from kingmaker_serving.counts.profile import Profile
from kingmaker_serving.errors import ServingError
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.memory import Pairs
from kingmaker_serving.labels.targets import Target
from kingmaker_serving.labels.verdict import agree
from kingmaker_serving.protocol.client import read_reply, write_request
from kingmaker_serving.protocol.pages import MEDIA_BINARY
from kingmaker_serving.protocol.signature import Signature, Task
from kingmaker_serving.protocol.tensors import held_bytes

logger = logging.getLogger(__name__)

MAX_COPIES: Final = 1000
"""Copies that may wait; more are dropped and counted."""
MAX_BYTES: Final = 32 * 1024**2
BATCH: Final = 16
_AT_ONCE: Final = 4
_LINGER_SECONDS: Final = 0.05
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=2)
_MAX_REPLY_BYTES: Final = 256 * 1024**2
_CHUNK: Final = 64 * 1024
SLOWER_RATIO: Final = 1.25
LATENCY_PAIRS: Final = 8
"""Pairs whose median execution times are compared at once: one time alone says little."""
_CLOSE: Final = 1e-4
_JSON_LENGTH: Final = "inference-header-content-length"
_SHED: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Copy:
    """A request that the champion answered, and how."""

    nonce: bytes
    decision: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    answers: Sequence[Value]
    rows: int
    seconds: float

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(held_bytes(array) for side in (self.inputs, self.outputs) for array in side.values())


class FailedError(Exception):
    """The challenger gave no usable answer where the champion gave one."""


class ShedError(Exception):
    """The challenger was not asked in earnest: it is full, or somebody else answers there."""


class Lane:
    """The queue to one challenger."""

    def __init__(
        self,
        target: Target,
        *,
        path: str,
        signature: Signature,
        task: Task | None,
        profile: Profile,
        pairs: Pairs | None,
    ) -> None:
        """Take where copies go and where pairs are counted.

        Args:
            target: The challenger.
            path: Of its infer endpoint.
            signature: Of the champion's inputs.
            task: What an answer means; None compares all outputs.
            profile: Counts pairs.
            pairs: Remember the challenger's answers for labels to come.
        """
        self.target = target
        self._url = target.url.rstrip("/") + path
        self._datatypes = {spec.name: spec.datatype for spec in signature.inputs}
        self._task = task
        self._profile = profile
        self._pairs = pairs
        self._queue: deque[Copy] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._times: list[tuple[float, float]] = []

    @property
    def depth(self) -> int:
        """Copies that wait."""
        return len(self._queue)

    def offer(self, copy: Copy) -> None:
        """Queue a copy, or count it as dropped."""
        if len(self._queue) >= MAX_COPIES or self._bytes + copy.size > MAX_BYTES:
            self._fail(copy, "dropped")
            return
        self._queue.append(copy)
        self._bytes += copy.size
        self._filled.set()

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Send batches until cancelled."""
        while True:
            await self._filled.wait()
            if len(self._queue) < BATCH:
                await asyncio.sleep(_LINGER_SECONDS)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(copy.size for copy in batch)
            if not self._queue:
                self._filled.clear()
            slots = asyncio.Semaphore(_AT_ONCE)
            await asyncio.gather(*(self._judge(http, copy, slots) for copy in batch))

    async def _judge(self, http: aiohttp.ClientSession, copy: Copy, slots: asyncio.Semaphore) -> None:
        try:
            async with slots:
                outputs, seconds = await self._ask(http, copy)
            agrees = self._compare(copy, outputs)
        except ShedError:
            self._fail(copy, "dropped")
            return
        except FailedError as error:
            logger.debug("challenger failed", extra={"challenger": self.target.model, "error": str(error)})
            self._fail(copy, "challenger")
            return
        decision = self._profile.admit(copy.decision)
        agreed = sum(agrees)
        self._profile.pairs.add(self.target.model, decision, "agree", count=agreed)
        self._profile.pairs.add(self.target.model, decision, "disagree", count=len(agrees) - agreed)
        self._count_times(decision, copy.seconds, seconds)
        if self._pairs is not None and self._task is not None:
            said = outputs[self._task.label].ravel()
            number = int(copy.decision) if copy.decision.isdigit() else None
            self._pairs.pair(copy.nonce, challenger=self.target.model, decision=number, answers=said)

    async def _ask(self, http: aiohttp.ClientSession, copy: Copy) -> tuple[dict[str, np.ndarray], float]:
        body, json_length = write_request(copy.inputs, self._datatypes)
        headers = {"content-type": MEDIA_BINARY, _JSON_LENGTH: str(json_length), "kingmaker-shadow": "1"}
        try:
            async with http.post(
                self._url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                if response.status in _SHED:
                    raise ShedError
                if response.status != 200:
                    message = f"status {response.status}"
                    raise FailedError(message)
                if response.headers.get("kingmaker-model") != self.target.model:
                    raise ShedError
                seconds = float(response.headers.get("kingmaker-execution-seconds", "nan"))
                length = response.headers.get(_JSON_LENGTH)
                content = await _bounded(response)
            outputs = read_reply(content, None if length is None else int(length), max_bytes=_MAX_REPLY_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ServingError, ValueError) as error:
            message = f"{type(error).__name__}: {error}"
            raise FailedError(message) from error
        return outputs, seconds

    def _compare(self, copy: Copy, outputs: Mapping[str, np.ndarray]) -> list[bool]:
        """Say per row whether both models agree.

        Raises:
            FailedError: The challenger's answer has no such output, or another number of rows.
        """
        if self._task is None:
            return [_all_close(copy.outputs, outputs)] * copy.rows
        answers = outputs.get(self._task.label)
        if answers is None or answers.size != len(copy.answers):
            message = f"its answer has no output {self._task.label!r} of {len(copy.answers)} rows"
            raise FailedError(message)
        others = answers.ravel().tolist()
        return [agree(mine, other, self._task) for mine, other in zip(copy.answers, others, strict=True)]

    def _count_times(self, decision: str, champion: float, challenger: float) -> None:
        if not challenger >= 0:
            return
        self._times.append((champion, challenger))
        if len(self._times) < LATENCY_PAIRS:
            return
        mine, other = (median(side) for side in zip(*self._times, strict=True))
        self._times.clear()
        if other > SLOWER_RATIO * mine:
            self._profile.slower.add(self.target.model, decision, "challenger")
        elif mine > SLOWER_RATIO * other:
            self._profile.slower.add(self.target.model, decision, "champion")

    def _fail(self, copy: Copy, side: str) -> None:
        self._profile.failures.add(self.target.model, self._profile.admit(copy.decision), side)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(_CHUNK):
        size += len(part)
        if size > _MAX_REPLY_BYTES:
            message = f"its answer has over {_MAX_REPLY_BYTES} bytes"
            raise FailedError(message)
        parts.append(part)
    return b"".join(parts)


def _all_close(mine: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> bool:
    """Whether all outputs are equal: numbers within a ten-thousandth, all else exactly."""
    if not set(mine) <= set(theirs):
        return False
    for name, array in mine.items():
        one, other = array.ravel(), theirs[name].ravel()
        if one.size != other.size:
            return False
        if one.dtype.kind == other.dtype.kind == "f":
            if not np.allclose(one, other, rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
                return False
        elif one.tolist() != other.tolist():
            return False
    return True
