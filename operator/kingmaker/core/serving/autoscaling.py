"""Whether autoscaling works, in words that stay the same while it does: what autoscalers say changes all the time."""

from __future__ import annotations

from collections.abc import Mapping

from kingmaker.api import Autoscaling, ConditionStatus, Reason
from kingmaker.core.manifests.autoscaler import IN_FLIGHT
from kingmaker.core.manifests.names import variant_name
from kingmaker.core.observed import Body, Observed

Verdict = tuple[ConditionStatus, Reason, str]

_BY_URGENCY = (
    Reason.SCALING_FAILED,
    Reason.METRICS_UNAVAILABLE,
    Reason.AUTOSCALER_PENDING,
    Reason.AT_MAXIMUM,
    Reason.FOLLOWING_LOAD,
)


def judge_autoscaling(observed: Observed, scaling: Autoscaling, models: tuple[str, ...]) -> Verdict:
    """Sum up what the variants' autoscalers say: the gravest of it, of the first model that it is said of.

    Args:
        observed: The snapshot.
        scaling: The spec's block.
        models: Models whose pods shall run, the champion first.
    """
    verdicts = [_judge(observed, scaling, model) for model in models]
    if not verdicts:
        return ConditionStatus.UNKNOWN, Reason.AUTOSCALER_PENDING, "no model has pods yet"
    return min(verdicts, key=lambda verdict: _BY_URGENCY.index(verdict[1]))


def _judge(observed: Observed, scaling: Autoscaling, model: str) -> Verdict:
    live = observed.children.get(("HorizontalPodAutoscaler", variant_name(observed.mdep.metadata.name, model)))
    said = _conditions(live)
    able, active = said.get("AbleToScale", {}), said.get("ScalingActive", {})
    if able.get("status") == "False":
        message = (
            f"{model}: the autoscaler can't set the number of pods ({able.get('reason')}); "
            "see `kubectl describe hpa`. The pods stay as they are"
        )
        return ConditionStatus.FALSE, Reason.SCALING_FAILED, message
    if active.get("status") == "False":
        return ConditionStatus.FALSE, Reason.METRICS_UNAVAILABLE, f"{model}: {_missing(scaling)}"
    if active.get("status") != "True":
        message = f"{model}: the autoscaler has not looked at the pods yet"
        return ConditionStatus.UNKNOWN, Reason.AUTOSCALER_PENDING, message
    if observed.variant(model).desired >= scaling.max_replicas > scaling.min_replicas:
        message = f"{model} has as many pods as maxReplicas allows, {scaling.max_replicas}: raise it if that is slow"
        return ConditionStatus.TRUE, Reason.AT_MAXIMUM, message
    return ConditionStatus.TRUE, Reason.FOLLOWING_LOAD, "the number of pods follows the load"


def _missing(scaling: Autoscaling) -> str:
    if scaling.target_cpu_percent is not None:
        what = "the pods' CPU use can't be read: new pods have none for a minute; if it lasts, install metrics-server"
    else:
        what = (
            f"the custom metric {IN_FLIGHT} of the pods can't be read: docs/autoscaling.md says what it takes of the "
            "release (monitoring.namespaces), of Prometheus and of prometheus-adapter"
        )
    return f"{what}. Until then the pods stay as many as they are, at least minReplicas"


def _conditions(live: Body | None) -> Mapping[str, Mapping[str, str]]:
    return {c["type"]: c for c in (live or {}).get("status", {}).get("conditions") or ()}
