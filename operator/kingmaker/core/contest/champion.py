"""The champion's seat: people's decisions about it, and the way back from a bad successor."""

from __future__ import annotations

import math
from dataclasses import replace

from kingmaker.api import Action, Actor, Reason, Verdict
from kingmaker.core.contest.assessment import ContestAssessment, JudgedContest
from kingmaker.core.contest.candidates import is_ready
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import Arm, read_arm
from kingmaker.core.contest.policy import rollback_window
from kingmaker.core.contest.record import Record, Side
from kingmaker.core.state import Champion, State
from kingmaker.core.statistics.sequential import log_e_rate_above, rate_upper_bound


def follow_champion_ref(assessed: ContestAssessment) -> Record | None:
    """Carry out a changed `spec.championRef`: a person's decision, which wins over every contest.

    It waits until the model is verified and enough pods of it answer; until then the old champion serves.
    """
    observed, state, target = assessed.observed, assessed.state, assessed.wanted
    if target is None:
        return None
    model = observed.models.get(target)
    if model is None or not is_ready(model):
        return None
    digest = model.spec.artifact.digest
    old = state.champion
    to_side = Side(target, digest)
    if old and old.digest == digest:
        message = f"spec.championRef now names {target}, which holds the seat already"
        confirmed = replace(state, observed_champion_ref=target)
        return Record(Action.DEPLOY, Reason.CHAMPION_CONFIRMED, message, confirmed, to_side=to_side, actor=Actor.HUMAN)
    if target not in assessed.available:
        return None
    after = replace(
        state,
        champion=Champion(target, digest, observed.now, state.sequence + 1),
        observed_champion_ref=target,
        contests=(),
        judged=tuple(j for j in state.judged if j.digest != digest),
    )
    if old is None:
        message = f"{target} is verified and its pods answer; it serves"
        return Record(Action.DEPLOY, Reason.FIRST_CHAMPION, message, after, to_side=to_side, actor=Actor.HUMAN)
    until = observed.now + rollback_window(observed.mdep)
    after = replace(after, previous=replace(old, until=until)).remember(old.name, old.digest, Reason.SUPERSEDED)
    message = f"spec.championRef was changed from {old.name} to {target}"
    sides = Side(old.name, old.digest)
    return Record(Action.PROMOTE, Reason.CHAMPION_CHANGED, message, after, "", sides, to_side, actor=Actor.HUMAN)


def promote(assessed: ContestAssessment, judged: JudgedContest) -> State:
    """Make the challenger the champion; the old champion stays warm, with what it showed as the yardstick.

    Args:
        assessed: The state in which the contest was won.
        judged: The contest, one of the assessed ones.
    """
    observed, state, policy, contest = assessed.observed, assessed.state, assessed.verdict_policy, judged.contest
    now = observed.now
    after = replace(state, champion=Champion(contest.model, contest.digest, now, state.sequence + 1), contests=())
    old = state.champion
    if old is None:
        return after
    until = now + rollback_window(observed.mdep)
    shown = judged.judgement.champion
    previous = replace(
        old,
        until=until,
        wrong_rate=_upper(shown.wrong, shown.labelled, policy),
        error_rate=_upper(shown.errors, shown.requests, policy),
    )
    return replace(after, previous=previous).remember(old.name, old.digest, Reason.SUPERSEDED)


def _upper(events: int, trials: int, policy: VerdictPolicy) -> float | None:
    return rate_upper_bound(events, trials, policy.false_rollback) if trials else None


def return_to_previous(assessed: ContestAssessment) -> Record | None:
    """Roll back to the warm predecessor when the new champion is worse than what the old one showed.

    The two did not answer the same requests, so the yardstick is the upper bound of the old champion's rate, and the
    evidence must exceed the rollback budget. Nothing measured means nothing to compare with: hold.
    """
    observed, state, policy = assessed.observed, assessed.state, assessed.verdict_policy
    champion, previous = state.champion, state.previous
    if not champion or not previous or not previous.until or observed.now >= previous.until:
        return None
    if previous.name not in assessed.available:
        return None
    arm = read_arm(assessed.totals, champion.digest, range(champion.decision, state.sequence + 1))
    check = next((c for c in _reign_checks(arm, previous, policy) if c.verdict is Verdict.FAIL), None)
    if check is None:
        return None
    message = f"{champion.name} does worse than {previous.name} did: {check.name} {check.estimate:.2%}"
    after = replace(
        state,
        champion=Champion(previous.name, previous.digest, observed.now, state.sequence + 1),
        previous=None,
        contests=(),
    ).remember(champion.name, champion.digest, Reason.WORSE_THAN_PREDECESSOR)
    after = replace(after, judged=tuple(j for j in after.judged if j.digest != previous.digest))
    return Record(
        Action.ROLLBACK,
        Reason.WORSE_THAN_PREDECESSOR,
        message,
        after,
        check.rule,
        Side(champion.name, champion.digest),
        Side(previous.name, previous.digest),
        (check,),
    )


def _reign_checks(arm: Arm, previous: Champion, policy: VerdictPolicy) -> list[Check]:
    figures = [("wrongAnswers", arm.wrong, arm.labelled, previous.wrong_rate, 1 + policy.allowance)]
    if policy.guardrails.errors:
        figures.append(("errors", arm.errors, arm.requests, previous.error_rate, 1.0))
    return [
        _reign_check(name, events, trials, min(rate * factor, 0.999), policy)
        for name, events, trials, rate, factor in figures
        if rate is not None and trials
    ]


def _reign_check(name: str, events: int, trials: int, limit: float, policy: VerdictPolicy) -> Check:
    log_e = log_e_rate_above(events, trials, limit)
    failed = log_e >= policy.harm_log_e
    rule = f"{name} not above {limit:.2%}, the predecessor's upper bound (E >= {math.exp(policy.harm_log_e):.0f} fails)"
    verdict = Verdict.FAIL if failed else Verdict.INCONCLUSIVE
    return Check(name, verdict, trials, rule, events / trials, limit, log_e, policy.harm_log_e)
