"""Whether to train a new model, whether that may be done now, and what became of the last run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from kingmaker.api import (
    Action,
    Artifact,
    ConditionType,
    FileRef,
    Metric,
    Reason,
    Retraining,
    Task,
    TrainingData,
    Trigger,
)
from kingmaker.core.contest.candidates import is_own_retraining
from kingmaker.core.contest.record import Record, Side
from kingmaker.core.counts.data_monitor import DriftFinding
from kingmaker.core.manifests.names import retrain_job_name
from kingmaker.core.manifests.records import RunResult
from kingmaker.core.manifests.retraining import run_output_uri
from kingmaker.core.observed import Observed, ObservedJob
from kingmaker.core.state import RUNS_LIMIT, Run, State

LONGEST_COOLDOWN: Final = timedelta(days=14)
"""Doubling ends here: a deployment whose candidates always lose is looked at twice a month."""


@dataclass(frozen=True, slots=True)
class Due:
    """Retraining is due."""

    reason: Reason
    message: str
    features: tuple[str, ...] = ()
    window: str = ""


def find_due(observed: Observed, state: State, finding: DriftFinding) -> Due | None:
    """Tell whether any trigger holds."""
    spec = observed.deployment.spec.retraining
    if spec is None or state.champion is None:
        return None
    if Trigger.DRIFT in spec.triggers and finding.persistent:
        names = ", ".join(finding.features[:5])
        message = f"data drifted from the champion's baseline within {finding.window}: {names}"
        return Due(Reason.DRIFT_PERSISTED, message, finding.features, finding.window)
    if Trigger.DRIFT in spec.triggers and finding.broken:
        # Broken data moves everything: it is due by its looks, and must not be followed. It is said once.
        message = f"broken values in {', '.join(finding.broken[:5])}"
        return Due(Reason.DATA_QUALITY_BROKEN, message, finding.broken, finding.window)
    if Trigger.AGE in spec.triggers and observed.now >= _birth(observed, state) + spec.max_age.timedelta:
        return Due(Reason.MODEL_TOO_OLD, f"the champion is older than {spec.max_age}")
    return None


def _birth(observed: Observed, state: State) -> datetime:
    champion = observed.models.get(state.champion.name) if state.champion else None
    if champion is None:
        return observed.now
    built = champion.spec.lineage.built_at if champion.spec.lineage else None
    return built or champion.metadata.creation_timestamp or observed.now


def next_allowed_at(spec: Retraining, state: State) -> datetime | None:
    """Give the time before which no run begins: the cooldown, doubled for every lost run; None without runs."""
    if not state.runs:
        return None
    doublings = min(state.lost_runs, 20)
    longest = max(spec.cooldown.timedelta, LONGEST_COOLDOWN)
    pause: timedelta = min(spec.cooldown.timedelta * 2**doublings, longest)
    return state.runs[-1].at + pause


def find_obstacle(observed: Observed, state: State, finding: DriftFinding) -> tuple[Reason, str] | None:
    """Say what forbids a run that is due; None when it may begin."""
    spec = observed.deployment.spec.retraining
    if spec is None:
        return Reason.NOT_CONFIGURED, "spec.retraining is not set"
    if spec.suspend:
        return Reason.SUSPENDED, "spec.retraining.suspend is true"
    if finding.broken:
        names = ", ".join(finding.broken[:5])
        return Reason.DATA_QUALITY_BROKEN, f"a model trained on broken data would be broken: mend {names} at the source"
    allowed = next_allowed_at(spec, state)
    if allowed and observed.now < allowed:
        return Reason.COOLDOWN, f"no run before {allowed:%Y-%m-%d %H:%M:%S}"
    recent = [r for r in state.runs if r.at > observed.now - spec.budget.per.timedelta]
    if len(recent) >= spec.budget.runs:
        return (
            Reason.BUDGET_EXHAUSTED,
            f"spec.retraining.budget: {len(recent)} runs within {spec.budget.per}",
        )
    return None


def retrain(observed: Observed, state: State, finding: DriftFinding) -> Record | None:
    """Decide about a run that is due: begin it, or say once why not. One run at a time."""
    due = find_due(observed, state, finding)
    if due is None or state.open_run or state.champion is None:
        return None
    side = Side(state.champion.name, state.champion.digest)
    obstacle = find_obstacle(observed, state, finding)
    if obstacle:
        reason, why = obstacle
        if state.skipped == reason:
            return None
        after = replace(state, skipped=str(reason))
        return Record(Action.SKIP_RETRAINING, reason, f"{due.message}; not retrained: {why}", after, from_side=side)
    run = Run(
        number=(state.runs[-1].number if state.runs else 0) + 1,
        decision=state.sequence + 1,
        at=observed.now,
        reason=str(due.reason),
        features=due.features[:20],
        window=due.window,
        parent=state.champion.name,
    )
    after = replace(state, runs=(*state.runs, run)[-RUNS_LIMIT:], skipped="")
    return Record(Action.RETRAIN, due.reason, due.message, after, from_side=side)


def forget_skip(observed: Observed, state: State, finding: DriftFinding) -> State:
    """Let the next obstacle be recorded again once nothing is due any more."""
    if state.skipped and find_due(observed, state, finding) is None:
        return replace(state, skipped="")
    return state


class InvalidResultError(ValueError):
    """A finished run's message is not what a run must say."""


def run_result(observed: Observed, run: Run, message: str) -> RunResult:
    """Read what a finished run produced, and refuse files that lie elsewhere than where it was told to write.

    Whoever downloads them has the champion's credentials: an address of the trainer's choice would be handed those.

    Raises:
        InvalidResultError: with what was found and what was expected.
    """
    result = parse_result(message)
    spec = observed.deployment.spec.retraining
    if spec is None:
        return result
    prefix = run_output_uri(observed.deployment, spec.output.uri_prefix, run=run.number)
    for name, file in (("artifact", result.artifact), ("baseline", result.baseline), ("examples", result.examples)):
        if file is not None and not file["uri"].startswith(prefix):
            msg = f"{name} is at {file['uri']}, outside of KINGMAKER_OUTPUT_URI, which was {prefix}: write it there"
            raise InvalidResultError(msg)
    return result


def parse_result(message: str) -> RunResult:
    """Read the termination message of a finished run.

    Raises:
        InvalidResultError: with what was found and what was expected.
    """
    try:
        result: Any = json.loads(message)
    except ValueError as error:
        found = f"found {message[:80]!r}" if message.strip() else "found nothing"
        msg = f"the termination message must be one JSON object; {found}"
        raise InvalidResultError(msg) from error
    if not isinstance(result, Mapping):
        msg = f"the termination message must be a JSON object, found {type(result).__name__}"
        raise InvalidResultError(msg)
    try:
        artifact = Artifact.model_validate({"format": "ONNX", **_mapping(result, "artifact")})
        files = {name: _optional(FileRef, result.get(name)) for name in ("baseline", "examples")}
        return RunResult(
            artifact={"uri": artifact.uri, "digest": artifact.digest},
            baseline=files["baseline"],
            examples=files["examples"],
            task=_optional(Task, result.get("task")),
            metrics=tuple(Metric.model_validate(m).manifest() for m in result.get("metrics") or ()),
            training_data=tuple(TrainingData.model_validate(d).manifest() for d in result.get("trainingData") or ()),
            framework=str(result["framework"])[:512] if result.get("framework") else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        msg = f"the termination message is not a result: {error.title} {place}: {first['msg']}"
        raise InvalidResultError(msg) from error


def _mapping(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = result.get(name)
    if not isinstance(value, Mapping):
        msg = f"the termination message has no {name!r} with uri and digest"
        raise InvalidResultError(msg)
    return value


def _optional(kind: Any, value: Any) -> dict[str, Any] | None:  # noqa: ANN401  # a model class and any JSON
    return None if value is None else kind.model_validate(value).manifest()


def job_of(observed: Observed, run: Run) -> ObservedJob | None:
    """The Job of a run, if it exists."""
    return observed.jobs.get(retrain_job_name(observed.deployment.metadata.name, run.number))


def conclude_run(observed: Observed, state: State, model_name: str) -> Record | None:
    """Close a run that came to nothing: a failed or vanished Job, a useless result, a Model that can't be verified."""
    run = state.open_run
    if run is None:
        return None
    job = job_of(observed, run)
    model = observed.models.get(model_name)
    if model is not None and not is_own_retraining(observed, model):
        why = f"a Model {model_name} exists that is not its own: delete it, or rename the deployment"
        return _failed(state, run, Reason.NAME_TAKEN, why)
    if model is not None:
        return _useless_model(observed, state, model_name)
    if job is None:
        started = observed.deployment.status.retraining
        seen = started is not None and started.job == retrain_job_name(observed.deployment.metadata.name, run.number)
        return _failed(state, run, Reason.JOB_FAILED, "its Job was deleted") if seen else None
    if job.failed:
        return _failed(state, run, Reason.JOB_FAILED, job.message[:500] or job.reason or "its Job failed")
    if not job.succeeded:
        return None
    try:
        result = run_result(observed, run, job.message)
    except InvalidResultError as error:
        return _failed(state, run, Reason.INVALID_RESULT, str(error))
    digest = result.artifact["digest"]
    if state.was_judged(digest) or (state.champion and state.champion.digest == digest):
        return _failed(state, run, Reason.REPEATED_RESULT, f"it produced {digest}, which had its chance before")
    return None


def _useless_model(observed: Observed, state: State, name: str) -> Record | None:
    model = observed.models[name]
    stalled = next((c for c in model.status.conditions if c.type == ConditionType.STALLED and c.status == "True"), None)
    run = state.open_run
    if stalled is None or run is None:
        return None
    return _failed(state, run, Reason.VERIFICATION_FAILED, f"Model {name}: {stalled.message}")


def _failed(state: State, run: Run, reason: Reason, why: str) -> Record:
    after = state.close_run("Failed")
    champion = state.champion
    side = Side(champion.name, champion.digest) if champion else None
    return Record(Action.REJECT, reason, f"retraining run {run.number} failed: {why}", after, from_side=side)
