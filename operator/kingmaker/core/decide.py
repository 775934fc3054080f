"""The decision: everything that was read in, everything that shall happen out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp
from typing import Final

from kingmaker.api import DecidedModel, DecidedWeight, DecisionSpec, Evidence, Number
from kingmaker.core.contest.capacity import is_available
from kingmaker.core.contest.champion import follow_champion_ref, return_to_previous, wanted_champion
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.judgement import Check
from kingmaker.core.contest.lifecycle import admit, advance_contests, judge_contest, resplit, withdraw
from kingmaker.core.contest.policy import contest_policy, fixed_shares
from kingmaker.core.contest.record import Record, Side, settle
from kingmaker.core.contest.steps import Hold, next_step
from kingmaker.core.counts.data_monitor import DriftFinding
from kingmaker.core.counts.ledger import Ledger, fold, has_news
from kingmaker.core.manifests.objects import Manifest
from kingmaker.core.manifests.records import decision_body
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.monitoring.evaluate import finding_of, watch_data
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Delete, Event, Plan
from kingmaker.core.retraining.runs import run_actions, run_model_name
from kingmaker.core.retraining.triggers import conclude_run, forget_skip, next_allowed_at, retrain
from kingmaker.core.serving.children import (
    RouterContainer,
    remove_autoscalers,
    remove_variants,
    wanted_children,
    write_children,
)
from kingmaker.core.serving.traffic import is_acknowledged, kept_variants, plan_route, previous_is_warm
from kingmaker.core.state import State, dump_state
from kingmaker.core.status import build_status

RETENTION: Final = 200
"""Decisions kept per deployment; the state that matters is in the newest."""

_POLL: Final = timedelta(seconds=10)
"""While pods start or routers acknowledge: what is waited for shows outside the objects that are watched."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the operator was started, as far as decisions depend on it."""

    settings: Settings
    router: RouterContainer
    evaluation: timedelta = timedelta(seconds=30)
    """Time between two looks at the counts."""


def decide(observed: Observed, rules: Rules) -> Plan:
    """Decide what shall happen now.

    At most one decision is recorded per pass; what follows from it is planned in the same pass, for the state after it.
    """
    before = observed.state
    folded = fold(observed.ledger, observed.profiles, pods=observed.pod_uids, oldest=_oldest_decision(before))
    watch = watch_data(observed, before, folded.ledger.watch, folded.cells) if observed.scraped else folded.ledger.watch
    ledger = replace(folded.ledger, watch=watch)
    finding = finding_of(watch, observed.deployment, before.champion)
    before = forget_skip(observed, before, finding)
    record = _first_record(observed, before, ledger.totals, finding)
    state = _numbered(observed, before, record) if record else before
    body = _record_body(observed, record, state) if record else None
    return Plan(
        state=state,
        record=body,
        actions=(*_actions(observed, state, rules),),
        route=plan_route(observed, state),
        ledger=ledger if has_news(observed.ledger, ledger) else None,
        status=_changed_status(observed, state, ledger),
        events=(_event(record),) if record else (),
        requeue_at=_requeue_at(observed, state, ledger.totals, rules, decided=record is not None),
        gauges=_gauges(observed, state, ledger.totals),
    )


def _first_record(observed: Observed, state: State, totals: Totals, finding: DriftFinding) -> Record | None:
    """The most urgent decision: people first, then harm, then progress."""
    steps: tuple[Callable[[], Record | None], ...] = (
        lambda: follow_champion_ref(observed, state),
        lambda: withdraw(observed, state),
        lambda: return_to_previous(observed, state, totals),
        lambda: resplit(observed, state),
        lambda: advance_contests(observed, state, totals),
        lambda: conclude_run(observed, state, run_model_name(observed, state)),
        lambda: admit(observed, state),
        lambda: retrain(observed, state, finding),
    )
    return next((record for step in steps if (record := step())), None)


def _numbered(observed: Observed, before: State, record: Record) -> State:
    policy, fixed = contest_policy(observed.deployment), fixed_shares(observed.deployment)
    return settle(before, record, policy, fixed, observed.now)


def _oldest_decision(state: State) -> int:
    """The oldest decision whose counts can still be asked for."""
    begun = [c.runs[0].decision for c in state.contests if c.runs]
    return min([state.champion.decision if state.champion else 0, *begun])


def _record_body(observed: Observed, record: Record, state: State) -> Manifest:
    deployment = observed.deployment
    spec = DecisionSpec(
        deployment=deployment.metadata.name,
        deployment_uid=observed.uid,
        sequence=state.sequence,
        action=record.action,
        from_=_side(record.from_side),
        to=_side(record.to_side),
        weights=tuple(
            DecidedWeight(model=s.model, weight=s.weight, shadow_percent=s.shadow_percent) for s in state.traffic
        ),
        reason=record.reason,
        rule=record.rule,
        message=record.message[:4096],
        evidence=tuple(evidence_of(c) for c in record.checks),
        actor=record.actor,
        at=observed.now,
        observed_generation=deployment.metadata.generation,
        outcome=dump_state(state),
    )
    return decision_body(deployment, spec)


def _side(side: Side | None) -> DecidedModel | None:
    return DecidedModel(name=side.name, digest=side.digest or None) if side else None


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
    # Beyond 1e300 a float ends; by then nobody doubts.
    return None if log_e is None else exp(min(log_e, 690.0))


def _figure(value: float | None) -> Number | None:
    return None if value is None else Number(f"{value:.4g}")


def _actions(observed: Observed, state: State, rules: Rules) -> Iterator[Action]:
    yield from remove_autoscalers(observed, state)
    yield from write_children(observed, wanted_children(observed, state, rules.settings, rules.router))
    yield from run_actions(observed, state, rules.settings)
    yield from remove_variants(observed, state, timedelta(seconds=rules.settings.pre_stop_seconds))
    for name, uid in observed.expired:
        yield Delete("kingmaker.dev/v1alpha1", "Decision", name, uid)


def _changed_status(observed: Observed, state: State, ledger: Ledger) -> dict[str, object] | None:
    wanted = build_status(observed, state, ledger.watch, ledger.totals)
    return wanted if wanted != observed.deployment.status.manifest() else None


def _event(record: Record) -> Event:
    harm = record.action in ("Rollback", "Reject", "Pause", "SkipRetraining") and record.actor == "Operator"
    return Event("Warning" if harm else "Normal", str(record.reason), f"{record.action}: {record.message}"[:1000])


def _requeue_at(observed: Observed, state: State, totals: Totals, rules: Rules, *, decided: bool) -> datetime:
    """When to look again if nothing happens: at once after a decision, when time changes something, or to count."""
    now = observed.now
    if decided:
        return now
    times = [now + rules.evaluation, *_deadlines(observed, state, totals)]
    waiting = wanted_champion(observed, state) or any(
        not is_available(observed, state, m) for m in kept_variants(observed, state)
    )
    if waiting or not is_acknowledged(observed, state) or set(observed.variants) - set(kept_variants(observed, state)):
        times.append(now + _POLL)
    return min(t for t in times if t > now)


def _deadlines(observed: Observed, state: State, totals: Totals) -> Iterator[datetime]:
    if previous_is_warm(observed, state) and state.previous and state.previous.until:
        yield state.previous.until
    policy = contest_policy(observed.deployment)
    for contest in state.contests:
        step = next_step(contest, judge_contest(observed, state, contest, totals), policy, observed.now)
        if isinstance(step, Hold) and step.until:
            yield step.until
    spec = observed.deployment.spec.retraining
    allowed = next_allowed_at(spec, state) if spec else None
    if allowed:
        yield allowed


def _gauges(observed: Observed, state: State, totals: Totals) -> dict[str, float]:
    gauges: dict[str, float] = {}
    for contest in state.contests:
        for check in judge_contest(observed, state, contest, totals).checks:
            if check.log_e is not None:
                gauges[f"{contest.model}/{check.name}"] = check.log_e
    return gauges
