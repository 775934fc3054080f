"""What monitoring remembers and says about the champion's data: windows of counts, drift, data quality."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kingmaker.api import ConditionStatus, DriftState, Reason
from kingmaker.core.counts.findings import Evidence, WindowFinding
from kingmaker.core.counts.learnt import Learnt
from kingmaker.core.counts.windows import Windows


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """What monitoring says of the champion's data.

    `persistent`: drift was seen often enough to act. `broken`: features with bad values. Both with the time since when
    it is so, None while it isn't.
    """

    persistent: bool = False
    features: tuple[str, ...] = ()
    window: str = ""
    broken: tuple[str, ...] = ()
    persistent_since: datetime | None = None
    broken_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DataMonitor:
    """Monitoring of one champion.

    `findings` are what the newest window of each length said, `evidence` for how long, `learnt` what is usual in them.
    `novel` features have values that the reference had not. `persistent_since` and `broken_since` tell one stretch of
    drift, or of broken data, from the next.
    """

    windows: Windows | None = None
    findings: tuple[WindowFinding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    learnt: tuple[Learnt, ...] = ()
    evaluated_at: datetime | None = None
    state: DriftState = DriftState.UNKNOWN
    features: tuple[str, ...] = ()
    window: str = ""
    since: datetime | None = None
    drift_reason: Reason = Reason.TOO_FEW_ROWS
    drift_message: str = "nothing was counted yet"
    broken: tuple[str, ...] = ()
    novel: tuple[str, ...] = ()
    quality_status: ConditionStatus = ConditionStatus.UNKNOWN
    quality_reason: Reason = Reason.TOO_FEW_ROWS
    quality_message: str = "nothing was counted yet"
    persistent_since: datetime | None = None
    broken_since: datetime | None = None

    def is_about(self, model_digest: str) -> bool:
        """Whether this was found in the data of the model with this digest."""
        return self.windows is not None and self.windows.model == model_digest

    @property
    def has_baseline(self) -> bool:
        """Whether there is something to compare with: a champion whose baseline could be read."""
        return self.drift_reason not in (Reason.NO_BASELINE, Reason.CHAMPION_UNAVAILABLE)

    @property
    def drift_status(self) -> ConditionStatus:
        """The condition ModelDriftDetected; missing data is Unknown, never False."""
        match self.state:
            case DriftState.DRIFT:
                return ConditionStatus.TRUE
            case DriftState.UNKNOWN:
                return ConditionStatus.UNKNOWN
            case _:
                return ConditionStatus.FALSE
