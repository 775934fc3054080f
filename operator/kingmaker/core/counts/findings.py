"""What was found in the windows of one length: how far data moved, and for how long that has been so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Severity(StrEnum):
    """How far data moved. Unknown when there is too little to tell."""

    UNKNOWN = "Unknown"
    NONE = "None"
    WARNING = "Warning"
    DRIFT = "Drift"
    SEVERE = "Severe"

    @property
    def rank(self) -> int:
        """Order: the further data moved the higher; Unknown is lowest."""
        return list(Severity).index(self)

    @property
    def is_drift(self) -> bool:
        """Whether it is beyond the tolerance."""
        return self.rank >= Severity.DRIFT.rank


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How one column moved in one window.

    `is_output`: it is the model's prediction or score. `direction` in words; `shift` in standard deviations of the
    reference's ranks, up is positive, None without an order; `psi` with its expectation without drift taken off.
    `p_value` is for "moved by no more than its severity allows". `importance` is the model's dependence on it, 0..1 of
    all features together, where the baseline knows.
    """

    name: str
    window: timedelta
    severity: Severity
    direction: str
    psi: float
    p_value: float
    shift: float | None = None
    importance: float | None = None
    is_output: bool = False

    @property
    def contribution(self) -> float:
        """How much it may have moved the predictions: what it moved by, times what the model makes of it."""
        return math.sqrt(max(self.psi, 0.0)) * (1.0 if self.importance is None else self.importance)


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """What the newest window of one `length` said, up to `until`; Unknown for the reason in `lacking`.

    `hint` is the reason in words that stay the same while it holds, empty where there are none. `rows` were compared in
    `columns` columns, of which `features` moved. `broken` columns were left out.
    """

    length: timedelta
    until: datetime
    severity: Severity = Severity.UNKNOWN
    features: tuple[FeatureDrift, ...] = ()
    lacking: str = ""
    hint: str = ""
    rows: int = 0
    columns: int = 0
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether drift was seen in windows of one `length` that overlap by less than half, oldest first.

    `until` is the end of the newest of them.
    """

    length: timedelta
    until: datetime
    history: tuple[bool, ...] = ()

    def with_finding(self, finding: WindowFinding, *, drifted: bool, most: int) -> Evidence:
        """Add what a window said, unless it says nothing, or mostly the same rows have said it before."""
        if finding.severity is Severity.UNKNOWN or finding.until - self.until <= self.length / 2:
            return self
        return Evidence(self.length, finding.until, (*self.history, drifted)[-most:])


def persisted(history: Sequence[bool], *, of: int, needed: int) -> bool:
    """Tell whether at least `needed` of the last `of` evaluations (oldest first) were positive.

    Fewer than `of` evaluations suffice when enough of them were.

    Args:
        history: Evaluations, oldest first.
        of: How many of the newest count; with 0 or less nothing persists.
        needed: How many of them must be positive.
    """
    return sum(history[-of:]) >= needed if of > 0 else False
