"""What promotes a challenger: the goal by the chosen measure, and what must hold beside it.

Only the stage in force speaks for a challenger: what a shadow or a smaller share showed is no proof of what the present
one shows. Against it each stage speaks by itself, with its part of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence

from kingmaker.api import Goal, Reason, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.entities import units_words
from kingmaker.core.contest.measures import NoMeasure
from kingmaker.core.contest.stretches import Stretch, by_stage, entities_of
from kingmaker.core.counts.looks import FIRST_LOOK


def goal_check(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check:
    """Check whether the challenger is better, or no worse, in the stage in force.

    Args:
        stretches: Of the contest.
        policy: The rules.
    """
    measure, current = policy.measure, in_force(stretches)
    n, estimate, reference = measure.figures(current)
    log_e = measure.no_worse(current, policy.goal_ratio, policy.loss_margin)
    reason = None if n and not _broken(current) else _why_not(current, policy)
    proven = reason is None and log_e >= policy.promotion_log_e
    return Check(
        measure.name,
        Verdict.PASS if proven else Verdict.INCONCLUSIVE,
        n,
        _rule(policy, reason, current),
        measure.shown(estimate),
        measure.shown(reference),
        log_e,
        policy.promotion_log_e,
        reason,
    )


def reference_check(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    """Check whether the challenger is better than the bound that holds beside the champion; None without one."""
    if policy.reference is None:
        return None
    measure, current = policy.measure, in_force(stretches)
    n, estimate, _ = measure.figures(current)
    log_e = measure.below(current, measure.loss_of(policy.reference))
    verdict = Verdict.PASS if n and log_e >= policy.promotion_log_e else Verdict.INCONCLUSIVE
    side = "above" if measure.is_gain else "below"
    rule = f"{measure.name} {side} {policy.reference:g}, whatever the champion's is"
    shown = measure.shown(estimate)
    return Check("reference", verdict, n, rule, shown, policy.reference, log_e, policy.promotion_log_e)


def harm_check(name: str, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check:
    """Check whether any stage shows that the challenger is worse than the goal allows."""
    measure = policy.measure
    n, estimate, reference = measure.figures(stretches)
    log_e = max(
        (measure.worse(stage, policy.harm_ratio, policy.loss_margin) for stage in by_stage(stretches)), default=0.0
    )
    threshold = policy.stage_harm_log_e
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if log_e >= threshold else Verdict.PASS
    rule = f"{measure.words} not above {policy.harm_ratio:.2f} times the champion's, in any stage"
    return Check(name, verdict, n, rule, measure.shown(estimate), measure.shown(reference), log_e, threshold)


def in_force(stretches: Sequence[Stretch]) -> Sequence[Stretch]:
    """Give those of the stage that the contest is in."""
    stages = by_stage(stretches)
    return stages[-1] if stages else ()


def _broken(stretches: Sequence[Stretch]) -> bool:
    return any(s.labels_broken for s in stretches)


def _why_not(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Reason:
    if isinstance(policy.measure, NoMeasure):
        return Reason.MEASURE_UNAVAILABLE
    if _broken(stretches):
        return Reason.SPLIT_MISMATCH
    entities = entities_of(stretches)
    if entities and sum(s.champion.labelled_requests + s.challenger.labelled_requests for s in stretches) < FIRST_LOOK:
        return Reason.THIN_EVIDENCE
    # Rows alone came from servers of an earlier release: a request's rows are no observations of their own.
    labelled = any(s.champion.labelled or s.challenger.labelled or s.shadow.labelled for s in stretches)
    return Reason.MEASURE_UNAVAILABLE if labelled else Reason.NO_LABELS


def _rule(policy: VerdictPolicy, reason: Reason | None, stretches: Sequence[Stretch]) -> str:
    entities = entities_of(stretches)
    by_entity = f"; {units_words(entities, 'labels', policy.measure.units)}" if entities and not reason else ""
    return _goal_rule(policy, reason, bool(entities)) + by_entity


def _goal_rule(policy: VerdictPolicy, reason: Reason | None, by_entity: bool) -> str:
    measure = policy.measure
    if isinstance(measure, NoMeasure):
        return measure.why
    if reason is Reason.MEASURE_UNAVAILABLE and by_entity:
        return f"{measure.words} by entity: servers do not count that by bucket, or are of an earlier release"
    if reason is Reason.MEASURE_UNAVAILABLE:
        return f"{measure.words} per request: labels are counted by rows alone, by servers of an earlier release"
    if policy.goal is Goal.SUPERIOR:
        return f"fewer {measure.words} than the champion"
    more = f"at most {policy.goal_ratio - 1:.0%} more {measure.words} than the champion"
    if policy.goal_ratio <= 1:
        more = f"{measure.words} below {policy.goal_ratio:.2f} times the champion's"
    return f"{more}, and {policy.absolute_margin:g}" if policy.absolute_margin else more
