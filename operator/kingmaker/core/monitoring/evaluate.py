"""One look at the champion's data: new counts into the windows, and what the windows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

from kingmaker.api import ConditionStatus, DriftState, ModelDeployment, Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor, DriftFinding
from kingmaker.core.counts.findings import Evidence, Severity, WindowFinding, persisted
from kingmaker.core.counts.learnt import Learnt
from kingmaker.core.counts.seen_cells import CellDelta, CellsOf
from kingmaker.core.counts.windows import SLOTS, Windows, advance
from kingmaker.core.identity import by_identity
from kingmaker.core.monitoring.drift import DriftPolicy, Look, look, sum_up
from kingmaker.core.monitoring.learning import ENOUGH_LOOKS, begin, learn, rare_dispersion
from kingmaker.core.monitoring.quality import OddFeature, QualityPolicy, QualityState, QualityVerdict, watch_quality
from kingmaker.core.monitoring.reference import reference_of
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
    watch = look_at_data(
        replace(watch, windows=windows),
        baseline,
        drift_policy(observed.mdep),
        quality_policy(observed.mdep),
        now=observed.now,
        rows_per_request=_rows_per_request(observed, champion),
    )
    return _with_since(watch, finding_of(watch, observed.mdep, champion), observed.now)


def look_at_data(
    watch: DataMonitor,
    baseline: Baseline,
    drift: DriftPolicy,
    quality: QualityPolicy,
    *,
    now: datetime,
    rows_per_request: float = 1.0,
) -> DataMonitor:
    """Judge windows to which new counts were added: their quality at each look, drift where a slot was completed.

    Args:
        watch: What was remembered, its windows advanced to now.
        baseline: The reference of their model.
        drift: When a difference counts.
        quality: When data is broken.
        now: The time of this look, aware.
        rows_per_request: On average; rows of one request are alike, and so are weighed until more is known.
    """
    windows = watch.windows
    if windows is None:
        return watch
    learnt = tuple(_learnt(watch, baseline, length, drift) for length in drift.windows)
    shortest = min(learnt, key=lambda known: known.length)
    dispersion = rare_dispersion(shortest, rows_per_request)
    windows, verdict = watch_quality(baseline, windows, quality, now=now, dispersion=dispersion)
    watch = _with_quality(replace(watch, windows=windows, learnt=learnt), verdict)
    due = [length for length in drift.windows if _is_due(watch, windows, length, now)]
    if not due:
        return watch
    looks = look(baseline, windows, due, drift, now=now, learnt=learnt, rows_per_request=rows_per_request)
    watch = _with_drift(watch, drift, dict(zip(due, looks, strict=True)), now)
    unjudged = reference_of(baseline).unjudged
    if unjudged and watch.state is DriftState.NONE:
        watch = replace(watch, drift_message=f"{watch.drift_message}; {' and '.join(unjudged)} not judged: {_FITTED}")
    return watch


def _rows_per_request(observed: Observed, champion: Champion) -> float:
    """How many rows a request had on average, by what the champion's processes counted since they began."""
    arms = [c.arm for p in observed.profiles if p.model_digest == champion.digest for c in p.by_decision.values()]
    answered = sum(arm.answered for arm in arms)
    return sum(arm.rows for arm in arms) / answered if answered else 1.0


def _learnt(watch: DataMonitor, baseline: Baseline, length: timedelta, policy: DriftPolicy) -> Learnt:
    """What is known of windows of one length: what was remembered, where it is about the same columns and season."""
    nothing = begin(reference_of(baseline), length, policy.season)
    known = next((known for known in watch.learnt if known.length == length), None)
    belongs = known is not None and (known.season, known.shape) == (nothing.season, nothing.shape)
    return known if known is not None and belongs else nothing


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
    persistent = rule is not None and any(
        persisted(evidence.history, of=rule.of, needed=rule.needed) for evidence in watch.evidence
    )
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
        season=drift.season.period,
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


def _is_due(watch: DataMonitor, windows: Windows, length: timedelta, now: datetime) -> bool:
    """Whether anything new can be said of windows of one length: only when a slot of their own was completed."""
    if watch.evaluated_at is None or all(finding.length != length for finding in watch.findings):
        return True
    return windows.ended(length, watch.evaluated_at, now)


def _with_drift(watch: DataMonitor, policy: DriftPolicy, looks: Mapping[timedelta, Look], now: datetime) -> DataMonitor:
    """Remember what the windows said that were looked at, and sum up what all of them say."""
    known = {finding.length: finding for finding in watch.findings}
    findings = tuple(looks[w].finding if w in looks else known[w] for w in policy.windows)
    # Broken values look like drift, and go on doing so while the last of them leave the windows: they are no reason to
    # train, neither now nor once the data is mended.
    evidence = tuple(
        _with_evidence(watch, finding, drifted=finding.severity.is_drift and not watch.broken) for finding in findings
    )
    verdict = sum_up(findings)
    quiet = not verdict.state.is_drift
    learnt = tuple(_with_lesson(known, looks.get(known.length), watch, quiet=quiet) for known in watch.learnt)
    state = _STATES[verdict.state]
    # Figures change with every evaluation; status says what holds, `kingmaker explain` and the metrics say how much.
    named = ", ".join(f"{f.name} {f.direction}" for f in verdict.features[:5])
    hints = dict.fromkeys(f.hint for f in findings if f.hint)
    message = f"{_LEAD[state]}{': ' if named else ''}{named}"
    return replace(
        watch,
        findings=findings,
        evidence=evidence,
        learnt=learnt,
        evaluated_at=now,
        state=state,
        features=tuple(dict.fromkeys(f.name for f in verdict.features)),
        window=duration(verdict.window) if verdict.window else "",
        since=watch.since if watch.state == state and watch.since else now,
        drift_reason=_REASONS[state],
        drift_message=message if state is not DriftState.UNKNOWN else "; ".join(hints) or _LEAD[state],
    )


def _with_evidence(watch: DataMonitor, finding: WindowFinding, *, drifted: bool) -> Evidence:
    before = next((e for e in watch.evidence if e.length == finding.length), None)
    before = before or Evidence(finding.length, finding.until - 2 * finding.length)
    return before.with_finding(finding, drifted=drifted, most=HISTORY)


def _with_lesson(known: Learnt, seen: Look | None, watch: DataMonitor, *, quiet: bool) -> Learnt:
    """Learn from a window unless it is alarmed or broken. The first ones are taken for quiet: there is nothing else."""
    if seen is None or seen.comparison is None or watch.windows is None or watch.broken or seen.finding.broken:
        return known
    if not quiet and known.looks >= ENOUGH_LOOKS:
        return known
    until = watch.windows.clock(seen.finding.until)
    slot = next(s.slot_length for s in watch.windows.scales if s.length == known.length)
    # Windows that overlap tell nothing of each other; those that begin together lie at the same times of a season.
    return known if until // slot % SLOTS else learn(known, seen.comparison, until=until)


_LEAD = {
    DriftState.UNKNOWN: "too few rows, or too little of a window's time observed, to judge drift",
    DriftState.NONE: "no feature differs from the baseline by more than the warning level",
    DriftState.WARNING: "above the warning level, within the tolerance",
    DriftState.DRIFT: "above the tolerance",
}


_FITTED: Final = "the reference is of rows that the model was fitted on"
_UNKNOWN_QUALITY: Final = "too few rows, or too little of the window's time observed, to judge data quality"
_UNREAD: Final = "the champion's baseline could not be read from its pods yet"


def _with_quality(watch: DataMonitor, verdict: QualityVerdict) -> DataMonitor:
    match verdict.state:
        case QualityState.BROKEN:
            message = f"{_kinds(verdict.broken)}: ask who sends them what changed; retraining waits until it is mended"
            status, reason = ConditionStatus.TRUE, Reason.DATA_QUALITY_ABOVE_MAXIMUM
        case QualityState.GOOD if verdict.novel:
            message = f"sound, but with values that the reference did not have: {_kinds(verdict.novel)}"
            status, reason = ConditionStatus.FALSE, Reason.NOVEL_VALUES
        case QualityState.GOOD:
            message = "values are where the baseline has them"
            status, reason = ConditionStatus.FALSE, Reason.DATA_QUALITY_GOOD
        case QualityState.UNKNOWN:
            message = _UNKNOWN_QUALITY
            status, reason = ConditionStatus.UNKNOWN, Reason.TOO_FEW_ROWS
    return replace(
        watch,
        broken=_names(verdict.broken),
        novel=_names(verdict.novel),
        quality_status=status,
        quality_reason=reason,
        quality_message=message,
    )


def _names(features: Sequence[OddFeature]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(feature.name for feature in features))


def _kinds(features: Sequence[OddFeature]) -> str:
    return ", ".join(dict.fromkeys(f"{feature.name} {feature.words}" for feature in features[:5]))
