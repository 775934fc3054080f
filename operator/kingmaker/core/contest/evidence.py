"""What two arms of a contest did, read from counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from kingmaker.core.counts.bursts import NO_BURSTS, Bursts
from kingmaker.core.counts.ledger import Totals
from kingmaker.core.counts.looks import NO_LOOKS, Looks
from kingmaker.core.counts.process import LATENCY_EDGES, NO_ARM, Arm, DecisionCounts, Shadow
from kingmaker.core.state import State

__all__ = [
    "NO_ARM",
    "NO_BURSTS",
    "Arm",
    "Bursts",
    "Shadow",
    "Totals",
    "latency_edge",
    "read_arm",
    "read_bursts",
    "read_looks",
    "read_shadow",
    "wanted_counts",
]

MOST_DECISIONS = 100
"""Decisions per model whose counts are kept, the newest: a contest that goes on for ever has no end of them."""


def wanted_counts(state: State) -> Mapping[str, frozenset[int]]:
    """Give per model digest the decisions whose counts can still be asked for.

    Those are the decisions of the contests that go on, and those under which a dethroned champion answers beside its
    successor.
    """
    if state.champion is None:
        return {}
    wanted: dict[str, set[int]] = {state.champion.digest: set()}
    for contest in state.contests:
        decisions = {run.decision for run in contest.runs if run.decision}
        wanted.setdefault(contest.digest, set()).update(decisions)
        wanted[state.champion.digest] |= decisions
    if state.previous and state.previous.runs:
        decisions = {run.decision for run in state.previous.runs}
        wanted.setdefault(state.previous.digest, set()).update(decisions)
        wanted[state.champion.digest] |= decisions
    return {digest: frozenset(sorted(decisions)[-MOST_DECISIONS:]) for digest, decisions in wanted.items()}


def read_arm(totals: Totals, digest: str, decisions: Iterable[int]) -> Arm:
    """Add up what a model did under some decisions.

    Args:
        totals: Counts by digest and decision.
        digest: Of the model.
        decisions: Their numbers; one of which nothing was counted adds nothing.
    """
    return sum((counts.arm for counts in _under(totals, digest, decisions)), NO_ARM)


def read_shadow(totals: Totals, champion_digest: str, challenger: str, decisions: Iterable[int]) -> Shadow:
    """Add up what the champion counted about a challenger's answers to copies, under some decisions.

    Args:
        totals: Counts by digest and decision.
        champion_digest: Whose servers sent the copies and compared.
        challenger: Name of the Model that got them.
        decisions: Their numbers; one of which nothing was counted adds nothing.
    """
    counted = _under(totals, champion_digest, decisions)
    found = [counts.shadows[challenger] for counts in counted if challenger in counts.shadows]
    # One is given as it is: what follows from it is remembered by its identity.
    return sum(found[1:], found[0]) if found else Shadow()


def read_bursts(totals: Totals, digest: str, decisions: Iterable[int]) -> Bursts:
    """Add up how unevenly a model's failures and slow answers came, under some decisions.

    Args:
        totals: Counts by digest and decision.
        digest: Of the model.
        decisions: Their numbers.
    """
    return sum((counts.bursts for counts in _under(totals, digest, decisions)), NO_BURSTS)


def read_looks(totals: Totals, digest: str, decision: int) -> Looks:
    """Give the last looks at a model's counts by bucket under one decision."""
    found = totals.get(digest, {}).get(decision)
    return found.looks if found else NO_LOOKS


def _under(totals: Totals, digest: str, decisions: Iterable[int]) -> list[DecisionCounts]:
    counted = totals.get(digest, {})
    return [counted[decision] for decision in decisions if decision in counted]


def latency_edge(champion: Arm, quantile: float = 0.99, *, beyond: int = 0) -> float | None:
    """Give the cell edge below which at least `quantile` of the champion's requests stayed; None without data.

    The last, open cell has no edge: None then too, since nothing can be slower.

    Args:
        champion: Whose latencies are the measure.
        quantile: The part of the requests, strictly between 0 and 1.
        beyond: How many edges further up.
    """
    reached = np.cumsum(champion.latency) >= quantile * sum(champion.latency)
    place = int(reached.argmax()) + beyond
    if not any(champion.latency) or place >= len(LATENCY_EDGES) - 1:
        return None
    return LATENCY_EDGES[place]
