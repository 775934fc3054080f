"""When retraining is due: the triggers, one entry each.

A new one is an entry in `TRIGGERS` with its check, a member (and its options) in `api.retraining`, and a reason in
`api.conditions` that `api.reasons` lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kingmaker.api import Reason, Retraining, Trigger
from kingmaker.core.counts.data_monitor import DriftFinding
from kingmaker.core.counts.performance_monitor import PerformanceFinding
from kingmaker.core.observed import Observed
from kingmaker.core.state import State


@dataclass(frozen=True, slots=True)
class Due:
    """Retraining is due, `since` then where that is known.

    `features` are what it is about, worst first, seen within `window`, such as `24h`; both empty where nothing was
    looked at.
    """

    reason: Reason
    message: str
    features: tuple[str, ...] = ()
    window: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What monitoring says of the champion: of its `data`, and of its `errors`."""

    data: DriftFinding = DriftFinding()
    errors: PerformanceFinding = PerformanceFinding()


@dataclass(frozen=True, slots=True)
class Situation:
    """What triggers look at: the spec's block, the runs so far, the champion's age, its data and its errors."""

    spec: Retraining
    state: State
    now: datetime
    champion_built_at: datetime
    findings: Findings


@dataclass(frozen=True, slots=True)
class TriggerCheck:
    """One way in which a trigger of the spec makes retraining due."""

    trigger: Trigger
    check: Callable[[Situation], Due | None]


def _drift_persisted(situation: Situation) -> Due | None:
    finding = situation.findings.data
    if not finding.persistent:
        return None
    message = f"data drifted from the champion's baseline within {finding.window}: {', '.join(finding.features[:5])}"
    return Due(Reason.DRIFT_PERSISTED, message, finding.features, finding.window, finding.persistent_since)


def _data_broken(situation: Situation) -> Due | None:
    finding = situation.findings.data
    if not finding.broken:
        return None
    message = f"broken values in {', '.join(finding.broken[:5])}"
    return Due(Reason.DATA_QUALITY_BROKEN, message, finding.broken, finding.window, finding.broken_since)


def _performance_degraded(situation: Situation) -> Due | None:
    finding = situation.findings.errors
    if not finding.persistent:
        return None
    return Due(Reason.PERFORMANCE_DEGRADED, finding.message, (), finding.window, finding.since)


def _too_old(situation: Situation) -> Due | None:
    max_age = situation.spec.max_age
    since = situation.champion_built_at + max_age.timedelta
    if situation.now < since:
        return None
    return Due(Reason.MODEL_TOO_OLD, f"the champion is older than {max_age}", since=since)


TRIGGERS: Final = (
    # Drift first: it says what changed, and a trainer is told.
    TriggerCheck(Trigger.DRIFT, _drift_persisted),
    # Broken data moves everything: it is due by its looks, and must not be followed, so that an obstacle says it once.
    TriggerCheck(Trigger.DRIFT, _data_broken),
    # After what may explain it: where data drifted, too, a trainer is told what did.
    TriggerCheck(Trigger.PERFORMANCE, _performance_degraded),
    # The calendar last: it knows least.
    TriggerCheck(Trigger.AGE, _too_old),
)
"""In the order in which they are asked: the first that holds is the reason of the run."""


def find_due(observed: Observed, state: State, findings: Findings) -> Due | None:
    """Tell whether any trigger of the spec holds.

    Args:
        observed: The snapshot.
        state: Who is champion; without one nothing is due.
        findings: What monitoring says of the champion.
    """
    spec = observed.mdep.spec.retraining
    if spec is None or state.champion is None:
        return None
    situation = Situation(spec, state, observed.now, _built_at(observed, state.champion.name), findings)
    found = (entry.check(situation) for entry in TRIGGERS if entry.trigger in spec.triggers)
    return next((due for due in found if due), None)


def _built_at(observed: Observed, name: str) -> datetime:
    model = observed.models.get(name)
    if model is None:
        return observed.now
    built = model.spec.lineage.built_at if model.spec.lineage else None
    return built or model.metadata.creation_timestamp or observed.now
