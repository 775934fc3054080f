"""Several requests in one run of the model, each with the rows that are its own."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from kingmaker_serving.engine.job import Job, Run
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import ModelSession, Stop

Outcome = tuple[Mapping[str, np.ndarray], float] | ServingError
"""Outputs by name with the seconds of the model alone, or what went wrong."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that run together: their inputs have the same names and sizes, but for the first dimension."""

    jobs: list[Job]
    rows: int

    @property
    def deadline(self) -> float:
        """When the last of them gives up, `time.perf_counter`."""
        return max(job.deadline for job in self.jobs)


def form_batch(waiting: deque[Job], *, max_rows: int) -> Batch:
    """Take jobs from the front, as many as fit into one run; one at least.

    Args:
        waiting: Not empty.
        max_rows: Of all together; a single job may have more.
    """
    first = waiting[0]
    jobs, rows = [first], first.rows
    if len(waiting) > 1 and rows < max_rows:
        form = _form(first)
        for job in islice(waiting, 1, None):
            if rows + job.rows > max_rows or _form(job) != form:
                break
            jobs.append(job)
            rows += job.rows
    return Batch(jobs, rows)


def run_batch(session: ModelSession, batch: Batch, stop: Stop) -> list[Outcome]:
    """Run a batch; give an outcome for each of its jobs, in their order. When it fails as a whole, each runs alone."""
    jobs = batch.jobs
    if len(jobs) == 1:
        return [_alone(session, jobs[0], stop)]
    inputs = {name: np.concatenate([job.inputs[name] for job in jobs]) for name in jobs[0].inputs}
    names = jobs[0].names
    if any(job.names is not names for job in jobs):
        names = list(dict.fromkeys(name for job in jobs for name in job.names))
    try:
        execution = session.run(inputs, names, stop)
    except ServingError:
        return [_alone(session, job, stop) for job in jobs]
    outputs = execution.outputs
    if any(not array.ndim or len(array) != batch.rows for array in outputs.values()):
        return [_alone(session, job, stop) for job in jobs]
    share = execution.seconds / batch.rows
    run = Run(inputs, outputs, len(jobs))
    outcomes: list[Outcome] = []
    start = 0
    for job in jobs:
        end = start + job.rows
        job.run = run
        outcomes.append(({name: outputs[name][start:end] for name in job.names if name in outputs}, share * job.rows))
        start = end
    return outcomes


def settle(batch: Batch, outcomes: Sequence[Outcome], failed: Callable[[BaseException], None]) -> None:
    """Hand the outcomes to the jobs; a bug at one of them leaves the others alone."""
    for job, outcome in zip(batch.jobs, outcomes, strict=True):
        try:
            if isinstance(outcome, ServingError):
                job.fail(outcome)
            else:
                job.succeed(*outcome)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is one request's
            failed(error)


def _alone(session: ModelSession, job: Job, stop: Stop) -> Outcome:
    try:
        execution = session.run(job.inputs, job.names, stop)
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001  # a bug, which the log tells
        return _bug(error)
    return execution.outputs, execution.seconds


def _bug(error: Exception) -> ServingError:
    found = ServingError(ErrorCode.INTERNAL, "this is a bug of the server; its log says more")
    found.__cause__ = error
    return found


def _form(job: Job) -> object:
    """What jobs that run together have in common: names, and sizes but for the first dimension."""
    inputs = job.inputs
    if len(inputs) == 1:
        for name, array in inputs.items():
            return name, array.shape[1:]
    return [(name, array.shape[1:]) for name, array in sorted(inputs.items())]
