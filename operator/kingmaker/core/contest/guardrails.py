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
from kingmaker.core.contest.case import Case
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.classes import classes_check
from kingmaker.core.contest.failures import errors_check, latency_check, rate_of
from kingmaker.core.contest.goal import harm_check
from kingmaker.core.contest.queries import check_query
from kingmaker.core.contest.shares import LABELLED, REQUESTS
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.statistics.sequential import rate_lower_bound


class OnFail(StrEnum):
    """What a failed guardrail does."""

    ABORT = "Abort"
    """The challenger is out: it harms."""
    PAUSE = "Pause"
    """Traffic stays as it is until a person decides: what was found need not be harm."""


Figures = Callable[[str, Case, VerdictPolicy], Check | Sequence[Check] | None]
"""Makes a guardrail's checks from its name, what it looks at and the rules; None where it is off or can't apply."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One guardrail: `name` stands in records, `reason` in the Decision that a failure leads to.

    `needed`: a challenger is promoted only when it passes, not when it merely does not fail. `rests_on` names the
    shares without which its check says nothing.
    """

    name: str
    reason: Reason
    on_fail: OnFail
    check: Figures
    needed: bool = False
    rests_on: tuple[str, ...] = ()

    def look(self, case: Case, policy: VerdictPolicy) -> tuple[Check, ...]:
        """Make its checks; none where it is off or has nothing to look at."""
        found = self.check(self.name, case, policy) or ()
        checks = (found,) if isinstance(found, Check) else found
        return tuple(case.shares.hold(check, *self.rests_on) for check in checks)


def _disagreement(name: str, case: Case, policy: VerdictPolicy) -> Check | None:
    stretches = case.stretches
    if policy.guardrails.disagreement is None or all(s.run.is_live for s in stretches):
        return None
    n = sum(s.shadow.compared for s in stretches)
    disagree = sum(s.shadow.disagree for s in stretches)
    limit = policy.guardrails.disagreement.maximum_percent / 100
    lowest = rate_lower_bound(disagree, n, policy.false_rollback)
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if lowest > limit else Verdict.PASS
    rule = f"disagreement with the champion not above {limit:.0%} (lower bound {lowest:.1%})"
    return Check(name, verdict, n, rule, rate_of(disagree, n))


def _queries(name: str, case: Case, policy: VerdictPolicy) -> Sequence[Check]:
    del name, policy
    return [check_query(asked) for asked in case.queries]


def _by_counts(check: Callable[[str, Sequence[Stretch], VerdictPolicy], Check | None]) -> Figures:
    """Take a check that looks at counts alone."""
    return lambda name, case, policy: check(name, case.stretches, policy)


GUARDRAILS: Final = (
    # Wrong answers first: where several fail at once, they are the reason that people want to read. Always on.
    Guardrail("moreWrongAnswers", Reason.WORSE_THAN_CHAMPION, OnFail.ABORT, _by_counts(harm_check), rests_on=LABELLED),
    # What no measure of all classes together shows. Promotion needs it shown of each of them.
    Guardrail("classes", Reason.WORSE_FOR_A_CLASS, OnFail.ABORT, _by_counts(classes_check), True, LABELLED),
    # Errors before latency: requests that fail at once are fast. Where the shares are wrong their rates are compared.
    Guardrail("errors", Reason.ERRORS_ABOVE_CHAMPION, OnFail.ABORT, errors_check),
    # Live stages only: it compares requests that each arm answered itself.
    Guardrail("latency", Reason.LATENCY_ABOVE_TOLERANCE, OnFail.ABORT, latency_check, rests_on=(REQUESTS,)),
    # What people look at themselves, by their own bounds.
    Guardrail("queries", Reason.QUERY_BEYOND_BOUND, OnFail.ABORT, _queries),
    # Shadow stages only, and last: other answers are not yet worse answers, so a person has to look.
    Guardrail("disagreement", Reason.DISAGREEMENT_ABOVE_MAXIMUM, OnFail.PAUSE, _disagreement),
)
"""In the order in which records list their checks; of several failures that abort, the first is the reason."""
