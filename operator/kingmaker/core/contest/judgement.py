"""Judge one challenger against the champion from counts: the goal, the guardrails and the shares.

Every check is anytime-valid: it may be looked at after each scrape without spending more than its error budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.case import Case
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import NO_ARM, Arm, Totals
from kingmaker.core.contest.goal import goal_check, in_force, reference_check
from kingmaker.core.contest.guardrails import GUARDRAILS, Guardrail, OnFail
from kingmaker.core.contest.mix import mix_check
from kingmaker.core.contest.queries import Asked
from kingmaker.core.contest.shares import LABELLED, LABELS, Shares, judge_shares
from kingmaker.core.contest.stretches import Stretch, live, read_stretches
from kingmaker.core.state import Contest


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
class Judgement:
    """All checks of one contest at one moment.

    `observations` counts requests of the challenger in the current stage; `stretches` is what the checks were made
    from. `conditions` must pass beside the goal.
    """

    goal: Check
    guardrails: tuple[GuardrailCheck, ...]
    shares: Shares
    observations: int
    stretches: tuple[Stretch, ...]
    conditions: tuple[Check, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, as records list them."""
        found = (g.check for g in self.guardrails)
        return (self.goal, *self.conditions, *found, *self.shares.checks)

    @property
    def in_force(self) -> Sequence[Stretch]:
        """What was counted in the stage that the contest is in."""
        return in_force(self.stretches)

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
        return self.shares.broken is not None

    @property
    def verdict(self) -> Verdict:
        """Fail when any guardrail failed, Pass when all that promotes is shown on sound shares, else Inconclusive."""
        if any(g.failed for g in self.guardrails):
            return Verdict.FAIL
        proven = all(check.verdict is Verdict.PASS for check in self.promoting)
        return Verdict.PASS if proven and not self.share_is_broken else Verdict.INCONCLUSIVE

    @property
    def obstacle(self) -> Reason:
        """Why the verdict is not Pass, when nothing failed: the first thing that is not shown."""
        if self.share_is_broken:
            return Reason.SPLIT_MISMATCH
        missing = next((check for check in self.promoting if check.verdict is not Verdict.PASS), None)
        return (missing.obstacle if missing else None) or Reason.THIN_EVIDENCE

    @property
    def promoting(self) -> tuple[Check, ...]:
        """What must be shown before a challenger is promoted."""
        needed = (g.check for g in self.guardrails if g.guardrail.needed)
        return (self.goal, *self.conditions, *needed)


def judge(
    contest: Contest, champion_digest: str, totals: Totals, policy: VerdictPolicy, queries: Sequence[Asked] = ()
) -> Judgement:
    """Judge a contest by everything counted under its decisions.

    Args:
        contest: The challenger's stages so far.
        champion_digest: Digest of the model it competes with.
        totals: Counts per model digest.
        policy: The rules.
        queries: What a Prometheus answered about it.

    Source: bets on bounded scores per request, `core.statistics.bounded`.
    """
    stretches = read_stretches(contest, champion_digest, totals, by_entity=policy.by_entity)
    shares = judge_shares(live(in_force(stretches)))
    case = Case(stretches, shares, queries)
    current = [s for s in stretches if s.run.stage == contest.stage]
    mix = mix_check(stretches, policy)
    conditions = (reference_check(stretches, policy), mix)
    found = ((g, check) for g in GUARDRAILS for check in g.look(case, policy))
    return Judgement(
        goal=shares.hold(goal_check(stretches, policy), *LABELLED),
        guardrails=tuple(GuardrailCheck(g, _unless_selective(g, check, mix)) for g, check in found),
        shares=shares,
        observations=sum(s.challenger.requests if s.run.weight else s.compared_requests for s in current),
        stretches=stretches,
        conditions=tuple(check for check in conditions if check),
    )


def _unless_selective(guardrail: Guardrail, check: Check, mix: Check | None) -> Check:
    """Let no check fail by labels that are no sample: whose answers are labelled looks worse, or better, than it is."""
    if mix is None or mix.obstacle is None or LABELS not in guardrail.rests_on:
        return check
    return replace(check, verdict=Verdict.INCONCLUSIVE, obstacle=mix.obstacle)
