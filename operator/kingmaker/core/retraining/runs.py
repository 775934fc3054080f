"""One retraining run: when it begins, what it needs in the cluster, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from kingmaker.api import Action as Decided
from kingmaker.api import ConditionType, Reason
from kingmaker.core.contest.candidates import is_own_retraining
from kingmaker.core.contest.record import Record, Side
from kingmaker.core.manifests.names import decision_name, produced_model_name
from kingmaker.core.manifests.records import model_from_result
from kingmaker.core.manifests.retraining import retrain_job, retrain_variables, run_output_uri
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Create
from kingmaker.core.retraining.assessment import OpenRun, RetrainingAssessment
from kingmaker.core.retraining.obstacles import Obstacle
from kingmaker.core.retraining.triggers import Due
from kingmaker.core.state import RUNS_LIMIT, Run, State

SAID_AGAIN_AFTER: Final = timedelta(hours=1)
"""The same obstacle is recorded again when retraining became due anew, at most this often."""


def retrain(observed: Observed, state: State, retraining: RetrainingAssessment) -> Record | None:
    """Decide about a run that is due: begin it, or say once why not. One run at a time.

    Args:
        observed: The snapshot.
        state: Which runs there were.
        retraining: What is due in that state, and what forbids it.
    """
    due, obstacle = retraining.due, retraining.obstacle
    if due is None or state.open_run or state.champion is None:
        return None
    side = Side(state.champion.name, state.champion.digest)
    if obstacle:
        if _was_said(observed, state, due, obstacle):
            return None
        message = f"{due.message}; not retrained: {obstacle.message}"
        after = replace(state, skipped=str(obstacle.reason), skipped_at=observed.now)
        return Record(Decided.SKIP_RETRAINING, obstacle.reason, message, after, from_side=side)
    run = Run(
        number=_free_number(observed, state),
        decision=state.sequence + 1,
        at=observed.now,
        reason=str(due.reason),
        features=due.features[:20],
        window=due.window,
        parent=state.champion.name,
    )
    after = replace(state, runs=(*state.runs, run)[-RUNS_LIMIT:], skipped="", skipped_at=None)
    return Record(Decided.RETRAIN, due.reason, due.message, after, from_side=side)


def _free_number(observed: Observed, state: State) -> int:
    """Number the next run so that nobody has the name of the Model that it shall become."""
    number = state.next_run_number
    taken = {*observed.models, *observed.unreadable}
    while produced_model_name(observed.mdep.metadata.name, number) in taken:
        number += 1
    return number


def _was_said(observed: Observed, state: State, due: Due, obstacle: Obstacle) -> bool:
    """Whether this obstacle was recorded since retraining became due, or so lately that it would only be noise."""
    said_at = state.skipped_at or state.at
    if state.skipped != obstacle.reason or said_at is None:
        return False
    # What comes and goes around a limit becomes due again and again.
    return due.since is None or due.since <= said_at or observed.now < said_at + SAID_AGAIN_AFTER


def conclude_run(observed: Observed, state: State, opened: OpenRun | None) -> Record | None:
    """Close a run that came to nothing: a failed or vanished Job, a useless result, a Model that can't be verified.

    Args:
        observed: The snapshot.
        state: Who is champion, and who was judged before.
        opened: The open run, its Job and what that said.
    """
    failure = _failure(observed, state, opened) if opened else None
    if opened is None or failure is None:
        return None
    reason, why = failure
    champion = state.champion
    side = Side(champion.name, champion.digest) if champion else None
    message = f"retraining run {opened.run.number} failed: {why}"
    return Record(Decided.REJECT, reason, message, state.close_run("Failed"), from_side=side)


def _failure(observed: Observed, state: State, opened: OpenRun) -> tuple[Reason, str] | None:
    name, job = opened.model_name, opened.job
    model = observed.models.get(name)
    if model is not None:
        if not is_own_retraining(observed, model):
            why = f"a Model {name} was made by somebody else meanwhile; the next run takes another name"
            return Reason.NAME_TAKEN, why
        stalled = (c for c in model.status.conditions if c.type == ConditionType.STALLED and c.status == "True")
        refused = next(stalled, None)
        return (Reason.VERIFICATION_FAILED, f"Model {name}: {refused.message}") if refused else None
    if job is None:
        return (Reason.JOB_FAILED, "its Job was deleted") if opened.was_seen else None
    if job.failed:
        return Reason.JOB_FAILED, job.why()
    if opened.flaw:
        return Reason.INVALID_RESULT, opened.flaw
    digest = opened.result.artifact["digest"] if opened.result else ""
    if digest and (state.was_judged(digest) or (state.champion and state.champion.digest == digest)):
        return Reason.REPEATED_RESULT, f"it produced {digest}, which had its chance before"
    return None


def run_actions(observed: Observed, opened: OpenRun | None, settings: Settings) -> Iterator[Action]:
    """Create the Job of the open run, or the Model that its result describes.

    Both have names that follow from the run's number, so neither is made twice whatever is killed when. A Job that was
    seen and then vanished is not made again: `conclude_run` closes its run.

    Args:
        observed: The snapshot.
        opened: The open run.
        settings: How the operator was started.
    """
    spec = observed.mdep.spec.retraining
    parent = observed.models.get(opened.run.parent) if opened else None
    if opened is None or spec is None or parent is None:
        return
    run = opened.run
    decision = decision_name(observed.mdep.metadata.name, run.decision)
    if opened.model_name in observed.models:
        # The Job did what it was for, whether or not it is still there.
        return
    if opened.job is None:
        if not opened.was_seen:
            variables = retrain_variables(
                observed.mdep,
                parent,
                decision=decision,
                reason=run.reason,
                features=run.features,
                window=run.window,
                output_uri=run_output_uri(observed.mdep, spec.output.uri_prefix, run=run.number),
            )
            yield Create(
                retrain_job(observed.mdep, spec.template, run=run.number, variables=variables, settings=settings)
            )
    elif opened.result:
        yield Create(
            model_from_result(
                observed.mdep, parent, opened.result, run=run.number, decision=decision, built_at=observed.now
            )
        )
