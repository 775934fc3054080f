"""Judges the labels of single requests, and counts what they say. What an id does not carry is remembered here."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from kingmaker_serving.counts.bucketed import NO_BUCKET
from kingmaker_serving.counts.labelled import LabelCounts
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.ids import Answered, Ids, RequestId
from kingmaker_serving.labels.memory import Pairs, WideAnswers
from kingmaker_serving.labels.ownids import OwnIds
from kingmaker_serving.labels.seen import SeenRequests
from kingmaker_serving.labels.verdict import check_labels, see


class Verdicts:
    """What this process knows and says of requests. Used from the event loop only."""

    def __init__(self, ids: Ids, counts: LabelCounts, *, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing remembered.

        Args:
            ids: Reads ids.
            counts: Where verdicts are counted.
            clock: Unix time.
        """
        self.ids = ids
        self.counts = counts
        self.own_ids = OwnIds()
        self.pairs = Pairs(counts)
        self._clock = clock
        self._seen = SeenRequests()
        self._wide = WideAnswers()

    def note(self, made: RequestId, own_id: str, answers: np.ndarray | None) -> None:
        """Remember of an answered request what its id does not carry.

        Args:
            made: Its id.
            own_id: The one that the client gave it; empty without one.
            answers: The label output, one value per row.
        """
        if own_id:
            self.own_ids.know(own_id, made.text)
        if made.is_wide and answers is not None:
            self._wide.remember(made.nonce, answers)

    def open(self, text: str) -> Answered:
        """Read an id.

        Raises:
            ServingError: NOT_FOUND.
        """
        answered = self.ids.read(text)
        if answered is None:
            why = "send the reply's header kingmaker-request-id as it was; ids of your own are remembered for a while"
            raise self.unmatched(why)
        return answered

    def judge(self, answered: Answered, labels: Sequence[Value]) -> int:
        """Count the labels of a request whose answers are in its id.

        Returns:
            Rows judged.

        Raises:
            ServingError: INVALID_REQUEST when they don't fit, CONFLICT when there were labels for it before.
        """
        if not answered.answers:
            message = "labels can't judge this request: its model has no task (add spec.task), or no answer per row"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        check_labels(answered.answers, labels)
        random = answered.random
        if random in self._seen:
            self.counts.repeated.add()
            raise ServingError(ErrorCode.CONFLICT, "labels for this id came before; they count once")
        self._seen.add(random)
        names = self.counts.names
        seen = see(answered.answers, labels, tolerance=answered.tolerance, random=random, name=names.of)
        key = self.counts.key(answered.model, answered.digest, answered.decision)
        age = self._clock() - answered.seconds
        bucket = NO_BUCKET if answered.bucket is None else str(answered.bucket)
        self.counts.count(key, seen, cell=answered.cell, age_seconds=age, bucket=bucket)
        return len(labels)

    def judge_remembered(self, answered: Answered, labels: Sequence[Value]) -> int:
        """Judge what only this pod remembers: a wide request's answers, and what challengers said to any request.

        Returns:
            Rows judged.

        Raises:
            ServingError: As `judge`; NOT_FOUND when they are forgotten.
        """
        if not answered.is_wide:
            check_labels(answered.answers, labels)
            self.pairs.judge(answered, labels)
            return len(labels)
        completed = self._wide.complete(answered)
        if completed is None:
            raise self.unmatched("its rows are forgotten, or its server was restarted; send requests of fewer rows")
        rows = self.judge(completed, labels)
        self.pairs.judge(completed, labels)
        return rows

    def unmatched(self, why: str) -> ServingError:
        """Count labels that find no request, and build their error."""
        self.counts.unmatched.add()
        return ServingError(ErrorCode.NOT_FOUND, f"no request of this id is known: {why}")
