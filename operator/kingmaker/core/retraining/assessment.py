"""Where retraining stands in one state: the open run and what it made, what is due, and what forbids it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kingmaker.core.manifests.names import produced_model_name, retrain_job_name
from kingmaker.core.manifests.records import RunResult
from kingmaker.core.observed import Observed, ObservedJob
from kingmaker.core.retraining.obstacles import Obstacle, Wish, find_obstacle, next_allowed_at
from kingmaker.core.retraining.result import InvalidResultError, run_result
from kingmaker.core.retraining.triggers import Due, Findings, find_due
from kingmaker.core.state import Run, State


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The run whose fate is open.

    `was_seen` tells whether its Job exists, or did in an earlier pass: without a `job` it was deleted then. `result` is
    there once the Job succeeded, `flaw` instead where its message is none. `model_name` is what it becomes.
    """

    run: Run
    job_name: str
    job: ObservedJob | None
    was_seen: bool
    model_name: str
    result: RunResult | None = None
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class RetrainingAssessment:
    """`due` names the trigger that holds, `obstacle` what forbids the run that is due; `next_allowed_at` is aware."""

    open: OpenRun | None = None
    due: Due | None = None
    obstacle: Obstacle | None = None
    next_allowed_at: datetime | None = None


def assess_retraining(observed: Observed, state: State, findings: Findings) -> RetrainingAssessment:
    """Assess retraining in one state.

    Args:
        observed: The snapshot.
        state: Which runs there were.
        findings: What monitoring says of the champion.
    """
    run = state.open_run
    opened = _open_run(observed, run) if run else None
    spec = observed.mdep.spec.retraining
    if spec is None:
        return RetrainingAssessment(opened)
    due = find_due(observed, state, findings)
    obstacle = find_obstacle(Wish(spec, state, observed.now, due, findings)) if due else None
    return RetrainingAssessment(opened, due, obstacle, next_allowed_at(spec, state))


def _open_run(observed: Observed, run: Run) -> OpenRun:
    deployment = observed.mdep.metadata.name
    job_name = retrain_job_name(deployment, run.number)
    job = observed.jobs.get(job_name)
    result, flaw = None, ""
    if job and job.succeeded:
        try:
            result = run_result(observed, run, job.message)
        except InvalidResultError as error:
            flaw = str(error)
    status = observed.mdep.status.retraining
    was_seen = job is not None or (status is not None and status.job == job_name)
    return OpenRun(run, job_name, job, was_seen, produced_model_name(deployment, run.number), result, flaw)
