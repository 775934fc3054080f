"""A model that is served: run, counted and judged on its own. A value that the process holds, one or many."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from kingmaker_serving.counts.profile import SHADOW, Identity, Profile
from kingmaker_serving.counts.series import NONE
from kingmaker_serving.engine.counter import Counting
from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.pace import Pace
from kingmaker_serving.engine.runner import Runner
from kingmaker_serving.engine.settings import ModelSettings
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.memory import Memory
from kingmaker_serving.labels.tokens import Token, Tokens
from kingmaker_serving.models.loading import LoadedModel, answer_columns, count_answers, count_features
from kingmaker_serving.protocol.messages import read_feedback
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
        tokens: Tokens,
        pod: str,
        started: float,
    ) -> None:
        """Lay out the counters.

        Args:
            settings: How it is served.
            loaded: The model, after its self-test.
            pace: How long it takes.
            watch: Ends runs on the event loop that take too long.
            tokens: Make request ids.
            pod: Name of the pod, stamped on the counts.
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
        self.codec = RestCodec(signature)
        self.profile = Profile(
            identity,
            baseline=baseline.document if baseline else None,
            features=count_features(baseline.document.features, signature) if baseline else None,
            answers=count_answers(answer_columns(baseline), signature) if baseline else None,
        )
        self.counting = Counting(self.profile)
        self.memory = Memory(self.profile, self.task) if self.task else None
        self.tokens = tokens
        self.on_answered: Callable[[Job], None] | None = None
        """Hears of every answer that was sent, but those to copies of a champion's requests."""
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
        self._numbers = count(1)
        self._names = tuple(spec.name for spec in signature.outputs)
        watched = [self.task.label] if self.task else []
        if baseline:
            watched += [column.output for column in answer_columns(baseline)]
        self._watched = tuple(dict.fromkeys(watched))
        self._datatypes = {spec.name: spec.datatype for spec in signature.outputs}

    # -- requests

    def submit(
        self,
        request: InferenceRequest,
        *,
        decision: str,
        began: float,
        deadline: float,
        on_done: Callable[[Job], None],
    ) -> Job:
        """Take a request; its outcome comes later, by `on_done`.

        Args:
            request: Fits the signature.
            decision: Label to count it under: a sequence number, `none` or `shadow`.
            began: When its first byte came, `time.perf_counter`.
            deadline: When nobody waits for it any more, likewise.
            on_done: Called once on the event loop, `job.error` or `job.outputs` is set. Not after `job.cancel()`.

        Raises:
            ServingError: OVERLOADED.
        """
        wanted = [output.name for output in request.outputs] or self._names
        names = list(dict.fromkeys((*wanted, *self._watched)))
        job = Job(request, names, decision=decision, began=began, deadline=deadline, on_done=on_done)
        self.runner.put(job)
        return job

    async def infer(
        self, request: InferenceRequest, *, decision: str, began: float, deadline: float
    ) -> tuple[Job, InferenceReply]:
        """The same for who prefers to wait. Whoever sends the reply calls `sent` then, or `failed`.

        Raises:
            ServingError: With what went wrong.
        """
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

        def done(job: Job) -> None:
            if not future.done():
                future.set_result(job)

        job = self.submit(request, decision=decision, began=began, deadline=deadline, on_done=done)
        try:
            await future
        except asyncio.CancelledError:
            job.cancel()
            raise
        if job.error is not None:
            raise job.error
        return job, self.reply(job)

    def reply(self, job: Job) -> InferenceReply:
        """Make the answer of a job that succeeded, and its request id (`job.token`)."""
        job.number = next(self._numbers)
        job.answers = self._answers(job)
        job.token = self.tokens.make(job.number)
        request = job.request
        wanted = [output.name for output in request.outputs] or self._names
        # An optional output may have no value.
        outputs = {name: job.outputs[name] for name in wanted if name in job.outputs}
        settings = self.settings
        return InferenceReply(settings.name, settings.version, request.id or job.token, outputs, self._datatypes)

    def sent(self, job: Job) -> None:
        """Count an answer that was sent."""
        seconds = time.perf_counter() - job.began
        rows = len(job.answers) or job.rows
        self.counting.add(job.decision, rows, seconds, job.inputs, job.outputs)
        if job.decision == SHADOW:
            return
        if self.memory is not None and job.answers:
            self.memory.remember(job.number, decision=job.decision, answers=job.answers)
        if self.on_answered is not None:
            self.on_answered(job)

    def failed(self, decision: str, error: ServingError) -> None:
        """Count a request that got an error."""
        outcome = "server_error" if error.code.status >= 500 else "client_error"
        self.profile.count_request(self.profile.admit(decision), outcome)

    def decision(self, stamp: bytes | None, *, is_shadow: bool) -> str:
        """Give the label for what a router stamped on a request."""
        if is_shadow:
            return SHADOW
        if stamp and len(stamp) <= _MAX_DECISION and stamp.isdigit():
            return str(int(stamp))
        return NONE

    # -- labels

    def read_feedback(self, body: bytes) -> tuple[Token, list[str | int | float | bool]]:
        """Read a feedback message and check who made its id.

        Raises:
            ServingError: INVALID_REQUEST, or NOT_FOUND for an id that no pod of this deployment made.
        """
        feedback = read_feedback(body)
        labels = feedback.given()
        if not labels:
            raise ServingError(ErrorCode.INVALID_REQUEST, "labels is an empty list; send one label per row")
        token = self.tokens.read(feedback.id)
        if token is None:
            raise self.unmatched("send the reply's header kingmaker-request-id as it was")
        return token, labels

    def judge(self, token: Token, labels: Sequence[str | int | float | bool]) -> int:
        """Take the labels for a request that this pod answered.

        Returns:
            Rows judged.

        Raises:
            ServingError: NOT_FOUND when it is forgotten, CONFLICT, INVALID_REQUEST.
        """
        if self.memory is None:
            message = "this model has no task, so nobody knows which output a label belongs to; add spec.task"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        matched = self.memory.judge(token.number, labels) if self.tokens.is_own(token) else None
        if matched is None:
            raise self.unmatched("its rows are forgotten, or the server was restarted since")
        return matched

    def unmatched(self, why: str) -> ServingError:
        """Count feedback that finds no request, and build its error."""
        self.profile.unmatched.add()
        return ServingError(ErrorCode.NOT_FOUND, f"no request of this id is remembered: {why}")

    # -- life

    def settled(self) -> Profile:
        """Give the counts of all that was answered until now."""
        self.counting.settle()
        return self.profile

    def abandon(self, error: ServingError) -> None:
        """Answer everything that waits or runs with an error."""
        self.runner.abandon(error)

    def close(self) -> None:
        """End what runs."""
        self.runner.close()

    def _answers(self, job: Job) -> list[str | int | float | bool | None]:
        if self.task is None:
            return []
        label = job.outputs[self.task.label]
        if not label.ndim or label.size != len(label):
            return []
        answers: list[str | int | float | bool | None] = label.reshape(-1).tolist()
        return answers
