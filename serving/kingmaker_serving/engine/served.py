"""A model that is served: run, counted and judged on its own. A value that the process holds, one or many."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from kingmaker_serving.counts.profile import SHADOW, Identity, Profile
from kingmaker_serving.counts.series import NONE
from kingmaker_serving.engine.counter import Counting
from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.pace import Pace
from kingmaker_serving.engine.runner import Runner
from kingmaker_serving.engine.settings import ModelSettings
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import ServingError
from kingmaker_serving.labels.answers import values_of
from kingmaker_serving.labels.ids import Ids
from kingmaker_serving.labels.judge import Judge
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.labels.scores import ScoreCells
from kingmaker_serving.labels.verdicts import Verdicts
from kingmaker_serving.models.loading import LoadedModel, answer_columns, count_answers, count_features
from kingmaker_serving.protocol.bfloat16 import to_float32
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest

_MAX_DECISION: Final = 9
"""Digits."""


class ServedModel:
    """One model in this process."""

    def __init__(
        self,
        settings: ModelSettings,
        loaded: LoadedModel,
        pace: Pace,
        *,
        watch: Watch,
        keys: Keys,
        pod: str,
        address: str,
        started: float,
    ) -> None:
        """Lay out the counters.

        Args:
            settings: How it is served.
            loaded: The model, after its self-test.
            pace: How long it takes.
            watch: Ends runs on the event loop that take too long.
            keys: Of the request ids.
            pod: Name of the pod, stamped on the counts.
            address: IP address of the pod, for ids of requests that it remembers more of.
            started: Unix time from which it counts, seconds.
        """
        baseline, signature = loaded.baseline, loaded.session.signature
        identity = Identity(
            model=settings.version,
            model_digest=settings.digests.model,
            baseline_digest=baseline.digest if baseline else "",
            pod=pod,
            started=started,
        )
        self.settings = settings
        self.version = settings.version.encode()
        self.session = loaded.session
        self.task = loaded.task
        self.baseline = baseline
        self.codec = RestCodec(signature, max_bytes=settings.limits.max_request_bytes)
        self.profile = Profile(
            identity,
            baseline=baseline.document if baseline else None,
            features=count_features(baseline.document.features, signature) if baseline else None,
            answers=count_answers(answer_columns(baseline), signature) if baseline else None,
        )
        self.counting = Counting(self.profile)
        self.ids = self._ids(keys, loaded, address)
        self.verdicts = Verdicts(self.ids, self.profile.labels)
        self.judge = Judge(self.verdicts)
        self.is_copied = False
        """Whether challengers get copies of its requests."""
        limits = settings.limits
        self.runner = Runner(
            loaded.session,
            pace,
            watch,
            workers=limits.workers,
            queue=limits.queue,
            max_rows=limits.max_rows,
            max_delay=limits.max_delay,
        )
        self._names = tuple(spec.name for spec in signature.outputs)
        watched = [self.task.label] if self.task else []
        if baseline:
            watched += [column.output for column in answer_columns(baseline)]
        self._watched = tuple(dict.fromkeys(watched))
        self._all = tuple(dict.fromkeys((*self._names, *self._watched)))
        self._datatypes = {spec.name: spec.datatype for spec in signature.outputs}

    # -- requests

    def submit(
        self,
        request: InferenceRequest,
        *,
        decision: str,
        bucket: str = "",
        began: float,
        deadline: float,
        on_done: Callable[[Job], None],
    ) -> Job:
        """Take a request; its outcome comes later, by `on_done`.

        Args:
            request: Fits the signature.
            decision: Label to count it under: a sequence number, `none` or `shadow`.
            bucket: Likewise; empty for none.
            began: When its first byte came, `time.perf_counter`.
            deadline: When nobody waits for it any more, likewise.
            on_done: Called once on the event loop, `job.error` or `job.outputs` is set. Not after `job.cancel()`.

        Raises:
            ServingError: OVERLOADED.
        """
        names = self._all
        if request.outputs:
            names = tuple(dict.fromkeys((*(output.name for output in request.outputs), *self._watched)))
        job = Job(request, names, decision=decision, bucket=bucket, began=began, deadline=deadline, on_done=on_done)
        self.runner.put(job)
        return job

    async def infer(
        self, request: InferenceRequest, *, decision: str, began: float, deadline: float
    ) -> tuple[Job, InferenceReply]:
        """The same for who prefers to wait. Whoever sends the reply calls `sent` then, or `failed`.

        Raises:
            ServingError: With what went wrong.
        """
        future: asyncio.Future[InferenceReply] = asyncio.get_running_loop().create_future()

        def done(job: Job) -> None:
            if future.done():
                return
            if job.error is not None:
                future.set_exception(job.error)
            else:
                future.set_result(self.reply(job))

        job = self.submit(request, decision=decision, began=began, deadline=deadline, on_done=done)
        try:
            return job, await future
        except asyncio.CancelledError:
            job.cancel()
            raise

    def reply(self, job: Job) -> InferenceReply:
        """Make the answer of a job that succeeded, and its request id (`job.made`)."""
        label = self._label(job)
        job.answers = [] if label is None else values_of(label)
        scores = self._numbers(job, self._score) if self._score else None
        decision = int(job.decision) if job.decision.isdigit() else None
        is_copied = self.is_copied and job.decision != SHADOW
        bucket = int(job.bucket) if job.bucket else None
        job.made = self.ids.make(decision, label, scores, bucket=bucket, is_copied=is_copied)
        request = job.request
        wanted = [output.name for output in request.outputs] or self._names
        # An optional output may have no value.
        outputs = {name: job.outputs[name] for name in wanted if name in job.outputs}
        settings = self.settings
        return InferenceReply(settings.name, settings.version, request.id or job.made.text, outputs, self._datatypes)

    def sent(self, job: Job) -> None:
        """Count an answer that was sent."""
        seconds = time.perf_counter() - job.began
        rows = len(job.answers) or job.rows
        self.counting.add(job, rows, seconds)
        if job.decision == SHADOW:
            return
        if job.request.id or job.made.is_wide:
            self.judge.note(job.made, job.request.id, self._label(job))

    def failed(self, decision: str, error: ServingError, bucket: str = "") -> None:
        """Count a request that got an error."""
        outcome = "server_error" if error.code.status >= 500 else "client_error"
        self.profile.count_request(self.profile.admit(decision), outcome, bucket)

    def decision(self, stamp: bytes | None, *, is_shadow: bool) -> str:
        """Give the label for what a router stamped on a request."""
        if is_shadow:
            return SHADOW
        if stamp and len(stamp) <= _MAX_DECISION and stamp.isdigit():
            return str(int(stamp))
        return NONE

    # -- life

    def settled(self) -> Profile:
        """Give the counts of all that was answered until now."""
        self.counting.settle()
        return self.profile

    async def idle(self) -> None:
        """Return once nothing waits or runs."""
        await self.runner.idle()

    def abandon(self, error: ServingError) -> None:
        """Answer everything that waits or runs with an error."""
        self.runner.abandon(error)

    def close(self) -> None:
        """End what runs."""
        self.runner.close()

    def _ids(self, keys: Keys, loaded: LoadedModel, address: str) -> Ids:
        settings = self.settings
        score = loaded.baseline.document.score if loaded.baseline else None
        spec = loaded.session.signature.output(score.output) if score else None
        self._score = spec.name if spec else ""
        return Ids(
            keys,
            deployment=settings.name,
            model=settings.version,
            digest=settings.digests.model,
            task=self.task,
            address=address,
            scores=ScoreCells(score, spec.datatype) if score and spec else None,
        )

    def _label(self, job: Job) -> np.ndarray | None:
        """Give the output that labels are compared with, where it has one value per row."""
        if self.task is None:
            return None
        label = job.outputs[self.task.label]
        return self._numbers(job, self.task.label) if label.ndim and label.size == len(label) else None

    def _numbers(self, job: Job, output: str) -> np.ndarray:
        array = job.outputs[output]
        return to_float32(array) if self._datatypes[output] == "BF16" else array
