"""Judge one challenger against the champion from counts: the goal, the guardrails and the shares.

Every check is anytime-valid: it may be looked at after each scrape without spending more than its error budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kingmaker.api import Goal, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import NO_ARM, Arm, Totals
from kingmaker.core.contest.guardrails import GUARDRAILS, Guardrail, OnFail
from kingmaker.core.contest.stretches import Stretch, live, read_stretches, wrong_pairs, wrong_rates, wrong_splits
from kingmaker.core.state import Contest, StageRun
from kingmaker.core.statistics.sequential import log_e_paired_superior, log_e_share, log_e_superior

SHARE_LOG_E: Final = math.log(1000)
"""A split that is off by this much evidence is a broken router, not chance."""


@dataclass(frozen=True, slots=True)
class GuardrailCheck:
    """What one guardrail found."""

    guardrail: Guardrail
    check: Check

    @property
    def failed(self) -> bool:
        """Whether it speaks against the challenger."""
        return self.check.verdict is Verdict.FAIL


@dataclass(frozen=True, slots=True)
class ShareCheck:
    """Whether requests, or labels, arrived in the designed shares."""

    check: Check

    @property
    def is_broken(self) -> bool:
        """Whether they did not, so that nothing can be concluded from what arrived."""
        return (self.check.log_e or 0.0) >= SHARE_LOG_E


@dataclass(frozen=True, slots=True)
class Judgement:
    """All checks of one contest at one moment.

    `observations` counts what the current stage saw of the challenger; `stretches` is what the checks were made from.
    """

    goal: Check
    guardrails: tuple[GuardrailCheck, ...]
    shares: tuple[ShareCheck, ...]
    observations: int
    stretches: tuple[Stretch, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, as records list them."""
        return (self.goal, *(g.check for g in self.guardrails), *(s.check for s in self.shares))

    @property
    def champion(self) -> Arm:
        """All that the champion did during the contest."""
        return sum((s.champion for s in self.stretches), NO_ARM)

    def failed(self, on_fail: OnFail) -> GuardrailCheck | None:
        """The first failed guardrail of those whose failure does this."""
        return next((g for g in self.guardrails if g.failed and g.guardrail.on_fail is on_fail), None)

    @property
    def share_is_broken(self) -> bool:
        """Whether traffic or labels did not arrive in the designed shares, so that nothing can be concluded."""
        return any(s.is_broken for s in self.shares)

    @property
    def verdict(self) -> Verdict:
        """Fail when any guardrail failed, Pass when the goal is proven on sound shares, else Inconclusive."""
        if any(g.failed for g in self.guardrails):
            return Verdict.FAIL
        return self.goal.verdict if not self.share_is_broken else Verdict.INCONCLUSIVE


def judge(contest: Contest, champion_digest: str, totals: Totals, policy: VerdictPolicy) -> Judgement:
    """Judge a contest by everything counted under its decisions.

    Args:
        contest: The challenger's stages so far.
        champion_digest: Digest of the model it competes with.
        totals: Counts per model digest.
        policy: The rules.

    Source: conditional-Bernoulli mixture e-process (Lindon & Malek, NeurIPS 2022), betting e-process for pairs.
    """
    stretches = read_stretches(contest, champion_digest, totals)
    found = ((g, g.look(stretches, policy)) for g in GUARDRAILS)
    current = [s for s in stretches if s.run.stage == contest.stage]
    return Judgement(
        goal=_goal(stretches, policy),
        guardrails=tuple(GuardrailCheck(guardrail, check) for guardrail, check in found if check),
        shares=tuple(_shares(live(stretches))) if policy.shares else (),
        observations=sum(s.challenger.requests if s.run.weight else s.shadow.compared for s in current),
        stretches=stretches,
    )


def _goal(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check:
    splits, pairs = wrong_splits(stretches), wrong_pairs(stretches)
    # Stages see different requests, so the product of their e-values is an e-value of the contest.
    log_e = log_e_superior(splits, ratio=1 + policy.allowance) + log_e_paired_superior(pairs, margin=policy.allowance)
    n, estimate, reference = wrong_rates(stretches)
    proven = n > 0 and log_e >= policy.promotion_log_e
    rule = "fewer wrong answers than the champion"
    if policy.goal is Goal.NON_INFERIOR:
        rule = f"at most {policy.margin:.0%} more wrong answers than the champion"
    verdict = Verdict.PASS if proven else Verdict.INCONCLUSIVE
    return Check("wrongAnswers", verdict, n, rule, estimate, reference, log_e, policy.promotion_log_e)


def _shares(stretches: Sequence[Stretch]) -> Iterator[ShareCheck]:
    if not stretches:
        return
    yield _share("requestShare", [(s.run, s.challenger.requests, s.champion.requests) for s in stretches])
    labels = [(s.run, s.challenger.labelled_requests, s.champion.labelled_requests) for s in stretches]
    yield _share("labelShare", labels)


def _share(name: str, counts: Sequence[tuple[StageRun, int, int]]) -> ShareCheck:
    # One test per stretch: the worst speaks for all, since any broken stretch spoils the contest.
    log_e = max(log_e_share(mine, mine + theirs, run.share) for run, mine, theirs in counts)
    mine = sum(m for _, m, _ in counts)
    total = mine + sum(t for _, _, t in counts)
    rule = f"the challenger's share as designed, {counts[-1][0].share:.1%} now"
    verdict = Verdict.INCONCLUSIVE if not total or log_e >= SHARE_LOG_E else Verdict.PASS
    return ShareCheck(Check(name, verdict, total, rule, mine / total if total else None, None, log_e, SHARE_LOG_E))
