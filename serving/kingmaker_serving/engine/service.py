"""A loaded model with its counts: answers requests, takes feedback, hands copies to the shadow."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.counts.profile import SHADOW, Identity, Profile
from kingmaker_serving.engine.runner import Runner
from kingmaker_serving.engine.settings import Settings
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.memory import Memory, Value
from kingmaker_serving.labels.tokens import Token, Tokens
from kingmaker_serving.models.loading import LoadedModel, answer_columns, count_answers, count_features
from kingmaker_serving.models.session import Execution, Stop
from kingmaker_serving.protocol.messages import InferReply, read_feedback, read_infer
from kingmaker_serving.protocol.tensors import read_inputs, requested_outputs, write_outputs

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answered request: what goes to the client, and what is counted once it has gone."""

    number: int
    token: str
    body: bytes
    request: bytes
    inputs: Mapping[str, np.ndarray]
    execution: Execution
    rows: int
    answers: list[Value]
    """The label output, one value per row; empty without a task."""


class Service:
    """One model in this process."""

    def __init__(self, settings: Settings, loaded: LoadedModel, *, started: float) -> None:
        """Lay out the counters.

        Args:
            settings: How this process was started.
            loaded: The model, after its self-test.
            started: Unix time of the process, seconds.
        """
        baseline = loaded.baseline
        signature = loaded.session.signature
        identity = Identity(
            model=settings.model_version,
            model_digest=settings.digests.model,
            baseline_digest=baseline.digest if baseline else "",
            pod=settings.pod_name,
            started=started,
        )
        self.settings = settings
        self.session = loaded.session
        self.task = loaded.task
        self.baseline = baseline
        self.profile = Profile(
            identity,
            baseline=baseline.document if baseline else None,
            features=count_features(baseline.document.features, signature) if baseline else None,
            answers=count_answers(answer_columns(baseline), signature) if baseline else None,
        )
        self.runner = Runner(workers=settings.workers, queue=settings.queue)
        self.memory = Memory(self.profile, self.task) if self.task else None
        self.tokens = Tokens(key=settings.feedback_key, address=settings.pod_ip, port=settings.management_port)
        self._numbers = count(1)
        names = {self.task.label} if self.task else set()
        if baseline:
            names |= {column.output for column in answer_columns(baseline)}
        self._watched = names

    async def infer(self, body: bytes, *, seconds: float) -> Answer:
        """Answer a request.

        Args:
            body: Unpacked JSON.
            seconds: How long it may take.

        Raises:
            ServingError: With what is wrong.
        """
        number = next(self._numbers)
        token = self.tokens.make(number)
        return await self.runner.run(lambda stop: self._answer(number, token, body, stop), seconds=seconds)

    def count(self, answer: Answer, *, decision: str, seconds: float) -> None:
        """Count an answer after it was sent."""
        profile = self.profile
        profile.count_answer(decision, rows=answer.rows, seconds=seconds)
        profile.count_cells(answer.inputs, answer.execution.outputs)
        if self.memory is not None and answer.answers and decision != SHADOW:
            self.memory.remember(answer.number, decision=decision, answers=answer.answers)

    def judge(self, token: Token, labels: list[str | int | float | bool]) -> int:
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

    def unmatched(self, why: str) -> ServingError:
        """Count feedback that finds no request, and build its error."""
        self.profile.unmatched.add()
        return ServingError(ErrorCode.NOT_FOUND, f"no request of this id is remembered: {why}")

    def _answer(self, number: int, token: str, body: bytes, stop: Stop) -> Answer:
        """Read, run and write, all on a worker: the event loop only moves bytes."""
        request = read_infer(body)
        signature = self.session.signature
        names = requested_outputs(request, signature)
        inputs = read_inputs(request, signature, self.session.symbols)
        execution = self.session.run(inputs, list(dict.fromkeys([*names, *self._watched])), stop)
        outputs = execution.outputs
        reply = InferReply(
            model_name=self.settings.model_name,
            model_version=self.settings.model_version,
            id=request.id if request.id is not None else token,
            outputs=write_outputs(outputs, names, signature.outputs, max_bytes=self.settings.max_response_bytes),
        )
        answers = self._answers(outputs)
        first = next(iter(inputs.values()))
        rows = len(answers) or (len(first) if first.ndim else 1)
        return Answer(number, token, _ENCODER.encode(reply), body, inputs, execution, rows, answers)

    def _answers(self, outputs: Mapping[str, np.ndarray]) -> list[Value]:
        if self.task is None:
            return []
        label = outputs[self.task.label]
        if not label.ndim or label.size != len(label):
            return []
        values: list[Value] = label.reshape(-1).tolist()
        return values
