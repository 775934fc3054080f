"""One check of a contest and its figures, and the rules by which checks are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from kingmaker.api import ClassesGuardrail, Evidence, Goal, Guardrails, Number, Reason, Verdict
from kingmaker.api.contest import ALL_GUARDRAILS
from kingmaker.core.contest.measures import ERROR_RATE, Measure
from kingmaker.core.wording import percent, short_e_value

_LARGEST: Final = 690.0
"""Beyond e^690 a float ends; by then nobody doubts."""


@dataclass(frozen=True, slots=True)
class VerdictPolicy:
    """The rules by which a challenger is judged; margin and budgets are 0..1.

    `guardrails` are those of the spec: one that is None is off.
    """

    goal: Goal = Goal.NON_INFERIOR
    margin: float = 0.10
    false_promotion: float = 0.05
    false_rollback: float = 0.01
    guardrails: Guardrails = ALL_GUARDRAILS
    by_entity: bool = False
    """Whether routers keep the requests of an entity together: then entities are what is drawn, not requests."""
    measure: Measure = ERROR_RATE
    """What is compared, for the models of one contest."""
    absolute_margin: float = 0.0001
    """Allowed beside `margin`, in the unit of the measure as people read it."""
    reference: float | None = None
    """What the measure, as people read it, must be shown to be better than; None: nothing beside the champion."""
    stages: int = 1
    """Stages of the contest: each may speak of harm, so each has its part of the budget."""
    creep: float = 1.0
    """How many times what the best champion of late lost the present one loses, as far as their contests showed; at
    least 1."""
    predicted: tuple[tuple[str, float], ...] = ()
    """Shares of the classes among all that the champion predicts; empty where that is not known."""

    @property
    def promotion_log_e(self) -> float:
        """Evidence that promotes."""
        return -math.log(self.false_promotion)

    @property
    def harm_log_e(self) -> float:
        """Evidence that rolls back, of a check that looks at a contest as a whole."""
        return -math.log(self.false_rollback)

    @property
    def stage_harm_log_e(self) -> float:
        """Evidence that rolls back, of a check that looks at every stage by itself."""
        return self.harm_log_e + math.log(max(self.stages, 1))

    @property
    def allowance(self) -> float:
        """How much worse than the champion still counts as no worse; 0 when the goal is to be better."""
        return self.margin if self.goal is Goal.NON_INFERIOR else 0.0

    @property
    def harm_ratio(self) -> float:
        """How many times the champion's loss is no harm yet."""
        return 1 + self.allowance

    @property
    def goal_ratio(self) -> float:
        """How many times the champion's loss meets the goal; less where champions have crept already."""
        return self.harm_ratio / max(self.creep, 1.0) if self.goal is Goal.NON_INFERIOR else 1.0

    @property
    def loss_margin(self) -> float:
        """The absolute margin as a loss, 0..1; 0 when the goal is to be better."""
        return min(self.absolute_margin / self.measure.scale, 1.0) if self.goal is Goal.NON_INFERIOR else 0.0

    @property
    def class_margin(self) -> float:
        """How much larger the missed share of any class may be, 0..1."""
        return float((self.guardrails.classes or ClassesGuardrail()).margin)


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its figures. `estimate` is the challenger's, `reference` the champion's, in the check's own unit.

    `n` counts what was looked at: requests, rows or pairs. `log_e` is the natural logarithm of the e-value, `threshold`
    that of the value at which the check speaks. `obstacle` is why it is Inconclusive, where there is more to say
    than that evidence is thin.
    """

    name: str
    verdict: Verdict
    n: int
    rule: str
    estimate: float | None = None
    reference: float | None = None
    log_e: float | None = None
    threshold: float | None = None
    obstacle: Reason | None = None
    note: str = ""
    """What more there is to say, in words that stay the same while the counts grow."""


def describe(check: Check) -> str:
    """Put a check into a phrase for people, with its figures."""
    parts = [f"n={check.n}"]
    if check.estimate is not None:
        parts.append(percent(check.estimate))
        if check.reference is not None:
            parts[-1] += f" vs {percent(check.reference)}"
    if check.log_e is not None and check.threshold is not None:
        parts.append(f"E={short_e_value(check.log_e)} (threshold {short_e_value(check.threshold)})")
    return f"{check.rule}: {', '.join(parts)}"


def evidence_of(check: Check) -> Evidence:
    """Put a check into the form in which records keep it."""
    return Evidence(
        name=check.name,
        n=check.n,
        estimate=_figure(check.estimate),
        reference=_figure(check.reference),
        e_value=_figure(_e_value(check.log_e)),
        threshold=_figure(_e_value(check.threshold)),
        verdict=check.verdict,
    )


def _e_value(log_e: float | None) -> float | None:
    return None if log_e is None else math.exp(min(log_e, _LARGEST))


def _figure(value: float | None) -> Number | None:
    return None if value is None else Number(f"{value:.4g}")
