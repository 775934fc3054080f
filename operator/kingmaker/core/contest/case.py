"""What guardrails look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kingmaker.core.contest.queries import Asked
from kingmaker.core.contest.shares import NO_SHARES, Shares
from kingmaker.core.contest.stretches import Stretch


@dataclass(frozen=True, slots=True)
class Case:
    """A contest's counts, the shares in which they arrived, and what a Prometheus answered."""

    stretches: Sequence[Stretch]
    shares: Shares = NO_SHARES
    queries: Sequence[Asked] = ()
