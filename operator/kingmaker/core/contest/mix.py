"""Whether what was labelled is a sample of what was answered.

Where labels come back for some answers only (cases that somebody confirmed, say), both arms are judged on those, and
whoever always says what is confirmed is never wrong. The classes that the champion predicts among labelled requests
are held against those that it predicts among all: odds that differ by a factor of two are no sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.goal import in_force
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.statistics.sequential import log_e_rate_above, log_e_rate_below

_FACTOR: Final = 2.0
"""How many times the odds of a class may differ: the world moves, and counts of rows are no counts of requests."""
_ENOUGH: Final = math.log(1000)


def mix_check(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    """Check the champion's labelled requests in the stage in force; None where nothing is known to hold them against.

    Args:
        stretches: Of the contest.
        policy: The rules; `predicted` is what the champion predicts of all requests.
    """
    labelled: Counter[str] = Counter()
    for stretch in in_force(stretches):
        for cell, count in stretch.champion.classes.items():
            labelled[cell.predicted] += count
    n = sum(labelled.values())
    known = [(name, share) for name, share in policy.predicted if 0 < share < 1]
    if not known or not n:
        return None
    log_e, name, share = max((_log_e_other(labelled[name], n, share), name, share) for name, share in known)
    selective = log_e >= _ENOUGH
    rule = f"answers that are labelled are of the classes of all answers; furthest off is {name!r}"
    verdict, reason = (Verdict.INCONCLUSIVE, Reason.SELECTIVE_LABELS) if selective else (Verdict.PASS, None)
    return Check("labelMix", verdict, n, rule, labelled[name] / n, share, log_e, _ENOUGH, reason)


def _log_e_other(events: int, trials: int, share: float) -> float:
    """Weigh the evidence that the odds of a class are not those of `share`, nor near them."""
    odds = share / (1 - share)
    above, below = odds * _FACTOR, odds / _FACTOR
    return max(
        log_e_rate_above(events, trials, above / (1 + above)), log_e_rate_below(events, trials, below / (1 + below))
    )
