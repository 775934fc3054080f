"""Shadowing: which requests of this server are copied to whom. Only a champion copies, and only while told to."""

import asyncio
import logging
import zlib
from typing import Final

import aiohttp

from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.labels.targets import Target, TargetsFile
from kingmaker_serving.shadow.lane import Copy, Lane

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0


class Shadow:
    """Owns one lane per challenger, and follows the file of targets."""

    def __init__(self, model: ServedModel, file: TargetsFile | None) -> None:
        """Take the server's model, and the file of targets, which is kept fresh here; None for never any."""
        self._model = model
        self._file = file
        self._lanes: list[Lane] = []
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._decision = ""

    @property
    def depth(self) -> int:
        """Copies that wait, over all challengers."""
        return sum(lane.depth for lane in self._lanes)

    def offer(self, job: Job) -> None:
        """Queue copies of an answered request for the challengers that get this one."""
        if not self._lanes:
            return
        # The id is random enough, and every server chooses alike without talking to another.
        share = zlib.crc32(job.made.text.encode()) % 100
        copy = Copy(
            nonce=job.made.nonce,
            decision=self._decision,
            inputs=job.inputs,
            outputs=job.outputs if self._model.task is None else {},
            answers=job.answers,
            rows=len(job.answers) or job.rows,
            seconds=job.seconds,
        )
        for lane in self._lanes:
            if share < lane.target.percent:
                lane.offer(copy)

    async def run(self) -> None:
        """Follow the file until cancelled."""
        if self._file is None:
            return
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32)) as http:
            try:
                while True:
                    if self._file.refresh():
                        await self._apply(self._file, http)
                    self._restart_ended(http)
                    await asyncio.sleep(POLL_SECONDS)
            finally:
                await self._end(list(self._tasks))

    async def _apply(self, file: TargetsFile, http: aiohttp.ClientSession) -> None:
        current = file.current
        wanted: tuple[Target, ...] = ()
        if current is not None and current.champion == self._model.settings.version:
            wanted = tuple(target for target in current.targets if target.percent)
            self._decision = current.label
        # A changed percent keeps what is queued; another model or address does not.
        known = {(lane.target.model, lane.target.digest, lane.target.url): lane for lane in self._lanes}
        lanes = []
        for target in wanted:
            lane = known.pop((target.model, target.digest, target.url), None) or self._lane(target)
            lane.target = target
            lanes.append(lane)
        self._lanes = lanes
        # Labels of requests from now on are passed on to this pod.
        self._model.is_copied = bool(lanes)
        await self._end([lane for lane in self._tasks if lane not in lanes])
        for lane in lanes:
            if lane not in self._tasks:
                self._tasks[lane] = asyncio.create_task(lane.run(http))
        shown = {target.model: target.percent for target in wanted}
        pods = len(current.addresses) if current else 0
        logger.info("targets changed", extra={"decision": self._decision, "targets": shown, "peers": pods})

    def _lane(self, target: Target) -> Lane:
        model = self._model
        return Lane(
            target,
            path=f"/v2/models/{model.settings.name}/infer",
            signature=model.session.signature,
            task=model.task,
            profile=model.profile,
            pairs=model.verdicts.pairs,
        )

    def _restart_ended(self, http: aiohttp.ClientSession) -> None:
        """A bug in one lane must not end shadowing without a word."""
        for lane, task in self._tasks.items():
            if task.done():
                logger.error("shadow lane ended", extra={"challenger": lane.target.model}, exc_info=task.exception())
                self._tasks[lane] = asyncio.create_task(lane.run(http))

    async def _end(self, lanes: list[Lane]) -> None:
        tasks = [self._tasks.pop(lane) for lane in lanes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
