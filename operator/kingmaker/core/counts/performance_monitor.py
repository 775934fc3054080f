"""What monitoring remembers and says about the champion's errors: windows of labels, and what was found in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kingmaker.api import ConditionStatus, Reason
from kingmaker.core.counts.label_windows import LabelWindows
from kingmaker.core.statistics.rates import Interval

ESTIMATED: Final = frozenset({Reason.ESTIMATE_ABOVE_REFERENCE, Reason.ESTIMATE_ABOVE_MAXIMUM})
"""Reasons with which an estimate made the condition true, without labels."""
DEGRADED: Final = frozenset({Reason.ERROR_ABOVE_REFERENCE, Reason.ERROR_ABOVE_MAXIMUM}) | ESTIMATED
"""Reasons with which the condition is true."""


@dataclass(frozen=True, slots=True)
class Figures:
    """An error in one window: measured from labels or estimated, between bounds, beside what it is compared with.

    `requests` (rows, of an estimate) it is about; `source` says where the reference is from; `rise` bounds by how much
    the error is above it. `window` is its length in words.
    """

    window: str
    requests: int
    error: float
    within: Interval
    reference: float
    source: str
    rise: Interval


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evaluation that counts: the end of the window that decided it, and whether errors were too many."""

    until: datetime
    is_degraded: bool


@dataclass(frozen=True, slots=True)
class PerformanceFinding:
    """What triggers and obstacles want to know: `persistent` when errors were too many often enough to act.

    `rise` bounds by how much the error is above its reference, None where nobody knows.
    """

    persistent: bool = False
    reason: Reason = Reason.TOO_FEW_LABELS
    message: str = ""
    window: str = ""
    since: datetime | None = None
    rise: Interval | None = None
    requests_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class PerformanceMonitor:
    """Monitoring of one champion's errors.

    `labelled` is what labels say, `estimated` what the predictions let expect, None while they say nothing. `coverage`
    is the part of the requests, 0..1, whose labels came. `history` holds evaluations that are independent enough,
    oldest first. `since` tells since when the reason holds, `persistent_since` since when it persisted. `broken_at` is
    when the champion's data was seen broken last: errors of that time say nothing of the model.
    """

    windows: LabelWindows | None = None
    evaluated: int = 0
    """When windows were evaluated last, in milliseconds since 1970."""
    reason: Reason = Reason.NO_LABELS
    message: str = "no labels arrived yet"
    window: str = ""
    since: datetime | None = None
    labelled: Figures | None = None
    estimated: Figures | None = None
    coverage: float | None = None
    requests_per_hour: float | None = None
    history: tuple[Evidence, ...] = ()
    persistent_since: datetime | None = None
    broken_at: datetime | None = None

    def is_about(self, model_digest: str) -> bool:
        """Whether this was found about the model with this digest."""
        return self.windows is not None and self.windows.model == model_digest

    @property
    def status(self) -> ConditionStatus:
        """The condition ModelPerformanceDegraded; missing labels are Unknown, never False."""
        if self.reason in DEGRADED:
            return ConditionStatus.TRUE
        return ConditionStatus.FALSE if self.reason is Reason.PERFORMANCE_AS_EXPECTED else ConditionStatus.UNKNOWN

    @property
    def figures(self) -> Iterator[tuple[str, float]]:
        """The errors with the bounds of each, named as in the metrics."""
        for name, found in (("labelled", self.labelled), ("estimated", self.estimated)):
            if found:
                yield name, found.error
                yield f"{name}_low", found.within.low
                yield f"{name}_high", found.within.high
                yield f"{name}_reference", found.reference

    @property
    def is_fed(self) -> bool:
        """Whether a label was ever taken in."""
        scales = self.windows.scales if self.windows else ()
        return any(slot.tally.labelled for scale in scales for slot in scale.slots) or bool(self.history)

    @property
    def substance(self) -> tuple[object, ...]:
        """What is worth storing, as values that can be compared; that requests came is not, without a label."""
        windows = self.windows
        kept = windows and (
            windows.model,
            windows.score,
            [(s.length, s.quiet.windows, [t for t in s.slots if t.tally.labelled]) for s in windows.scales],
        )
        return self.reason, self.window, self.history, kept if self.is_fed else None
