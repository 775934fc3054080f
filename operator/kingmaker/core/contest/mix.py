"""Whether what was labelled is a sample of what was answered.

Where labels come back for some answers only (cases that somebody confirmed, say), both arms are judged on those, and
whoever always says what is confirmed is never wrong. So what models say of labelled requests is held against what they
say of all: the classes that the champion predicts, and, of copies, how often the challenger says something else. Odds
that differ by a factor of two are no sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.goal import in_force
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.statistics.sequential import log_e_rate_above, log_e_rate_below

_FACTOR: Final = 2.0
"""How many times the odds may differ: the world moves, and counts of rows are no counts of requests."""
_ENOUGH: Final = math.log(1000)


class _Compared(NamedTuple):
    """How often something was said of labelled requests, and its share among all."""

    log_e: float
    what: str
    said: int
    n: int
    share: float


def mix_check(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    """Check the labelled requests of the stage in force; None where nothing is known to hold them against.

    Args:
        stretches: Of the contest.
        policy: The rules; `predicted` is what the champion predicts of all requests.
    """
    current = in_force(stretches)
    found = max((*_classes(current, policy), *_disagreement(current)), default=None)
    if found is None:
        return None
    selective = found.log_e >= _ENOUGH
    rule = f"of labelled requests is said what is said of all; furthest off is {found.what}"
    verdict, obstacle = (Verdict.INCONCLUSIVE, Reason.SELECTIVE_LABELS) if selective else (Verdict.PASS, None)
    labelled = found.said / found.n
    return Check("labelMix", verdict, found.n, rule, labelled, found.share, found.log_e, _ENOUGH, obstacle)


def _classes(stretches: Sequence[Stretch], policy: VerdictPolicy) -> Iterator[_Compared]:
    """Compare the classes that the champion predicts."""
    labelled: Counter[str] = Counter()
    for stretch in stretches:
        for cell, count in stretch.champion.classes.items():
            labelled[cell.predicted] += count
    n = sum(labelled.values())
    for name, share in policy.predicted:
        if n and 0 < share < 1:
            yield _Compared(_log_e_other(labelled[name], n, share), repr(name), labelled[name], n, share)


def _disagreement(stretches: Sequence[Stretch]) -> Iterator[_Compared]:
    """Compare how often the challenger's answer to a copy is another class than the champion's."""
    shadows = [s.shadow for s in stretches if not s.run.is_live]
    agree, disagree = sum(s.agree for s in shadows), sum(s.disagree for s in shadows)
    cells = [(cell, count) for shadow in shadows for cell, count in shadow.classes.items()]
    n = sum(count for _, count in cells)
    if not n or not agree + disagree:
        return
    other = sum(count for cell, count in cells if cell.predicted != cell.challenger_predicted)
    # Half a row more on either side: what was never seen has not a share of 0.
    share = (disagree + 0.5) / (agree + disagree + 1)
    yield _Compared(_log_e_other(other, n, share), "that the two disagree", other, n, share)


def _log_e_other(events: int, trials: int, share: float) -> float:
    """Weigh the evidence that odds are not those of `share`, nor near them; 0 where they look near."""
    odds = share / (1 - share)
    above, below = odds * _FACTOR / (1 + odds * _FACTOR), odds / (_FACTOR + odds)
    if events > trials * above:
        return log_e_rate_above(events, trials, above)
    return log_e_rate_below(events, trials, below) if events < trials * below else 0.0
