"""A Model becomes Ready: verified by a Job that downloads it, compares digests, loads it and runs its examples."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from kingmaker.api import (
    ArtifactStatus,
    BaselineStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    Model,
    ModelStatus,
    Reason,
    RoleStatus,
    Signature,
)
from kingmaker.core.contest.candidates import is_ready
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.manifests.verification import verify_job
from kingmaker.core.observed import ObservedJob
from kingmaker.core.plan import Action, Create, Event

_MAX_REPORT_BYTES: Final = 1024**2
"""Of a report once it is inflated."""


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One Model, the Job that verifies it, and where it serves."""

    now: datetime
    model: Model
    job: ObservedJob | None = None
    roles: tuple[RoleStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What shall happen about a Model; `status` None means as it is."""

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    events: tuple[Event, ...] = field(default=())


def decide_model(observed: ObservedModel, settings: Settings) -> ModelPlan:
    """Decide what shall happen about one Model. A spec never changes, so a verdict on it is final.

    Args:
        observed: The Model, its verify Job, and where it serves.
        settings: How the operator was started.
    """
    model, job = observed.model, observed.job
    status = model.status.model_copy(update={"observed_generation": model.metadata.generation, "roles": observed.roles})
    actions: tuple[Action, ...] = ()
    if not is_ready(model) and not _is_refused(model):
        if job is None:
            actions = (Create(verify_job(model, settings=settings)),)
        status = _judge(observed, status)
    wanted = status.manifest()
    if wanted == model.status.manifest():
        return ModelPlan(actions)
    return ModelPlan(actions, wanted, _events(model.status, status))


def _is_refused(model: Model) -> bool:
    return any(c.type == ConditionType.STALLED and c.status == ConditionStatus.TRUE for c in model.status.conditions)


def _judge(observed: ObservedModel, status: ModelStatus) -> ModelStatus:
    job = observed.job
    if job is None or not job.is_finished:
        return _unready(
            observed, status, ConditionType.RECONCILING, Reason.VERIFYING, "the verify Job has not ended yet"
        )
    report = _report(job.message)
    if job.succeeded and "digest" in report:
        return _verified(observed, status, report)
    reason = report.get("reason", "")
    known = Reason(reason) if reason in set(Reason) else Reason.VERIFICATION_FAILED
    message = job.why(str(report.get("message", "")))
    if "(OOMKilled)" in message:
        message += "; the operator's option --verify-memory raises it, for models that need that much"
    return _unready(observed, status, ConditionType.STALLED, known, message)


def _report(message: str) -> dict[str, Any]:
    """Read a termination message; one that would be too long for Kubernetes comes deflated."""
    try:
        report = json.loads(message)
        if isinstance(report, dict) and isinstance(report.get("deflated"), str):
            stream = zlib.decompressobj()
            report = json.loads(stream.decompress(b64decode(report["deflated"]), _MAX_REPORT_BYTES))
    except (ValueError, zlib.error, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def _verified(observed: ObservedModel, status: ModelStatus, report: dict[str, Any]) -> ModelStatus:
    try:
        found = {
            "artifact": ArtifactStatus.model_validate(report),
            # Left out of a report when it is too long even so; then only the server knows it.
            "signature": Signature.model_validate(report) if "outputs" in report else None,
            "baseline": BaselineStatus.model_validate(report["baseline"]) if report.get("baseline") else None,
        }
    except ValidationError as error:
        message = f"the verifier's report can't be read: {error.errors()[0]['msg']}"
        return _unready(observed, status, ConditionType.STALLED, Reason.INTERNAL, message)
    message = f"digest, signature and {report.get('examples', 0)} examples are as they should be"
    ready = _condition(observed, ConditionType.READY, ConditionStatus.TRUE, Reason.VERIFIED, message)
    return status.model_copy(update={**found, "conditions": (ready,)})


def _unready(
    observed: ObservedModel, status: ModelStatus, kind: ConditionType, reason: Reason, message: str
) -> ModelStatus:
    conditions = (
        _condition(observed, ConditionType.READY, ConditionStatus.FALSE, reason, message),
        _condition(observed, kind, ConditionStatus.TRUE, reason, message),
    )
    return status.model_copy(update={"conditions": conditions})


def _condition(
    observed: ObservedModel, kind: ConditionType, status: ConditionStatus, reason: Reason, message: str
) -> Condition:
    before = next((c for c in observed.model.status.conditions if c.type == kind and c.status == status), None)
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:4096],
        last_transition_time=before.last_transition_time if before else observed.now,
        observed_generation=observed.model.metadata.generation,
    )


def _events(before: ModelStatus, after: ModelStatus) -> tuple[Event, ...]:
    was = {(c.type, c.status, c.reason) for c in before.conditions}
    for condition in after.conditions:
        news = (condition.type, condition.status, condition.reason) not in was
        if news and condition.type == ConditionType.READY and condition.status == ConditionStatus.TRUE:
            return (Event("Normal", condition.reason, condition.message),)
        if news and condition.type == ConditionType.STALLED:
            return (Event("Warning", condition.reason, condition.message),)
    return ()
