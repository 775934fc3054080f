"""What a retraining run needs in the cluster: its Job, once, and the Model that comes out of it."""

from __future__ import annotations

from collections.abc import Iterator

from kingmaker.core.manifests.names import decision_name, produced_model_name
from kingmaker.core.manifests.records import model_from_result
from kingmaker.core.manifests.retraining import retrain_job, retrain_variables, run_output_uri
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Create
from kingmaker.core.retraining.triggers import InvalidResultError, job_of, run_result
from kingmaker.core.state import Run, State


def run_model_name(observed: Observed, state: State) -> str:
    """Name of the Model that the open run becomes; empty when no run is open."""
    run = state.open_run
    return produced_model_name(observed.deployment.metadata.name, run.number) if run else ""


def run_actions(observed: Observed, state: State, settings: Settings) -> Iterator[Action]:
    """Create the Job of the open run, or the Model that its result describes.

    Both have names that follow from the run's number, so neither is made twice whatever is killed when. A Job that was
    seen and then vanished is not made again: `conclude_run` closes its run.
    """
    run = state.open_run
    spec = observed.deployment.spec.retraining
    parent = observed.models.get(run.parent) if run else None
    if run is None or spec is None or parent is None:
        return
    job = job_of(observed, run)
    name = observed.deployment.metadata.name
    if job is None:
        seen = observed.deployment.status.retraining
        if seen is None or seen.job is None or seen.run != run.number:
            variables = retrain_variables(
                observed.deployment,
                parent,
                decision=decision_name(name, run.decision),
                reason=run.reason,
                features=run.features,
                window=run.window,
                output_uri=run_output_uri(observed.deployment, spec.output.uri_prefix, run=run.number),
            )
            yield Create(
                retrain_job(observed.deployment, spec.template, run=run.number, variables=variables, settings=settings)
            )
    elif job.succeeded and run_model_name(observed, state) not in observed.models:
        yield from _register(observed, run, job.message)


def _register(observed: Observed, run: Run, message: str) -> Iterator[Action]:
    try:
        result = run_result(observed, run, message)
    except InvalidResultError:
        # The run is closed with this as its reason, in a decision of its own.
        return
    parent = observed.models[run.parent]
    decision = decision_name(observed.deployment.metadata.name, run.decision)
    yield Create(
        model_from_result(observed.deployment, parent, result, run=run.number, decision=decision, built_at=observed.now)
    )
