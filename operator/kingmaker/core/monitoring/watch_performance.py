"""One look at the champion's errors: new labels into the windows, and what the windows say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.api import Model, ModelDeployment, PerformanceMonitoring, Reason, TaskType
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.findings import persisted
from kingmaker.core.counts.label_windows import (
    LabelWindows,
    Tally,
    advance_labels,
    label_coverage,
    milliseconds,
    requests_per_hour,
    requests_per_row,
)
from kingmaker.core.counts.labels import later_than
from kingmaker.core.counts.performance_monitor import (
    DEGRADED,
    Evidence,
    Figures,
    PerformanceFinding,
    PerformanceMonitor,
)
from kingmaker.core.counts.seen_cells import CellDelta
from kingmaker.core.identity import by_identity
from kingmaker.core.monitoring.expectation import Expected, judge_expected, shown_of
from kingmaker.core.monitoring.performance import (
    HELD_OUT,
    JudgedWindow,
    LabelVerdict,
    PerformancePolicy,
    judge_labels,
)
from kingmaker.core.monitoring.references import expected_error, scoring_of
from kingmaker.core.monitoring.scores import AbsoluteError, Scoring
from kingmaker.core.observed import Observed
from kingmaker.core.state import Champion, State
from kingmaker.core.statistics.rates import Interval, difference_interval, rate_interval
from kingmaker.core.wording import duration

CONFIDENCE: Final = 0.05
"""The bounds that are told hold with 95 %."""
MOST_EVIDENCE: Final = 50
"""Evaluations that are remembered; the most that `persistence.of` may ask for."""

_MESSAGES: Final = {
    Reason.NO_LABELS: "no labels arrive: post feedback to have the champion's errors watched",
    Reason.TOO_FEW_LABELS: "too few labels in every window, or too little to compare them with",
    Reason.NO_REFERENCE: "the measure needs the model's errors on held-out rows, which its baseline does not have",
    Reason.LABELS_PENDING: "the champion answers for less than labelDelay: the labels that came say little yet",
    Reason.PERFORMANCE_AS_EXPECTED: "the error is not above what was expected by more than the tolerance",
    Reason.ERROR_ABOVE_REFERENCE: "labelled answers are wrong more often than the reference and the tolerance allow",
    Reason.ESTIMATE_ABOVE_REFERENCE: (
        "without labels, the champion's scores let expect more errors than the reference and the tolerance allow"
    ),
    Reason.ESTIMATE_ABOVE_MAXIMUM: (
        "without labels, the champion's scores let expect more errors than spec.monitoring.performance allows"
    ),
    Reason.ERROR_ABOVE_MAXIMUM: "labelled answers are wrong more often than spec.monitoring.performance allows",
}


_NOTHING: Final = PerformanceMonitor(message=_MESSAGES[Reason.NO_LABELS])


def watch_performance(
    observed: Observed, state: State, monitor: PerformanceMonitor, *, labels: CellDelta, data: DataMonitor
) -> PerformanceMonitor:
    """Take one look.

    Args:
        observed: The snapshot; its pods were asked for counts.
        state: Who is champion: only its labels are watched.
        monitor: What was remembered.
        labels: What came new since the last look, in the cells of `core.counts.labels`.
        data: What is remembered of its data, these counts among it.
    """
    champion, model = state.champion, _model(observed, state)
    if champion is None:
        return PerformanceMonitor()
    baseline = _baseline(observed, model)
    is_regression = model is not None and model.spec.task is not None and model.spec.task.type is TaskType.REGRESSION
    is_unread = baseline is None and model is not None and model.spec.baseline is not None
    if is_unread and is_regression:
        # How errors are scored is not known before.
        return monitor
    spec, policy = observed.mdep.spec.monitoring.performance, performance_policy(observed.mdep)
    scoring = scoring_of(baseline, spec, is_regression=is_regression)
    if scoring is None:
        return PerformanceMonitor(reason=Reason.NO_REFERENCE, message=_MESSAGES[Reason.NO_REFERENCE])
    windows = LabelWindows.going_on(
        monitor.windows, model=champion.digest, score=scoring.word, lengths=policy.windows, now=observed.now
    )
    if monitor.windows is None or monitor.windows.model != windows.model:
        monitor = replace(_NOTHING, since=observed.now, evaluated=milliseconds(observed.now))
    windows = advance_labels(windows, _tally(labels, scoring, spec), now=observed.now)
    monitor = replace(monitor, windows=windows)
    if data.broken and data.is_about(champion.digest):
        # A model trained on such data would be broken, too: what labels said meanwhile is no reason to train.
        monitor = replace(monitor, broken_at=observed.now, history=(), persistent_since=None)
    if is_unread or not windows.slot_ended(monitor.evaluated, observed.now):
        return monitor
    # Labels that come soon are often of another kind than those that come late.
    is_mature = observed.now >= champion.since + spec.label_delay.timedelta
    before = monitor
    expected, policy = expected_error(baseline, scoring), policy.for_scores(scoring.unit, scoring.spread)
    verdict = judge_labels(windows, policy, reference=expected) if is_mature else None
    monitor = _with_verdict(monitor, verdict, observed, scoring)
    if baseline is not None and data.windows is not None and data.is_about(champion.digest):
        found = judge_expected(
            baseline,
            data.windows,
            performance_policy(observed.mdep),
            min_rows=observed.mdep.spec.monitoring.drift.min_rows,
            of_sizes=isinstance(scoring, AbsoluteError),
            requests_per_row=requests_per_row(windows),
            now=observed.now,
        )
        monitor = _with_expected(monitor, shown_of(found), spec)
    since = before.since if before.reason == monitor.reason and before.since else observed.now
    monitor = replace(monitor, since=since)
    return _with_since(monitor, finding_of_performance(monitor, observed.mdep, champion), observed.now)


def finding_of_performance(
    monitor: PerformanceMonitor, mdep: ModelDeployment, champion: Champion | None
) -> PerformanceFinding:
    """Sum up what monitoring says of the present champion's errors; nothing while it speaks of a predecessor's.

    Args:
        monitor: What monitoring remembers.
        mdep: Its retraining says for how long errors must be too many.
        champion: Who holds the seat; None: nobody does.
    """
    if champion is None or not monitor.is_about(champion.digest):
        return PerformanceFinding()
    rule = mdep.spec.retraining.persistence if mdep.spec.retraining else None
    history = [evidence.is_degraded for evidence in monitor.history]
    rises = [figures.rise for figures in (monitor.labelled, monitor.estimated) if figures]
    return PerformanceFinding(
        persistent=rule is not None
        and monitor.reason in DEGRADED
        and persisted(history, of=rule.of, needed=rule.needed),
        reason=monitor.reason,
        message=monitor.message,
        window=monitor.window,
        since=monitor.persistent_since,
        rise=max(rises, key=lambda rise: rise.low, default=None),
        requests_per_hour=monitor.requests_per_hour,
    )


def performance_of(monitor: PerformanceMonitor, state: State) -> PerformanceMonitor:
    """Give what is to be told of the champion's errors; nothing of a predecessor's.

    Args:
        monitor: What monitoring remembers.
        state: Who is champion.
    """
    if state.champion is None:
        return PerformanceMonitor(reason=Reason.CHAMPION_UNAVAILABLE, message="no model holds the seat yet")
    known = monitor.is_about(state.champion.digest) or monitor.reason is Reason.NO_REFERENCE
    return monitor if known else _NOTHING


@by_identity
def performance_policy(mdep: ModelDeployment) -> PerformancePolicy:
    """Give the rules of `spec.monitoring.performance`."""
    spec = mdep.spec.monitoring.performance
    return PerformancePolicy(
        tolerance=float(spec.tolerance),
        maximum=spec.highest_error,
        false_alarm_interval=spec.false_alarm_interval.timedelta,
        windows=tuple(w.timedelta for w in spec.windows),
        min_labels=spec.min_labels,
    )


def _tally(labels: CellDelta, scoring: Scoring, spec: PerformanceMonitoring) -> Tally:
    if labels.counts is None:
        return Tally()
    late = later_than(labels.counts.vector, spec.label_delay.seconds)
    return replace(scoring.tally(labels.counts.vector), late=late)


def _with_verdict(
    monitor: PerformanceMonitor, verdict: LabelVerdict | None, observed: Observed, scoring: Scoring
) -> PerformanceMonitor:
    windows = verdict.windows if verdict else monitor.windows
    assert windows is not None
    shown = verdict.shown if verdict else None
    reason = _reason(windows, verdict)
    delay = observed.mdep.spec.monitoring.performance.label_delay.timedelta
    return replace(
        monitor,
        windows=windows,
        evaluated=windows.last,
        reason=reason,
        message=_MESSAGES[reason],
        window=duration(shown.window.length) if shown and shown.reason else "",
        labelled=_figures(shown, scoring) if shown else None,
        coverage=label_coverage(windows, delay),
        requests_per_hour=requests_per_hour(windows),
        history=_history(monitor, verdict),
    )


def _reason(windows: LabelWindows, verdict: LabelVerdict | None) -> Reason:
    if not any(slot.tally.labelled for scale in windows.scales for slot in scale.slots):
        return Reason.NO_LABELS
    if verdict is None:
        return Reason.LABELS_PENDING
    if verdict.shown is None:
        return Reason.TOO_FEW_LABELS
    return verdict.shown.reason or Reason.PERFORMANCE_AS_EXPECTED


def _history(monitor: PerformanceMonitor, verdict: LabelVerdict | None) -> tuple[Evidence, ...]:
    """Add an evaluation when at least half of its window is newer than the one before: the rest was said already."""
    if verdict is None or verdict.shown is None:
        return monitor.history
    decisive = verdict.shown.window if verdict.shown.reason else verdict.judged[0].window
    return _add_evidence(monitor, Evidence(decisive.until, verdict.shown.reason is not None), decisive.length)


def _add_evidence(monitor: PerformanceMonitor, evidence: Evidence, length: timedelta) -> tuple[Evidence, ...]:
    history, broken = monitor.history, monitor.broken_at
    is_old = bool(history) and evidence.until < history[-1].until + length / 2
    is_of_broken_data = broken is not None and evidence.until - length <= broken
    return history if is_old or is_of_broken_data else (*history, evidence)[-MOST_EVIDENCE:]


def _with_expected(
    monitor: PerformanceMonitor, expected: Expected | None, spec: PerformanceMonitoring
) -> PerformanceMonitor:
    """Add the estimate. It decides where labels say nothing, or speak of a time before its window."""
    if expected is None:
        return replace(monitor, estimated=None)
    estimate, window = expected.estimate, expected.window
    figures = Figures(
        window=duration(window.scale),
        requests=estimate.rows,
        error=estimate.error,
        within=estimate.within,
        reference=estimate.reference,
        source=HELD_OUT,
        rise=estimate.rise,
    )
    monitor = replace(monitor, estimated=figures)
    is_judged = monitor.reason in DEGRADED or monitor.reason is Reason.PERFORMANCE_AS_EXPECTED
    if monitor.reason in DEGRADED or (is_judged and spec.label_delay.timedelta <= window.scale):
        return monitor
    evidence = Evidence(window.until, expected.reason is not None)
    reason = expected.reason or (monitor.reason if is_judged else Reason.PERFORMANCE_AS_EXPECTED)
    return replace(
        monitor,
        reason=reason,
        message=_MESSAGES[reason] if expected.reason else f"{_MESSAGES[reason]}, as far as can be told without labels",
        window=figures.window if expected.reason else "",
        history=_add_evidence(monitor, evidence, window.scale),
    )


def _figures(judged: JudgedWindow, scoring: Scoring) -> Figures:
    sample, dispersion = judged.sample, judged.dispersion
    within = rate_interval(sample, CONFIDENCE, dispersion=dispersion)
    rise = difference_interval(judged.reference, sample, CONFIDENCE, dispersion=dispersion)
    unit = scoring.unit
    return Figures(
        window=duration(judged.window.length),
        requests=judged.window.tally.labelled,
        error=sample.rate * unit,
        within=Interval(within.low * unit, within.high * unit),
        reference=judged.reference.rate * unit,
        source=judged.source,
        rise=Interval(rise.low * unit, rise.high * unit),
    )


def _with_since(monitor: PerformanceMonitor, finding: PerformanceFinding, now: datetime) -> PerformanceMonitor:
    return replace(monitor, persistent_since=(monitor.persistent_since or now) if finding.persistent else None)


def _model(observed: Observed, state: State) -> Model | None:
    return observed.models.get(state.champion.name) if state.champion else None


def _baseline(observed: Observed, model: Model | None) -> Baseline | None:
    file = model.spec.baseline if model else None
    return observed.baselines.get(file.digest) if file else None
