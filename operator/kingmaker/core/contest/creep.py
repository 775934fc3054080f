"""Against creep: ten challengers that are each a little worse than the champion of their day are a lot worse together.

Every promotion leaves behind how many times the loss of the old champion the new one had, both in the same stage. Their
products say how the present champion compares with the best of the last year, whatever happened to the world meanwhile:
levels of different days can't be compared, ratios of the same requests can. What champions have crept already is taken
from the margin of the next challenger.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.judgement import Judgement
from kingmaker.core.state import SUCCESSIONS_LIMIT, Succession

MEMORY: Final = timedelta(days=365)
"""How long a champion is remembered as the best."""
_WIDEST: Final = 10.0
"""Ratios beyond this, or its inverse, are of losses that hardly occurred."""


def crept(successions: Sequence[Succession], measure: str, now: datetime) -> float:
    """Give how many times the best champion's loss the present one has; at least 1.

    Args:
        successions: What promotions left behind, oldest first.
        measure: Only what was measured by this counts.
        now: The time, aware.
    """
    worst = product = 1.0
    for one in reversed(successions):
        if one.measure != measure or one.at < now - MEMORY:
            break
        product *= one.ratio
        worst = max(worst, product)
    return worst


def succeed(
    successions: Sequence[Succession], judgement: Judgement, policy: VerdictPolicy, now: datetime
) -> tuple[Succession, ...]:
    """Add what a promotion leaves behind.

    Args:
        successions: Those of before.
        judgement: By which the challenger won.
        policy: The rules of its contest.
        now: When it won, aware.
    """
    measure = policy.measure
    _, challenger, champion = measure.figures(judgement.in_force)
    # The absolute margin on both sides: of two that hardly err, neither is many times worse.
    slack = policy.loss_margin
    ratio = 1.0
    if challenger is not None and champion is not None and champion + slack > 0:
        ratio = min(max((challenger + slack) / (champion + slack), 1 / _WIDEST), _WIDEST)
    recent = [one for one in successions if one.at >= now - MEMORY]
    return (*recent, Succession(now, measure.name, round(ratio, 4)))[-SUCCESSIONS_LIMIT:]
