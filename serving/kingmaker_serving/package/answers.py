"""What a model answers to rows, and the reference of its predictions and scores that is made of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np

from kingmaker_serving.counts.labelled import ClassNames
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.package.holdout import JudgedRows
from kingmaker_serving.package.reference import SCORE_CELLS, Cut, cut_column
from kingmaker_serving.package.tables import invalid
from kingmaker_serving.protocol.signature import Signature, Task, TaskType

DECISION_THRESHOLD: Final = 0.5
"""Probability from which a binary classifier says yes; an edge of the score's cells."""
_BATCH: Final = 4096


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's answers, by output, to the rows that it is judged by."""

    outputs: Mapping[str, np.ndarray]
    judged: JudgedRows


def predict(
    session: ModelSession, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], step: int | None
) -> dict[str, np.ndarray]:
    """Give what the model answers.

    Args:
        session: The model.
        feeds: By input, the same number of rows in each.
        outputs: Those that are wanted; none gives nothing.
        step: Rows of every run, where the file fixes it.
    """
    if not outputs:
        return {}
    rows, size = len(next(iter(feeds.values()))), step or _BATCH
    parts = [
        session.run({name: array[begin : begin + size] for name, array in feeds.items()}, outputs, Stop()).outputs
        for begin in range(0, rows, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def cut_prediction(task: Task, signature: Signature, answers: Answers) -> Cut | None:
    """Cut the answers into cells: a classification's by class, with their true classes; a regression's with its errors.

    None when there is more than one answer to a row.

    Raises:
        VerbError: There is not one label per answer.
    """
    spec, said = signature.output(task.label), answers.outputs[task.label]
    if spec is None or said.size != len(said):
        return None
    said, labels = said.reshape(-1), answers.judged.labels
    if labels is not None and labels.shape != said.shape:
        raise invalid(f"{len(labels)} labels for {len(said)} rows; give one per row")
    is_class = task.type is TaskType.CLASSIFICATION
    cut = cut_column(
        said, datatype=spec.datatype, output=spec.name, is_category=is_class, known=labels if is_class else None
    )
    cut.column.held_out = answers.judged.held_out
    if labels is not None:
        _count_wrong(cut, _wrong(task, said, labels))
        if is_class:
            _count_classes(cut, labels, ClassNames(cut.column))
        else:
            _measure_losses(cut, said, labels)
    return cut


def cut_score(task: Task, signature: Signature, answers: Answers, prediction: Cut | None) -> Cut | None:
    """Count the probability of the second of two classes; of more classes no single column says enough.

    Args:
        task: Which output it is.
        signature: Of the model.
        answers: To the rows that `prediction` is made of.
        prediction: Whose classes have names.
    """
    spec = signature.output(task.score) if task.score else None
    if spec is None or spec.datatype not in {"FP32", "FP64"} or len(spec.shape) > 2:
        return None
    scores = answers.outputs[spec.name].reshape(len(answers.outputs[spec.name]), -1)
    if scores.shape[1] > 2:
        return None
    place = scores.shape[1] - 1
    values = scores[:, place]
    edges = [DECISION_THRESHOLD]
    cut = cut_column(values, datatype=spec.datatype, output=spec.name, column=place, cells=SCORE_CELLS, edges=edges)
    cut.column.held_out = answers.judged.held_out
    if answers.judged.labels is not None and prediction is not None:
        _count_wrong(cut, _wrong(task, answers.outputs[task.label].reshape(-1), answers.judged.labels))
        if task.type is TaskType.CLASSIFICATION:
            _count_classes(cut, answers.judged.labels, ClassNames(prediction.column))
    return cut


def _wrong(task: Task, said: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if task.type is TaskType.CLASSIFICATION:
        return np.asarray(said != labels)
    # Not "over": an answer that is no number is wrong, too.
    return np.asarray(~(np.abs(labels.astype(float) - said.astype(float)) <= task.tolerance))


def _count_wrong(cut: Cut, wrong: np.ndarray) -> None:
    for cell, count in zip(cut.column.cells, cut.count(wrong), strict=True):
        if not cell.rare:
            cell.wrong = count


def _count_classes(cut: Cut, labels: np.ndarray, names: ClassNames) -> None:
    named = np.array([names.of(label) for label in labels.tolist()], dtype=object)
    for name in sorted(set(named.tolist())):
        for cell, count in zip(cut.column.cells, cut.count(named == name), strict=True):
            if count and not cell.rare:
                cell.classes = {**(cell.classes or {}), name: count}


def _measure_losses(cut: Cut, said: np.ndarray, labels: np.ndarray) -> None:
    errors = np.abs(labels.astype(float) - said.astype(float))
    with np.errstate(over="ignore"):
        means = [cut.means(np.nan_to_num(loss, nan=np.inf)) for loss in (errors, errors**2)]
    for cell, absolute, squared in zip(cut.column.cells, *means, strict=True):
        if not cell.rare:
            cell.absolute_error, cell.squared_error = _rounded(absolute), _rounded(squared)


def _rounded(mean: float | None) -> float | None:
    """Six digits are more than a mean of a reference is worth; what is beyond all numbers is not known."""
    return float(f"{mean:.6g}") if mean is not None and isfinite(mean) else None
