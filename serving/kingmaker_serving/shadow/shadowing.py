"""Shadowing: which requests of this server are copied to whom. Only a champion copies, and only while told to."""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from typing import Final

from kingmaker_serving.counts.profile import SHADOW
from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.httpclient import Client
from kingmaker_serving.labels.targets import Target, TargetsFile
from kingmaker_serving.shadow.copies import copy_run
from kingmaker_serving.shadow.lane import Lane

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0


class Shadow:
    """Owns one lane per challenger, and follows the file of targets."""

    def __init__(self, model: ServedModel, file: TargetsFile | None, client: Client) -> None:
        """Take what is copied and how.

        Args:
            model: The server's.
            file: Of targets, which is kept fresh here; None for never any.
            client: Sends.
        """
        self._model = model
        self._client = client
        task, outputs = model.task, model.session.signature.outputs
        self._compared = [spec.name for spec in outputs if task is None or spec.name in {task.label, task.score}]
        self._datatypes = {spec.name: spec.datatype for spec in model.session.signature.inputs}
        self._file = file
        self._lanes: list[Lane] = []
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._decision = ""

    @property
    def depth(self) -> int:
        """Copies that wait, over all challengers."""
        return sum(lane.depth for lane in self._lanes)

    def offer(self, jobs: Sequence[Job]) -> None:
        """Queue copies of a run, all of it, for the challengers that get this one."""
        jobs = [job for job in jobs if job.error is None and job.made.text and job.decision != SHADOW]
        if not self._lanes or not jobs:
            return
        # The id is random enough. What ran together goes together, or the times could not be compared.
        share = zlib.crc32(jobs[0].made.text.encode()) % 100
        chosen = [lane for lane in self._lanes if share < lane.target.percent]
        if chosen:
            copy = copy_run(jobs, self._decision, self._compared)
            for lane in chosen:
                lane.offer(copy)

    async def run(self) -> None:
        """Follow the file until cancelled."""
        if self._file is None:
            return
        try:
            while True:
                await self._look(self._file)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._end(list(self._tasks))

    async def _look(self, file: TargetsFile) -> None:
        try:
            if file.refresh():
                await self._apply(file)
            self._restart_ended()
        except Exception:
            # Requests are answered without copies, too.
            logger.exception("shadowing failed by a bug")

    async def _apply(self, file: TargetsFile) -> None:
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
                self._tasks[lane] = asyncio.create_task(lane.run())
        shown = {target.model: target.percent for target in wanted}
        pods = len(current.addresses) if current else 0
        logger.info("targets changed", extra={"decision": self._decision, "targets": shown, "peers": pods})

    def _lane(self, target: Target) -> Lane:
        model = self._model
        return Lane(
            target,
            self._client,
            path=f"/v2/models/{model.settings.name}/infer",
            datatypes=self._datatypes,
            task=model.task,
            profile=model.profile,
            pairs=model.verdicts.pairs,
        )

    def _restart_ended(self) -> None:
        """A bug in one lane must not end shadowing without a word."""
        for lane, task in self._tasks.items():
            if task.done():
                logger.error("shadow lane ended", extra={"challenger": lane.target.model}, exc_info=task.exception())
                self._tasks[lane] = asyncio.create_task(lane.run())

    async def _end(self, lanes: list[Lane]) -> None:
        tasks = [self._tasks.pop(lane) for lane in lanes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
