"""The decision: everything that was read in, everything that shall happen out. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.core.assess import Assessment, assess
from kingmaker.core.contest.champion import follow_champion_ref, retire_previous, return_to_previous
from kingmaker.core.contest.evidence import wanted_counts
from kingmaker.core.contest.lifecycle import admit, advance_contests, resplit, withdraw
from kingmaker.core.contest.record import Record, record_body, settle
from kingmaker.core.contest.steps import Hold
from kingmaker.core.counts.bursts import slot_at
from kingmaker.core.counts.ledger import Ledger, fold, is_due, note_news
from kingmaker.core.manifests.router import RouterContainer
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.monitoring.evaluate import watch_data, watched_cells
from kingmaker.core.monitoring.watch_performance import watch_performance
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Delete, Event, Gauges, Plan
from kingmaker.core.quiet import quiet_until
from kingmaker.core.retraining.runs import conclude_run, retrain, run_actions
from kingmaker.core.serving.children import remove_autoscalers, remove_variants, wanted_children, write_objects
from kingmaker.core.serving.idkeys import create_keys
from kingmaker.core.serving.traffic import previous_is_warm
from kingmaker.core.state import State
from kingmaker.core.status import build_status

_POLL: Final = timedelta(seconds=10)
"""While pods start or routers acknowledge: what is waited for shows outside the objects that are watched."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the operator was started, as far as decisions depend on it."""

    settings: Settings
    router: RouterContainer
    evaluation: timedelta = timedelta(seconds=30)
    """Time between two looks at the counts."""
    contest_evaluation: timedelta = timedelta(seconds=1)
    """The same, of a deployment in which a contest goes on."""
    ledger_interval: timedelta = timedelta(minutes=5)
    """Longest time for which new counts are in memory alone."""

    def time_between_looks(self, state: State) -> timedelta:
        """Give how long counts may stay unread."""
        return min(self.evaluation, self.contest_evaluation) if state.contests else self.evaluation


def decide(observed: Observed, rules: Rules) -> Plan:
    """Decide what shall happen now.

    At most one decision is recorded per pass; what follows from it is planned in the same pass, for the state after it.

    Args:
        observed: The snapshot.
        rules: How the operator was started.
    """
    ledger = _look(observed)
    before = assess(observed, observed.state, ledger)
    record = _first_record(before) if observed.can_record else None
    after = assess(observed, _state_after(before, record), ledger) if record else before
    actions = (*_actions(after, rules),)
    # After a decision the next pass follows at once, and knows what routers made of it.
    status = None if record else _changed_status(after)
    is_quiet = not (record or actions or status or _is_waiting(after))
    return Plan(
        state=after.state,
        route_before=before.traffic.route,
        record=record_body(observed, record, after.state) if record else None,
        actions=actions,
        route=after.traffic.route,
        ledger=ledger if ledger is not observed.ledger else None,
        store_ledger=is_due(ledger, now=observed.now, interval=rules.ledger_interval, decided=record is not None),
        status=status,
        events=(_event(record),) if record else (),
        requeue_at=_requeue_at(after, rules, decided=record is not None),
        quiet_until=quiet_until(after, ledger) if is_quiet else None,
        gauges=_gauges(after),
    )


def _look(observed: Observed) -> Ledger:
    """Take the counts of this pass in, and have monitoring look at them."""
    if not observed.scraped and not observed.profiles:
        return observed.ledger
    state = observed.state
    folded = fold(
        observed.ledger,
        observed.profiles,
        pods=observed.pod_uids,
        wanted=wanted_counts(state),
        watched=watched_cells(observed, state),
        slot=slot_at(observed.now),
        champion=state.champion.digest if state.champion else "",
    )
    watch, performance = folded.ledger.watch, folded.ledger.performance
    if observed.scraped:
        watch = watch_data(observed, state, watch, folded.cells)
        performance = watch_performance(observed, state, performance, labels=folded.labels, data=watch)
    return note_news(observed.ledger, replace(folded.ledger, watch=watch, performance=performance))


def _first_record(before: Assessment) -> Record | None:
    """The most urgent decision: people first, then harm, then progress."""
    observed, state, contests, retraining = before.observed, before.state, before.contests, before.retraining
    steps: tuple[Callable[[], Record | None], ...] = (
        lambda: follow_champion_ref(contests),
        lambda: withdraw(contests),
        lambda: return_to_previous(contests),
        lambda: retire_previous(contests),
        lambda: resplit(contests),
        lambda: advance_contests(contests),
        lambda: conclude_run(observed, state, retraining.open),
        lambda: admit(contests),
        lambda: retrain(observed, state, retraining),
    )
    return next((record for step in steps if (record := step())), None)


def _state_after(before: Assessment, record: Record) -> State:
    contests = before.contests
    return settle(before.state, record, contests.policy, dict(contests.fixed), before.observed.now)


def _actions(assessed: Assessment, rules: Rules) -> Iterator[Action]:
    observed, kept = assessed.observed, assessed.traffic.kept
    drain = timedelta(seconds=rules.settings.pre_stop_seconds)
    yield from remove_autoscalers(observed, kept)
    writes = write_objects(observed.children, wanted_children(assessed.contests, kept, rules.settings))
    yield from create_keys(observed, writes)
    yield from writes
    yield from run_actions(observed, assessed.retraining.open, rules.settings)
    yield from remove_variants(observed, assessed.state, assessed.traffic, drain)
    for name, uid in observed.expired:
        yield Delete("kingmaker.dev/v1alpha1", "Decision", name, uid)


def _changed_status(assessed: Assessment) -> dict[str, object] | None:
    wanted, live = build_status(assessed), assessed.observed.mdep.status
    if wanted == live:
        return None
    # What is left out and what is said to be empty are the same in what is written.
    manifest = wanted.manifest()
    return manifest if manifest != live.manifest() else None


def _event(record: Record) -> Event:
    harm = record.action in ("Rollback", "Reject", "Pause", "SkipRetraining") and record.actor == "Operator"
    return Event("Warning" if harm else "Normal", str(record.reason), f"{record.action}: {record.message}"[:1000])


def _requeue_at(assessed: Assessment, rules: Rules, *, decided: bool) -> datetime:
    """When to look again if nothing happens: at once after a decision, when time changes something, or to count."""
    now = assessed.observed.now
    if decided:
        return now
    looked_at = assessed.observed.scraped_at or now
    times = [looked_at + rules.time_between_looks(assessed.state), *_deadlines(assessed)]
    if _is_waiting(assessed):
        times.append(now + _POLL)
    return min((t for t in times if t > now), default=now + rules.evaluation)


def _is_waiting(assessed: Assessment) -> bool:
    """Whether something is under way that no watched object will tell of."""
    contests, traffic = assessed.contests, assessed.traffic
    kept = set(traffic.kept)
    settled = traffic.is_acknowledged and kept <= contests.available and kept >= set(assessed.observed.variants)
    return contests.wanted is not None or not settled


def _deadlines(assessed: Assessment) -> Iterator[datetime]:
    state = assessed.state
    if previous_is_warm(assessed.observed, state) and state.previous and state.previous.until:
        yield state.previous.until
    for judged in assessed.contests.judged:
        if isinstance(judged.step, Hold) and judged.step.until:
            yield judged.step.until
    if assessed.retraining.next_allowed_at:
        yield assessed.retraining.next_allowed_at


def _gauges(assessed: Assessment) -> Gauges:
    champion, performance = assessed.state.champion, assessed.performance
    holder = champion.name if champion else ""
    coverage = performance.coverage
    return Gauges(
        sequence=assessed.state.sequence,
        weights={share.model: share.weight for share in assessed.state.traffic},
        log_e={
            (judged.contest.model, check.name): check.log_e
            for judged in assessed.contests.judged
            for check in judged.judgement.checks
            if check.log_e is not None
        },
        errors={(holder, figure): value for figure, value in performance.figures},
        label_coverage={holder: coverage} if coverage is not None else {},
        remaining={
            judged.contest.model: ahead.remaining.total_seconds() if ahead.remaining is not None else math.inf
            for judged in assessed.contests.judged
            if (ahead := judged.forecast)
        },
    )
