"""How many failures come together, learnt from the counts, and what that leaves of the evidence.

Twenty requests that fail in one crash are one incident, not twenty observations. The evidence of a conditional test is
a product with one factor per event. To take its φ-th root is to count φ events as one: events that come in bursts of
at most φ, each burst in one arm, still give an e-process (the root is concave: E[X^(1/φ)] <= E[X]^(1/φ) <= 1). φ is
the over-dispersion of the counts in slots of a pod's time (Pearson's statistic of a Poisson model; McCullagh & Nelder,
Generalized Linear Models, 1989, section 4.5). While slots are few it is taken as if all events of a slot were one.

What comes in bursts hits pods, not requests: a canary with one pod of three has a third of the crashes, not its 5 % of
the requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

_PRIOR: Final = 1.0
"""Slots' worth of the assumption that all events of a slot are one."""
_STEADY: Final = 2.0
"""Up to this over-dispersion events are taken to hit requests; above it ever more of them to hit pods."""


class Spread(NamedTuple):
    """Events of one arm in one stretch: how many, the sum of their squares per slot, and the number of slots."""

    events: int
    squares: int
    slots: int


def dispersion(arm: Iterable[Spread]) -> float:
    """Estimate how many events of an arm come together.

    Args:
        arm: Its stretches; each has a level of its own.

    Returns:
        φ >= 1; 1 without events, or where nothing is known of slots.
    """
    known = [spread for spread in arm if spread.slots and spread.squares]
    events = sum(spread.events for spread in known)
    if not events:
        return 1.0
    together = sum(spread.squares for spread in known) / events
    freedom = sum(spread.slots - 1 for spread in known)
    if not freedom:
        return max(1.0, together)
    # Without the slots' own mean: within each stretch, relative to what a Poisson count would vary.
    residual = sum(s.squares - s.events**2 / s.slots for s in known)
    expected = sum(s.events * (s.slots - 1) / s.slots for s in known)
    pearson = residual / expected if expected else together
    return max(1.0, (_PRIOR * together + freedom * max(1.0, pearson)) / (_PRIOR + freedom))


def exposed_share(share: float, champion_slots: int, challenger_slots: int, phi: float) -> float:
    """Give the challenger's chance to be hit by an event, at most: its share of the requests, or of the pods' time.

    Args:
        share: Of the requests, 0..1.
        champion_slots: Slots of the champion's pods.
        challenger_slots: Those of the challenger's.
        phi: How many events come together.
    """
    total = champion_slots + challenger_slots
    if phi <= _STEADY or not total or not challenger_slots:
        return share
    by_pods = 1 - _STEADY / phi
    return share + by_pods * max(0.0, challenger_slots / total - share)
