"""Judge one challenger against the champion from counts: guardrails, shares and the goal.

Every check is anytime-valid: it may be looked at after each scrape without spending more than its error budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kingmaker.api import Goal, Verdict
from kingmaker.core.contest.evidence import Arm, Shadow, Totals, latency_edge, read_arm, read_shadow
from kingmaker.core.state import Contest, StageRun
from kingmaker.core.statistics.sequential import (
    Pairs,
    Split,
    log_e_harm,
    log_e_paired_harm,
    log_e_paired_superior,
    log_e_rate_above,
    log_e_share,
    log_e_superior,
    rate_lower_bound,
    rate_upper_bound,
)

DISAGREEMENT: Final = "disagreement"
WRONG_ANSWERS: Final = "wrongAnswers"
SHARE_LOG_E: Final = math.log(1000)
"""A split that is off by this much evidence is a broken router, not chance."""


@dataclass(frozen=True, slots=True)
class VerdictPolicy:
    """The rules of a contest; None switches a guardrail off. Rates and budgets are 0..1, `disagreement` a percent."""

    goal: Goal = Goal.NON_INFERIOR
    margin: float = 0.10
    false_promotion: float = 0.05
    false_rollback: float = 0.01
    errors: bool = True
    latency_tolerance: float | None = 1.25
    disagreement: float | None = 20.0
    shares: bool = True
    """Whether arrived shares are tested; not with sticky routing, whose unit is the entity and not the request."""

    @property
    def promotion_log_e(self) -> float:
        """Evidence that promotes."""
        return -math.log(self.false_promotion)

    @property
    def harm_log_e(self) -> float:
        """Evidence that rolls back."""
        return -math.log(self.false_rollback)

    @property
    def allowance(self) -> float:
        """How much worse than the champion still counts as no worse; 0 when the goal is to be better."""
        return self.margin if self.goal is Goal.NON_INFERIOR else 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its figures. `estimate` is the challenger's, `reference` the champion's; both rates 0..1."""

    name: str
    verdict: Verdict
    n: int
    rule: str
    estimate: float | None = None
    reference: float | None = None
    log_e: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All checks of one contest at one moment. `observations` counts what the current stage saw of the challenger."""

    checks: tuple[Check, ...]
    observations: int
    champion: Arm
    challenger: Arm

    @property
    def failed(self) -> Check | None:
        """The first guardrail that shows harm."""
        return next((c for c in self.checks if c.verdict is Verdict.FAIL and c.name != DISAGREEMENT), None)

    @property
    def disagreement_failed(self) -> Check | None:
        """The disagreement guardrail when it failed: other answers are not yet worse answers, a person has to look."""
        return next((c for c in self.checks if c.verdict is Verdict.FAIL and c.name == DISAGREEMENT), None)

    @property
    def share_is_broken(self) -> bool:
        """Whether traffic or labels did not arrive in the designed shares, so that nothing can be concluded."""
        return any(c.name.endswith("Share") and (c.log_e or 0.0) >= SHARE_LOG_E for c in self.checks)

    @property
    def verdict(self) -> Verdict:
        """Fail when any guardrail failed, Pass when the goal is proven on sound shares, else Inconclusive."""
        if self.failed or self.disagreement_failed:
            return Verdict.FAIL
        goal = next(c for c in self.checks if c.name == WRONG_ANSWERS)
        return goal.verdict if not self.share_is_broken else Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run of the contest with its counts."""

    run: StageRun
    champion: Arm
    challenger: Arm
    shadow: Shadow


def judge(contest: Contest, champion_digest: str, totals: Totals, policy: VerdictPolicy) -> Judgement:
    """Judge a contest by everything counted under its decisions.

    Args:
        contest: The challenger's stages so far.
        champion_digest: Digest of the model it competes with.
        totals: Counts per model digest.
        policy: The rules.

    Source: conditional-Bernoulli mixture e-process (Lindon & Malek, NeurIPS 2022), betting e-process for pairs.
    """
    stretches = [_read(run, contest, champion_digest, totals) for run in contest.runs]
    live = [s for s in stretches if s.run.is_live]
    checks = [_goal(stretches, policy), _harm(stretches, policy)]
    if policy.errors:
        checks.append(_errors(stretches, policy))
    if policy.latency_tolerance is not None and live:
        checks.append(_latency(stretches, policy))
    if policy.disagreement is not None and len(live) < len(stretches):
        checks.append(_disagreement(stretches, policy))
    if live and policy.shares:
        checks.append(_share("requestShare", [(s.run, s.challenger.requests, s.champion.requests) for s in live]))
        checks.append(
            _share("labelShare", [(s.run, s.challenger.labelled_requests, s.champion.labelled_requests) for s in live])
        )
    current = [s for s in stretches if s.run.stage == contest.stage]
    seen = sum(s.challenger.requests if s.run.weight else s.shadow.compared for s in current)
    none = Arm()
    return Judgement(
        tuple(checks), seen, sum((s.champion for s in stretches), none), sum((s.challenger for s in stretches), none)
    )


def _read(run: StageRun, contest: Contest, champion_digest: str, totals: Totals) -> _Stretch:
    decisions = (run.decision,)
    shadow = read_shadow(totals, champion_digest, contest.model, decisions)
    return _Stretch(
        run,
        read_arm(totals, champion_digest, decisions),
        read_arm(totals, contest.digest, decisions) if run.is_live else Arm(),
        shadow if run.shadow_percent else Shadow(),
    )


def _wrong_splits(stretches: Sequence[_Stretch]) -> list[Split]:
    return [Split(s.champion.wrong, s.challenger.wrong, s.run.share) for s in stretches if s.run.is_live]


def _wrong_pairs(stretches: Sequence[_Stretch]) -> list[Pairs]:
    return [s.shadow.pairs for s in stretches if s.shadow.labelled]


def _wrong_rates(stretches: Sequence[_Stretch]) -> tuple[int, float | None, float | None]:
    """Labelled rows of the challenger, its rate of wrong answers, and the champion's where they were compared."""
    live = [s for s in stretches if s.run.is_live]
    pairs = [s.shadow for s in stretches if s.shadow.labelled]
    paired = sum(p.labelled for p in pairs)
    mine = paired + sum(s.challenger.labelled for s in live)
    theirs = paired + sum(s.champion.labelled for s in live)
    my_wrong = sum(p.challenger_wrong + p.both_wrong for p in pairs) + sum(s.challenger.wrong for s in live)
    their_wrong = sum(p.champion_wrong + p.both_wrong for p in pairs) + sum(s.champion.wrong for s in live)
    return mine, my_wrong / mine if mine else None, their_wrong / theirs if theirs else None


def _goal(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> Check:
    splits, pairs = _wrong_splits(stretches), _wrong_pairs(stretches)
    # Stages see different requests, so the product of their e-values is an e-value of the contest.
    log_e = log_e_superior(splits, ratio=1 + policy.allowance) + log_e_paired_superior(pairs, margin=policy.allowance)
    n, estimate, reference = _wrong_rates(stretches)
    proven = n > 0 and log_e >= policy.promotion_log_e
    rule = "fewer wrong answers than the champion"
    if policy.goal is Goal.NON_INFERIOR:
        rule = f"at most {policy.margin:.0%} more wrong answers than the champion"
    verdict = Verdict.PASS if proven else Verdict.INCONCLUSIVE
    return Check(WRONG_ANSWERS, verdict, n, rule, estimate, reference, log_e, policy.promotion_log_e)


def _harm(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> Check:
    splits, pairs = _wrong_splits(stretches), _wrong_pairs(stretches)
    log_e = log_e_harm(splits, ratio=1 + policy.allowance) + log_e_paired_harm(pairs, margin=policy.allowance)
    n, estimate, reference = _wrong_rates(stretches)
    return Check(
        "moreWrongAnswers",
        _guardrail(log_e, policy, n),
        n,
        f"wrong answers not above {1 + policy.allowance:.2f} times the champion's",
        estimate,
        reference,
        log_e,
        policy.harm_log_e,
    )


def _errors(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> Check:
    live = [s for s in stretches if s.run.is_live]
    splits = [Split(s.champion.errors, s.challenger.errors, s.run.share) for s in live]
    log_e = log_e_harm(splits) + _copy_failures(stretches, policy)
    failed = sum(s.challenger.errors for s in live) + sum(s.shadow.failures for s in stretches)
    n = sum(s.challenger.requests for s in live) + sum(s.shadow.compared + s.shadow.failures for s in stretches)
    theirs = sum(s.champion.requests for s in live)
    return Check(
        "errors",
        _guardrail(log_e, policy, n),
        n,
        "server errors not above the champion's",
        failed / n if n else None,
        sum(s.champion.errors for s in live) / theirs if theirs else None,
        log_e,
        policy.harm_log_e,
    )


def _copy_failures(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> float:
    """Evidence that copies fail more often than the champion's own requests, which are not copied when they fail."""
    champion = sum((s.champion for s in stretches), Arm())
    failures = sum(s.shadow.failures for s in stretches)
    copies = failures + sum(s.shadow.compared for s in stretches)
    if not copies or not champion.requests:
        return 0.0
    # The champion's rate is known from as many requests as there are, so its upper bound is the yardstick.
    return log_e_rate_above(
        failures, copies, rate_upper_bound(champion.errors, champion.requests, policy.false_rollback)
    )


def _latency(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> Check:
    live = [s for s in stretches if s.run.is_live]
    # The first run sets the edge: one that moved with the counts it is compared with would not be a fixed event.
    edge = latency_edge(stretches[0].champion) or latency_edge(sum((s.champion for s in stretches), Arm()))
    n = sum(s.challenger.requests for s in live)
    tolerance = policy.latency_tolerance or 1.0
    rule = f"slower than the champion's 99th percentile at most {tolerance:.2f} times as often"
    if edge is None:
        return Check("latency", Verdict.INCONCLUSIVE, n, rule)
    slow = [Split(s.champion.slower_than(edge), s.challenger.slower_than(edge), s.run.share) for s in live]
    log_e = log_e_harm(slow, ratio=tolerance)
    theirs = sum(s.champion.requests for s in live)
    return Check(
        "latency",
        _guardrail(log_e, policy, n),
        n,
        f"{rule}; over {edge:g} s",
        sum(s.challenger for s in slow) / n if n else None,
        sum(s.champion for s in slow) / theirs if theirs else None,
        log_e,
        policy.harm_log_e,
    )


def _disagreement(stretches: Sequence[_Stretch], policy: VerdictPolicy) -> Check:
    n = sum(s.shadow.compared for s in stretches)
    disagree = sum(s.shadow.disagree for s in stretches)
    limit = (policy.disagreement or 0.0) / 100
    lowest = rate_lower_bound(disagree, n, policy.false_rollback)
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if lowest > limit else Verdict.PASS
    rule = f"disagreement with the champion not above {limit:.0%} (lower bound {lowest:.1%})"
    return Check(DISAGREEMENT, verdict, n, rule, disagree / n if n else None)


def _share(name: str, counts: Sequence[tuple[StageRun, int, int]]) -> Check:
    # One test per stretch: the worst speaks for all, since any broken stretch spoils the contest.
    log_e = max(log_e_share(mine, mine + theirs, run.share) for run, mine, theirs in counts)
    mine = sum(m for _, m, _ in counts)
    total = mine + sum(t for _, _, t in counts)
    return Check(
        name,
        Verdict.INCONCLUSIVE if not total or log_e >= SHARE_LOG_E else Verdict.PASS,
        total,
        f"the challenger's share as designed, {counts[-1][0].share:.1%} now",
        mine / total if total else None,
        None,
        log_e,
        SHARE_LOG_E,
    )


def _guardrail(log_e: float, policy: VerdictPolicy, n: int) -> Verdict:
    if not n:
        return Verdict.INCONCLUSIVE
    return Verdict.FAIL if log_e >= policy.harm_log_e else Verdict.PASS
