"""Deployments at which nothing happens: while nothing but time changed, there is nothing to decide anew.

Most of a fleet is like that most of the time. Not to decide is the same as not to look: the next look that finds
something covers all the time since the last one that was decided about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from kingmaker.core.assess import Assessment
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.observed import Observed

K = TypeVar("K")

_LONGEST: Final = timedelta(minutes=5)
"""However quiet it is, it is looked at as a whole now and then."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A snapshot that leads to nothing before `until`."""

    observed: Observed
    until: datetime

    def holds(self, observed: Observed) -> bool:
        """Whether another snapshot is this one, but for its time. Bodies and values are told apart by identity."""
        mine, its = self.observed, observed
        return (
            its.now < self.until
            and mine.scraped == its.scraped
            and mine.mdep is its.mdep
            and mine.state is its.state
            and mine.ledger is its.ledger
            and _are_same(dict(enumerate(mine.profiles)), dict(enumerate(its.profiles)))
            and _are_same(mine.models, its.models)
            and _are_same(mine.children, its.children)
            and _are_same(mine.baselines, its.baselines)
            and _rest(mine) == _rest(its)
        )


def _are_same(one: Mapping[K, object], other: Mapping[K, object]) -> bool:
    return one.keys() == other.keys() and all(value is other[key] for key, value in one.items())


def _rest(observed: Observed) -> tuple[object, ...]:
    return (
        *(observed.uid, observed.pod_uids, observed.variants, observed.routers, observed.jobs),
        *(observed.unreadable, observed.taken, observed.expired),
    )


def quiet_until(assessed: Assessment, ledger: Ledger) -> datetime | None:
    """Give the moment up to which the same snapshot leads to nothing; None where time alone may lead to something.

    Args:
        assessed: A state of which nothing follows now: no decision, no action, no other status.
        ledger: The counts, those of this pass among them.
    """
    observed, state = assessed.observed, assessed.state
    # Contests, runs and seats to be given back have deadlines of their own.
    has_deadlines = bool(state.contests or state.previous or state.runs or observed.mdep.spec.retraining)
    comes_and_goes = any(pods.returning or pods.ready < pods.desired for pods in observed.variants.values())
    if not observed.scraped or ledger.unsaved or has_deadlines or comes_and_goes:
        return None
    longest = observed.now + _LONGEST
    windows = ledger.watch.windows
    return min(windows.next_end(observed.now), longest) if windows else longest
