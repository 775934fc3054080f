"""Turn a ModelDeployment's spec into the plain values that decisions use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from kingmaker.api import ModelDeployment, ReferenceBound
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.steps import ContestPolicy, Stage
from kingmaker.core.identity import by_identity
from kingmaker.core.state import Share


@by_identity
def verdict_policy(mdep: ModelDeployment) -> VerdictPolicy:
    """Give the rules by which a challenger is judged."""
    verdict = mdep.spec.contest.verdict
    return VerdictPolicy(
        goal=verdict.goal,
        margin=float(verdict.margin),
        false_promotion=float(verdict.false_promotion),
        false_rollback=float(verdict.false_rollback),
        guardrails=verdict.guardrails.in_force,
        by_entity=affinity_header(mdep) is not None,
        absolute_margin=float(verdict.absolute_margin),
        reference=_reference(verdict.reference),
        stages=len(mdep.spec.contest.stages),
    )


def _reference(bound: ReferenceBound | None) -> float | None:
    stated = bound and (bound.maximum or bound.minimum)
    return float(stated) if stated else None


@by_identity
def contest_policy(mdep: ModelDeployment) -> ContestPolicy:
    """Give the rules by which a contest goes on."""
    contest = mdep.spec.contest
    return ContestPolicy(
        stages=tuple(
            Stage(
                name=s.name,
                weight=s.weight or 0,
                shadow_percent=s.shadow_percent or 0,
                min_duration=s.min_duration.timedelta,
                min_requests=s.min_requests,
            )
            for s in contest.stages
        ),
        promotion=contest.promotion,
        approval_required=contest.approval.required,
        approved=frozenset(contest.approval.approved_digests),
        deadline=contest.deadline.timedelta,
        on_deadline=contest.on_deadline,
        affinity=affinity_header(mdep) or "",
    )


def rollback_window(mdep: ModelDeployment) -> timedelta:
    """How long a dethroned champion stays warm."""
    return mdep.spec.contest.rollback_window.timedelta


def affinity_header(mdep: ModelDeployment) -> str | None:
    """The request header by which routing is sticky, if any."""
    affinity = mdep.spec.routing.affinity
    return affinity.header if affinity else None


@by_identity
def fixed_shares(mdep: ModelDeployment) -> Mapping[str, Share]:
    """The splits of challengers that do not follow the stages, by model."""
    return {
        c.model_ref.name: Share(c.model_ref.name, c.weight or 0, c.shadow_percent or 0)
        for c in mdep.spec.challengers
        if c.weight or c.shadow_percent
    }
