"""One look at the champion's data: new counts into the windows, and what the windows say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final
from zlib import crc32

from kingmaker.api import ConditionStatus, DriftState, ModelDeployment, Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor, DriftFinding
from kingmaker.core.counts.seen_cells import CellDelta, CellsOf
from kingmaker.core.counts.windows import Windows, advance
from kingmaker.core.identity import by_identity
from kingmaker.core.monitoring.drift import DriftPolicy, DriftVerdict, Severity, judge_drift, persisted
from kingmaker.core.monitoring.quality import QualityPolicy, QualityState, QualityVerdict, watch_quality
from kingmaker.core.observed import Observed
from kingmaker.core.state import Champion, State
from kingmaker.core.wording import duration

HISTORY = 50
"""Evaluations that are remembered; the most that `persistence.of` may ask for."""

_STATES = {
    Severity.UNKNOWN: DriftState.UNKNOWN,
    Severity.NONE: DriftState.NONE,
    Severity.WARNING: DriftState.WARNING,
    Severity.DRIFT: DriftState.DRIFT,
    Severity.SEVERE: DriftState.DRIFT,
}
_REASONS = {
    DriftState.UNKNOWN: Reason.TOO_FEW_ROWS,
    DriftState.NONE: Reason.NO_DRIFT,
    DriftState.WARNING: Reason.DRIFT_WARNING,
    DriftState.DRIFT: Reason.DRIFT_ABOVE_TOLERANCE,
}


def watch_data(observed: Observed, state: State, watch: DataMonitor, cells: CellDelta) -> DataMonitor:
    """Take one look.

    Args:
        observed: The snapshot; its pods were asked for counts.
        state: Who is champion: only its data is watched, with the baseline of its Model.
        watch: What was remembered.
        cells: What came new since the last look in the cells of `watched_cells`.
    """
    champion = state.champion
    baseline = _baseline(observed, state)
    if champion is None or baseline is None:
        reason, message = _without_baseline(observed, state)
        return DataMonitor(drift_reason=reason, drift_message=message, quality_reason=reason, quality_message=message)
    scales = [w.timedelta for w in observed.mdep.spec.monitoring.drift.windows]
    windows = Windows.for_baseline(
        watch.windows,
        model=champion.digest,
        baseline=baseline,
        scales=scales,
        now=observed.now,
        # Of two deployments with the same windows hardly two slots end together: each costs time and a write.
        phase=crc32(observed.uid.encode()),
    )
    if watch.windows is None or (watch.windows.model, watch.windows.baseline) != (windows.model, windows.baseline):
        # Another champion: what was said of its predecessor's data says nothing about it.
        watch = DataMonitor(since=observed.now, drift_reason=Reason.TOO_FEW_ROWS, quality_reason=Reason.TOO_FEW_ROWS)
    delta = cells.counts or CellCounts.empty(baseline)
    answered = sum(p.model_digest == champion.digest for p in observed.profiles)
    complete = answered >= max(1, observed.variant(champion.name).ready) and not cells.gap
    windows = advance(windows, now=observed.now, delta=delta, complete=complete)
    windows, quality = watch_quality(baseline, windows, quality_policy(observed.mdep), now=observed.now)
    watch = _with_quality(replace(watch, windows=windows), quality)
    if _is_due(watch, windows, observed.now):
        verdict = judge_drift(baseline, windows, drift_policy(observed.mdep), now=observed.now)
        watch = _with_drift(replace(watch, evaluated_at=observed.now), verdict, observed.now)
    return _with_since(watch, finding_of(watch, observed.mdep, champion), observed.now)


def _with_since(watch: DataMonitor, finding: DriftFinding, now: datetime) -> DataMonitor:
    return replace(
        watch,
        persistent_since=(watch.persistent_since or now) if finding.persistent else None,
        broken_since=(watch.broken_since or now) if finding.broken else None,
    )


def watched_cells(observed: Observed, state: State) -> CellsOf | None:
    """Say whose cells are watched: the champion's, once its baseline is known."""
    baseline = _baseline(observed, state)
    return CellsOf(state.champion.digest, baseline) if state.champion and baseline else None


def finding_of(watch: DataMonitor, mdep: ModelDeployment, champion: Champion | None) -> DriftFinding:
    """Sum up what monitoring says of the present champion's data; nothing while it still speaks of a predecessor's.

    Args:
        watch: What monitoring remembers.
        mdep: Its retraining says for how long drift must persist.
        champion: Who holds the seat; None: nobody does.
    """
    retraining = mdep.spec.retraining
    if champion is None or not watch.is_about(champion.digest):
        return DriftFinding()
    rule = retraining.persistence if retraining else None
    persistent = rule is not None and persisted(watch.history, of=rule.of, needed=rule.needed)
    return DriftFinding(
        persistent, watch.features, watch.window, watch.broken, watch.persistent_since, watch.broken_since
    )


def what_is_said(watch: DataMonitor, observed: Observed, state: State) -> DataMonitor:
    """Give what is to be told of the champion's data; until it was looked at, what the first look without rows says.

    So a new champion's status need not be written once more when its pods are looked at for the first time.

    Args:
        watch: What monitoring remembers; it may still speak of a predecessor, or of nobody.
        observed: The snapshot.
        state: Who is champion.
    """
    champion = state.champion
    model = observed.models.get(champion.name) if champion else None
    if champion is None or model is None or watch.is_about(champion.digest):
        return watch
    if model.spec.baseline is None:
        reason, message = _without_baseline(observed, state)
        return DataMonitor(drift_reason=reason, drift_message=message, quality_reason=reason, quality_message=message)
    if watch.windows is None and watch.drift_message == _UNREAD:
        return watch
    return DataMonitor(drift_message=_LEAD[DriftState.UNKNOWN], quality_message=_UNKNOWN_QUALITY)


@by_identity
def drift_policy(mdep: ModelDeployment) -> DriftPolicy:
    """Give the rules of `spec.monitoring.drift`."""
    drift = mdep.spec.monitoring.drift
    return DriftPolicy(
        tolerance=float(drift.tolerance),
        warning=float(drift.warning),
        false_alarm_interval=drift.false_alarm_interval.timedelta,
        windows=tuple(w.timedelta for w in drift.windows),
        min_rows=drift.min_rows,
        ignore_features=frozenset(drift.ignore_features),
    )


@by_identity
def quality_policy(mdep: ModelDeployment) -> QualityPolicy:
    """Give the rules of `spec.monitoring.dataQuality`."""
    monitoring = mdep.spec.monitoring
    return QualityPolicy(
        maximum_percent=float(monitoring.data_quality.maximum_percent),
        ignore_features=frozenset(monitoring.drift.ignore_features),
    )


def _baseline(observed: Observed, state: State) -> Baseline | None:
    model = observed.models.get(state.champion.name) if state.champion else None
    file = model.spec.baseline if model else None
    return observed.baselines.get(file.digest) if file else None


def _without_baseline(observed: Observed, state: State) -> tuple[Reason, str]:
    if state.champion is None:
        return Reason.CHAMPION_UNAVAILABLE, "no model holds the seat yet"
    model = observed.models.get(state.champion.name)
    if model and model.spec.baseline:
        return Reason.CHAMPION_UNAVAILABLE, _UNREAD
    return Reason.NO_BASELINE, "the champion's Model has no baseline: package it with one to have its data watched"


def _is_due(watch: DataMonitor, windows: Windows, now: datetime) -> bool:
    return watch.evaluated_at is None or windows.slot_ended(watch.evaluated_at, now)


def _with_drift(watch: DataMonitor, verdict: DriftVerdict, now: datetime) -> DataMonitor:
    state = _STATES[verdict.state]
    features = tuple(f.name for f in verdict.features)
    history = watch.history
    if state is not DriftState.UNKNOWN:
        # Broken values look like drift, and go on doing so while the last of them leave the windows: they are no
        # reason to train, neither now nor once the data is mended.
        history = (*history, state is DriftState.DRIFT and not watch.broken)[-HISTORY:]
    # Figures change with every evaluation; status says what holds, `kingmaker explain` and the metrics say how much.
    named = ", ".join(f"{f.name} {f.direction}" for f in verdict.features[:5])
    message = f"{_LEAD[state]}{': ' if named else ''}{named}"
    return replace(
        watch,
        history=history,
        state=state,
        features=features,
        window=duration(verdict.window) if verdict.window else "",
        since=watch.since if watch.state == state and watch.since else now,
        drift_reason=_REASONS[state],
        drift_message=message if state is not DriftState.UNKNOWN else _LEAD[state],
    )


_LEAD = {
    DriftState.UNKNOWN: "too few rows, or too little of a window's time observed, to judge drift",
    DriftState.NONE: "no feature differs from the baseline by more than the warning level",
    DriftState.WARNING: "above the warning level, within the tolerance",
    DriftState.DRIFT: "above the tolerance",
}


_UNKNOWN_QUALITY: Final = "too few rows, or too little of the window's time observed, to judge data quality"
_UNREAD: Final = "the champion's baseline could not be read from its pods yet"


def _with_quality(watch: DataMonitor, verdict: QualityVerdict) -> DataMonitor:
    broken = tuple(dict.fromkeys(f.name for f in verdict.features))
    match verdict.state:
        case QualityState.BROKEN:
            kinds = ", ".join(dict.fromkeys(f"{f.name} {f.kind}" for f in verdict.features[:5]))
            message = f"{kinds}: check what sends the data; retraining waits"
            status, reason = ConditionStatus.TRUE, Reason.DATA_QUALITY_ABOVE_MAXIMUM
        case QualityState.GOOD:
            message = "values are where the baseline has them"
            status, reason = ConditionStatus.FALSE, Reason.DATA_QUALITY_GOOD
        case QualityState.UNKNOWN:
            message = _UNKNOWN_QUALITY
            status, reason = ConditionStatus.UNKNOWN, Reason.TOO_FEW_ROWS
    return replace(watch, broken=broken, quality_status=status, quality_reason=reason, quality_message=message)
