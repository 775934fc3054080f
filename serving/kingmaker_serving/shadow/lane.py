"""Copies of the champion's runs for one challenger: queued, sent, compared. The champion never waits."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Final

import numpy as np

from kingmaker_serving.counts.profile import Profile
from kingmaker_serving.errors import ServingError
from kingmaker_serving.httpclient import Client, Place, RequestError, Response
from kingmaker_serving.labels.memory import Pairs
from kingmaker_serving.labels.targets import Target
from kingmaker_serving.protocol.client import read_reply, write_request
from kingmaker_serving.protocol.signature import Task
from kingmaker_serving.shadow.compare import DISTANCE_EDGES, UnusableError, agreement, distances
from kingmaker_serving.shadow.copies import Copy

logger = logging.getLogger(__name__)

MAX_COPIES: Final = 1000
"""Runs that may wait; more are dropped and counted."""
MAX_BYTES: Final = 32 * 1024**2
"""Of all that waits or is on its way: what the champion saw and said."""
AT_ONCE: Final = 4
"""Runs on their way at one time, each on a connection of its own."""
SECONDS: Final = 10.0
MAX_REPLY_BYTES: Final = 64 * 1024**2
SLOWER_RATIO: Final = 1.25
LATENCY_PAIRS: Final = 8
"""Runs whose median times are compared at once: one time alone says little."""
_SHED: Final = frozenset({429, 503})
_EDGE_NAMES: Final = (*(f"{edge:g}" for edge in DISTANCE_EDGES), "+Inf")


class ShedError(Exception):
    """The challenger was not asked in earnest: it is full, or somebody else answers there."""


class Lane:
    """The queue to one challenger."""

    def __init__(
        self,
        target: Target,
        client: Client,
        *,
        path: str,
        datatypes: Mapping[str, str],
        task: Task | None,
        profile: Profile,
        pairs: Pairs | None,
    ) -> None:
        """Take where copies go and where pairs are counted.

        Args:
            target: The challenger.
            client: Sends.
            path: Of its infer endpoint.
            datatypes: Of the champion's inputs.
            task: What an answer means; None compares all outputs.
            profile: Counts pairs.
            pairs: Remember the challenger's answers for labels to come.
        """
        self.target = target
        self._client = client
        self._place = Place.read(target.url, path)
        self._datatypes = datatypes
        self._task = task
        self._profile = profile
        self._pairs = pairs
        self._queue: deque[Copy] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._times: list[tuple[float, float]] = []

    @property
    def depth(self) -> int:
        """Runs that wait."""
        return len(self._queue)

    def offer(self, copy: Copy) -> None:
        """Queue a copy, or count it as dropped."""
        if len(self._queue) >= MAX_COPIES or self._bytes + copy.size > MAX_BYTES:
            self._fail(copy, "dropped")
            return
        self._queue.append(copy)
        self._bytes += copy.size
        self._filled.set()

    async def run(self) -> None:
        """Send copies until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._send())

    async def _send(self) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            copy = self._queue.popleft()
            try:
                await self._judge(copy)
            finally:
                self._bytes -= copy.size

    async def _judge(self, copy: Copy) -> None:
        try:
            outputs, seconds = await self._ask(copy)
            agrees = agreement(self._task, copy.outputs, outputs, copy.rows)
        except ShedError:
            self._fail(copy, "dropped")
            return
        except (RequestError, UnusableError, ServingError, ValueError) as error:
            logger.debug("challenger failed", extra={"challenger": self.target.model, "error": str(error)[:300]})
            self._fail(copy, "challenger")
            return
        decision = self._profile.admit(copy.decision)
        agreed = int(np.count_nonzero(agrees))
        pairs = self._profile.pairs
        pairs.add(self.target.model, decision, "agree", count=agreed)
        pairs.add(self.target.model, decision, "disagree", count=len(agrees) - agreed)
        self._count_times(decision, copy.seconds, seconds)
        if self._task is not None:
            self._count_distances(self._task, decision, copy, outputs)
            self._remember(outputs[self._task.label].reshape(-1), copy)

    async def _ask(self, copy: Copy) -> tuple[Mapping[str, np.ndarray], float]:
        body, length = write_request(copy.inputs, self._datatypes)
        headers = (
            ("content-type", "application/octet-stream"),
            ("inference-header-content-length", str(length)),
            ("kingmaker-shadow", "1"),
        )
        response = await self._client.post(self._place, body, headers, seconds=SECONDS, max_bytes=MAX_REPLY_BYTES)
        self._check(response)
        told = response.headers.get("inference-header-content-length", "")
        outputs = read_reply(response.body, int(told) if told.isdigit() else None, max_bytes=MAX_REPLY_BYTES)
        return outputs, float(response.headers.get("kingmaker-execution-seconds", "nan"))

    def _check(self, response: Response) -> None:
        if response.status in _SHED:
            raise ShedError
        if response.status != 200:
            message = f"status {response.status}"
            raise RequestError(message)
        if response.headers.get("kingmaker-model") != self.target.model:
            raise ShedError

    def _remember(self, answers: np.ndarray, copy: Copy) -> None:
        """Keep the challenger's answers, by request, for labels to come."""
        if self._pairs is None or len(answers) != copy.rows:
            return
        number = int(copy.decision) if copy.decision.isdigit() else None
        start = 0
        for nonce, rows in copy.parts:
            said = answers[start : start + rows]
            start += rows
            if nonce:
                self._pairs.pair(nonce, challenger=self.target.model, decision=number, answers=said)

    def _count_distances(self, task: Task, decision: str, copy: Copy, outputs: Mapping[str, np.ndarray]) -> None:
        counts = distances(task, copy.outputs, outputs)
        for index in np.flatnonzero(counts):
            self._profile.distances.add(self.target.model, decision, _EDGE_NAMES[index], count=int(counts[index]))

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
        self._profile.failures.add(self.target.model, self._profile.admit(copy.decision), side, count=copy.requests)
