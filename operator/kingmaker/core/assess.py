"""One assessment per state: everything that follows from a snapshot and a state, worked out once.

A pass makes one of the state that the newest record holds, and after a decision one of the state that follows from it.
Record, children, route, status, gauges and the time of the next look read it and work nothing out again.
"""

from __future__ import annotations

from dataclasses import dataclass

from kingmaker.core.contest.assessment import ContestAssessment, assess_contests
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.performance_monitor import PerformanceMonitor
from kingmaker.core.monitoring.evaluate import finding_of, what_is_said
from kingmaker.core.monitoring.watch_performance import finding_of_performance, performance_of
from kingmaker.core.observed import Observed
from kingmaker.core.retraining.assessment import RetrainingAssessment, assess_retraining
from kingmaker.core.retraining.triggers import Findings
from kingmaker.core.serving.traffic import TrafficAssessment, assess_traffic
from kingmaker.core.state import State


@dataclass(frozen=True, slots=True)
class Assessment:
    """What follows from one snapshot and one state.

    `monitor` is what is to be told of the champion's data, `performance` what is to be told of its errors.
    """

    observed: Observed
    state: State
    monitor: DataMonitor
    performance: PerformanceMonitor
    contests: ContestAssessment
    traffic: TrafficAssessment
    retraining: RetrainingAssessment


def assess(observed: Observed, state: State, ledger: Ledger) -> Assessment:
    """Work out what follows from a state.

    Args:
        observed: The snapshot.
        state: The state to assess; `observed.state`, or the one after a decision.
        ledger: The counts, those of this pass among them.
    """
    contests = assess_contests(observed, state, ledger.totals)
    data = finding_of(ledger.watch, observed.mdep, state.champion)
    errors = finding_of_performance(ledger.performance, observed.mdep, state.champion)
    return Assessment(
        observed=observed,
        state=state,
        monitor=what_is_said(ledger.watch, observed, state),
        performance=performance_of(ledger.performance, state),
        contests=contests,
        traffic=assess_traffic(contests),
        retraining=assess_retraining(observed, state, Findings(data, errors)),
    )
