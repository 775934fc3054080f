"""The guardrails of a contest: what stops a challenger before it harms, one entry each.

A new one is an entry in `GUARDRAILS` with its check, a field of `api.contest.Guardrails`, and a reason in
`api.conditions` that `api.reasons` lists. Nothing else knows their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.classes import classes_check
from kingmaker.core.contest.evidence import NO_ARM, latency_edge
from kingmaker.core.contest.goal import harm_check
from kingmaker.core.contest.stretches import Stretch, live
from kingmaker.core.statistics.sequential import (
    Split,
    log_e_harm,
    log_e_rate_above,
    rate_lower_bound,
    rate_upper_bound,
)


class OnFail(StrEnum):
    """What a failed guardrail does."""

    ABORT = "Abort"
    """The challenger is out: it harms."""
    PAUSE = "Pause"
    """Traffic stays as it is until a person decides: what was found need not be harm."""


Figures = Callable[[str, Sequence[Stretch], VerdictPolicy], Check | None]
"""Makes a guardrail's check from its name, the contest's counts and the rules; None where it is off or can't apply."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One guardrail: `name` stands in records, `reason` in the Decision that a failure leads to.

    `needed`: a challenger is promoted only when it passes, not when it merely does not fail.
    """

    name: str
    reason: Reason
    on_fail: OnFail
    check: Figures
    needed: bool = False

    def look(self, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
        """Make its check; None where it is off or has nothing to look at."""
        return self.check(self.name, stretches, policy)


def _errors(name: str, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    if policy.guardrails.errors is None:
        return None
    arms = live(stretches)
    splits = [Split(s.champion.errors, s.challenger.errors, s.run.share) for s in arms]
    log_e = log_e_harm(splits) + _copy_failures(stretches, policy)
    failed = sum(s.challenger.errors for s in arms) + sum(s.shadow.failures for s in stretches)
    n = sum(s.challenger.requests for s in arms) + sum(s.compared_requests + s.shadow.failures for s in stretches)
    theirs = sum(s.champion.requests for s in arms)
    rates = (_rate(failed, n), _rate(sum(s.champion.errors for s in arms), theirs))
    return _harm(name, "server errors not above the champion's", n, rates, log_e, policy)


def _copy_failures(stretches: Sequence[Stretch], policy: VerdictPolicy) -> float:
    """Evidence that copies fail more often than the champion's own requests, which are not copied when they fail."""
    failures = sum(s.shadow.failures for s in stretches)
    # Failures are requests, so what was answered is counted in requests, too.
    copies = failures + sum(s.compared_requests for s in stretches)
    champion = sum((s.champion for s in stretches), NO_ARM) if copies else NO_ARM
    if not champion.requests:
        return 0.0
    # The champion's rate is known from as many requests as there are, so its upper bound is the yardstick.
    return log_e_rate_above(
        failures, copies, rate_upper_bound(champion.errors, champion.requests, policy.false_rollback)
    )


def _latency(name: str, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    arms = live(stretches)
    if policy.guardrails.latency is None or not arms:
        return None
    tolerance = float(policy.guardrails.latency.tolerance)
    # The first run sets the edge: one that moved with the counts it is compared with would not be a fixed event.
    edge = latency_edge(stretches[0].champion) or latency_edge(sum((s.champion for s in stretches), NO_ARM))
    n = sum(s.challenger.requests for s in arms)
    rule = f"slower than the champion's 99th percentile at most {tolerance:.2f} times as often"
    if edge is None:
        return Check(name, Verdict.INCONCLUSIVE, n, rule)
    slow = [Split(s.champion.slower_than(edge), s.challenger.slower_than(edge), s.run.share) for s in arms]
    theirs = sum(s.champion.requests for s in arms)
    rates = (_rate(sum(s.challenger for s in slow), n), _rate(sum(s.champion for s in slow), theirs))
    return _harm(name, f"{rule}; over {edge:g} s", n, rates, log_e_harm(slow, ratio=tolerance), policy)


def _disagreement(name: str, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    if policy.guardrails.disagreement is None or all(s.run.is_live for s in stretches):
        return None
    n = sum(s.shadow.compared for s in stretches)
    disagree = sum(s.shadow.disagree for s in stretches)
    limit = policy.guardrails.disagreement.maximum_percent / 100
    lowest = rate_lower_bound(disagree, n, policy.false_rollback)
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if lowest > limit else Verdict.PASS
    rule = f"disagreement with the champion not above {limit:.0%} (lower bound {lowest:.1%})"
    return Check(name, verdict, n, rule, _rate(disagree, n))


def _harm(
    name: str, rule: str, n: int, rates: tuple[float | None, float | None], log_e: float, policy: VerdictPolicy
) -> Check:
    """Make a check that fails when the evidence of harm exceeds the budget for false rollbacks."""
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if log_e >= policy.harm_log_e else Verdict.PASS
    return Check(name, verdict, n, rule, *rates, log_e, policy.harm_log_e)


def _rate(events: int, trials: int) -> float | None:
    return events / trials if trials else None


GUARDRAILS: Final = (
    # Wrong answers first: where several fail at once, they are the reason that people want to read. Always on.
    Guardrail("moreWrongAnswers", Reason.WORSE_THAN_CHAMPION, OnFail.ABORT, harm_check),
    # What no measure of all classes together shows. Promotion needs it shown of each of them.
    Guardrail("classes", Reason.WORSE_FOR_A_CLASS, OnFail.ABORT, classes_check, needed=True),
    # Errors before latency: requests that fail at once are fast.
    Guardrail("errors", Reason.ERRORS_ABOVE_CHAMPION, OnFail.ABORT, _errors),
    # Live stages only: it compares requests that each arm answered itself.
    Guardrail("latency", Reason.LATENCY_ABOVE_TOLERANCE, OnFail.ABORT, _latency),
    # Shadow stages only, and last: other answers are not yet worse answers, so a person has to look.
    Guardrail("disagreement", Reason.DISAGREEMENT_ABOVE_MAXIMUM, OnFail.PAUSE, _disagreement),
)
"""In the order in which records list their checks; of several failures that abort, the first is the reason."""
