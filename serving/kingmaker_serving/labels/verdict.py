"""Whether answers were right, once it is known what is true. Pure."""

from collections.abc import Callable, Sequence
from math import isfinite, nan
from typing import Final

from kingmaker_serving.counts.labelled import Seen, share_of
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.ids import draw_row
from kingmaker_serving.protocol.signature import Task, TaskType

_ANY_NUMBER: Final = (int, float)


def agree(left: Value, right: Value, task: Task) -> bool:
    """Whether two answers are the same for a task: equal classes, or numbers within the tolerance."""
    return matches(left, right, task.tolerance if task.type is TaskType.REGRESSION else None)


def matches(answer: Value, label: Value, tolerance: float | None) -> bool:
    """Whether an answer is right: the class of the label, or a number within a tolerance of it."""
    if tolerance is None:
        return answer == label and isinstance(answer, str) == isinstance(label, str)
    if not isinstance(answer, _ANY_NUMBER) or not isinstance(label, _ANY_NUMBER):
        return False
    return abs(answer - label) <= tolerance


def check_labels(answers: Sequence[Value], labels: Sequence[Value]) -> None:
    """Check that labels can be compared with answers.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    if len(labels) != len(answers):
        message = f"{len(labels)} labels for a request of {len(answers)} rows; send one per row"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    is_text = isinstance(answers[0], str) if answers else False
    for index, label in enumerate(labels):
        fits = isinstance(label, str) if is_text else _is_number(label)
        if not fits:
            wanted = "text" if is_text else "a finite number of 64 bits"
            message = f"label {index} is {type(label).__name__}; the model's answers are {wanted} each"
            raise ServingError(ErrorCode.INVALID_REQUEST, message)


def _is_number(label: Value) -> bool:
    # JSON may have whole numbers that no float can hold.
    return -(2**64) < label < 2**64 if isinstance(label, int) else isinstance(label, float) and isfinite(label)


def see(
    answers: Sequence[Value],
    labels: Sequence[Value],
    *,
    tolerance: float | None,
    random: int,
    name: Callable[[Value], str],
) -> Seen:
    """Compare answers with labels that `check_labels` let pass.

    Args:
        answers: One per row, at least one.
        labels: As many.
        tolerance: Largest error of a right number; None for classes.
        random: The request's number.
        name: Names a class.
    """
    rows = [matches(answer, label, tolerance) for answer, label in zip(answers, labels, strict=True)]
    share = share_of(rows.count(False), len(rows), random)
    drawn = draw_row(random, len(rows))
    answer, label = answers[drawn], labels[drawn]
    if tolerance is not None:
        both = isinstance(answer, _ANY_NUMBER) and isinstance(label, _ANY_NUMBER)
        return Seen(rows, share, error=answer - label if both else nan)  # type: ignore[operator]  # both are numbers
    return Seen(rows, share, name(answer), name(label), rows[drawn])
