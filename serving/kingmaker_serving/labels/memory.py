"""What was answered lately, so that labels that arrive later can judge it."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from kingmaker_serving.counts.profile import Profile
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.signature import Task, TaskType

CAPACITY_ROWS: Final = 100_000
Value = str | int | float | bool | None


@dataclass(slots=True)
class _Rival:
    challenger: str
    decision: str
    answers: Sequence[Value]


@dataclass(slots=True)
class _Answered:
    decision: str
    answers: Sequence[Value]
    rivals: list[_Rival] = field(default_factory=list)
    labels: Sequence[Value] | None = None


class Memory:
    """The last rows that were answered, oldest forgotten first."""

    def __init__(self, profile: Profile, task: Task, *, capacity_rows: int = CAPACITY_ROWS) -> None:
        """Take where verdicts are counted and what an answer means."""
        self._profile = profile
        self._task = task
        self._capacity = capacity_rows
        self._requests: OrderedDict[int, _Answered] = OrderedDict()
        self.rows = 0

    def remember(self, number: int, *, decision: str, answers: Sequence[Value]) -> None:
        """Remember a request's answers, one per row. One that is larger than the whole memory is not remembered."""
        if len(answers) > self._capacity:
            return
        self._requests[number] = _Answered(decision, answers)
        self.rows += len(answers)
        while self.rows > self._capacity:
            _, oldest = self._requests.popitem(last=False)
            self.rows -= len(oldest.answers)

    def pair(self, number: int, *, challenger: str, decision: str, answers: Sequence[Value]) -> None:
        """Remember what a challenger said to the same rows. Labels that came before it judge it now."""
        answered = self._requests.get(number)
        if answered is None or len(answers) != len(answered.answers):
            return
        rival = _Rival(challenger, decision, answers)
        if answered.labels is None:
            answered.rivals.append(rival)
        else:
            self._judge_pair(answered, rival, answered.labels)

    def judge(self, number: int, labels: Sequence[Value]) -> int | None:
        """Count whether the answers to a request were right.

        Args:
            number: The request's.
            labels: One per row.

        Returns:
            Rows judged; None when the request is forgotten or was never here.

        Raises:
            ServingError: INVALID_REQUEST when labels don't fit the answers, CONFLICT the second time.
        """
        answered = self._requests.get(number)
        if answered is None:
            return None
        self._check(answered, labels)
        if answered.labels is not None:
            raise ServingError(ErrorCode.CONFLICT, "labels for this id came before; they count once")
        decision = self._profile.admit(answered.decision)
        for answer, label in zip(answered.answers, labels, strict=True):
            self._profile.feedback.add(decision, self._outcome(answer, label))
        for rival in answered.rivals:
            self._judge_pair(answered, rival, labels)
        answered.labels, answered.rivals = labels, []
        return len(labels)

    def _judge_pair(self, answered: _Answered, rival: _Rival, labels: Sequence[Value]) -> None:
        decision = self._profile.admit(rival.decision)
        for mine, other, label in zip(answered.answers, rival.answers, labels, strict=True):
            outcomes = self._outcome(mine, label), self._outcome(other, label)
            self._profile.shadow_feedback.add(rival.challenger, decision, *outcomes)

    def _outcome(self, answer: Value, label: Value) -> str:
        return "correct" if agree(answer, label, self._task) else "wrong"

    def _check(self, answered: _Answered, labels: Sequence[Value]) -> None:
        if len(labels) != len(answered.answers):
            message = f"{len(labels)} labels for a request of {len(answered.answers)} rows; send one per row"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)
        is_text = isinstance(answered.answers[0], str) if len(answered.answers) else False
        for index, label in enumerate(labels):
            fits = isinstance(label, str) if is_text else isinstance(label, int | float) and isfinite(label)
            if not fits:
                wanted = "text" if is_text else "a number"
                message = f"label {index} is {type(label).__name__}; the model's answers are {wanted} each"
                raise ServingError(ErrorCode.INVALID_REQUEST, message)


def agree(left: Value, right: Value, task: Task) -> bool:
    """Whether two answers are the same for a task: equal classes, or numbers within the tolerance."""
    if task.type is TaskType.CLASSIFICATION:
        return type(left) is type(right) and left == right if isinstance(left, str) else left == right
    if isinstance(left, str) or isinstance(right, str) or left is None or right is None:
        return False
    return abs(left - right) <= task.tolerance
