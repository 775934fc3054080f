"""Which measure a contest is about: what people chose, made for the models that compete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from kingmaker.api import Measure as Choice
from kingmaker.api import TaskType, VerdictRule
from kingmaker.core.contest.losses import (
    HIGHEST_LOG_LOSS,
    Balanced,
    Brier,
    Chances,
    ClassLoss,
    Cost,
    Error,
    LogLoss,
    Missed,
)
from kingmaker.core.contest.measures import ERROR_RATE, MeanMeasure, Measure, NoMeasure
from kingmaker.core.contest.precision import PrecisionMeasure
from kingmaker.core.contest.subjects import Subject
from kingmaker.core.contest.yardsticks import ByClass, ByError


class UnavailableError(ValueError):
    """A measure can't be made for the models; the message says what is missing."""


@lru_cache(maxsize=512)
def choose(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    """Make the measure of a contest; one that never speaks, and says why, where it can't be made.

    Args:
        rule: What people chose.
        champion: Who holds the seat.
        challenger: Who contests it.
    """
    try:
        return _CHOICES[rule.measure](rule, champion, challenger)
    except UnavailableError as error:
        return NoMeasure(str(error), _name(rule))


def _name(rule: VerdictRule) -> str:
    return rule.measure[0].lower() + rule.measure[1:]


def _error_rate(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    del rule, champion, challenger
    return ERROR_RATE


def _cost(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    _need(rule, TaskType.CLASSIFICATION, champion, challenger)
    costs = rule.costs
    if costs is None:
        raise UnavailableError("Cost needs costs: say what wrong answers cost")
    positive = "" if costs.false_negative is None else _positive(rule, champion, challenger)
    confusions = tuple((c.true, c.predicted, float(c.cost)) for c in costs.confusions)
    negative, false = float(costs.false_negative or 0), float(costs.false_positive or 0)
    highest = max(negative, false, *(cost for *_, cost in confusions), 0.0)
    otherwise = highest if costs.otherwise is None else float(costs.otherwise)
    loss = Cost(positive, negative, false, otherwise, confusions)
    return _by_class(rule, loss, scale=loss.highest, words="cost of wrong answers")


def _recall(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    _need(rule, TaskType.CLASSIFICATION, champion, challenger)
    positive = _positive(rule, champion, challenger)
    yardstick = ByClass(Missed(positive))
    return MeanMeasure(yardstick, yardstick, "recall", f"missed requests of class {positive!r}", is_gain=True)


def _precision(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    _need(rule, TaskType.CLASSIFICATION, champion, challenger)
    positive = _positive(rule, champion, challenger)
    return PrecisionMeasure(positive, words=f"wrong ones among the answers {positive!r}")


def _balanced_error(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    _need(rule, TaskType.CLASSIFICATION, champion, challenger)
    shares = champion.classes or challenger.classes
    if not shares:
        raise UnavailableError("BalancedError needs the classes of a baseline: package the model with one")
    loss = Balanced(shares)
    return _by_class(rule, loss, scale=loss.highest, words="balanced error")


def _log_loss(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    return _by_score(rule, LogLoss, HIGHEST_LOG_LOSS, "log loss", champion, challenger)


def _brier(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    return _by_score(rule, Brier, 1.0, "Brier score", champion, challenger)


def _by_score(
    rule: VerdictRule,
    loss: Callable[[Chances], ClassLoss],
    scale: float,
    words: str,
    champion: Subject,
    challenger: Subject,
) -> Measure:
    _need(rule, TaskType.CLASSIFICATION, champion, challenger)
    if champion.chances is None or challenger.chances is None:
        side = "champion" if champion.chances is None else "challenger"
        message = f"{rule.measure} needs the {side}'s probability of the second of two classes, by its baseline's score"
        raise UnavailableError(message)
    mine, theirs = (ByClass(loss(s.chances), paired=False) for s in (champion, challenger) if s.chances)
    return MeanMeasure(mine, theirs, _name(rule), words, scale)


def _by_error(rule: VerdictRule, power: int, words: str, champion: Subject, challenger: Subject) -> Measure:
    _need(rule, TaskType.REGRESSION, champion, challenger)
    if rule.clip is None:
        message = f"{rule.measure} needs clip: the error beyond which nothing gets worse"
        raise UnavailableError(message)
    loss = Error(float(rule.clip), power)
    return MeanMeasure(ByError(loss), ByError(loss), _name(rule), words, loss.clip**power)


def _absolute_error(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    return _by_error(rule, 1, "absolute error", champion, challenger)


def _squared_error(rule: VerdictRule, champion: Subject, challenger: Subject) -> Measure:
    return _by_error(rule, 2, "squared error", champion, challenger)


def _by_class(rule: VerdictRule, loss: ClassLoss, *, scale: float, words: str) -> Measure:
    yardstick = ByClass(loss)
    return MeanMeasure(yardstick, yardstick, _name(rule), words, scale)


def _need(rule: VerdictRule, wanted: TaskType, *subjects: Subject) -> None:
    for subject in subjects:
        if subject.type not in {wanted, None}:
            message = f"{rule.measure} needs task.type {wanted}, found {subject.type}"
            raise UnavailableError(message)


def _positive(rule: VerdictRule, champion: Subject, challenger: Subject) -> str:
    positive = rule.of_class or champion.positive or challenger.positive
    if not positive:
        message = f"{rule.measure} needs a class: set task.positive of the Model, or ofClass"
        raise UnavailableError(message)
    return positive


_CHOICES: Final[Mapping[Choice, Callable[[VerdictRule, Subject, Subject], Measure]]] = {
    Choice.ERROR_RATE: _error_rate,
    Choice.COST: _cost,
    Choice.RECALL: _recall,
    Choice.PRECISION: _precision,
    Choice.BALANCED_ERROR: _balanced_error,
    Choice.LOG_LOSS: _log_loss,
    Choice.BRIER: _brier,
    Choice.ABSOLUTE_ERROR: _absolute_error,
    Choice.SQUARED_ERROR: _squared_error,
}
"""A new measure is an entry here, and in `api.contest.Measure`."""
