"""Class by class: an answer that ignores a class is never no worse, whatever the measure says of all classes together.

For every class that has labels, the share of its requests that is missed may exceed the champion's by a margin at most.
To pass, this must be shown for each of them, which needs no correction (an intersection-union test). To fail, the mean
of the evidence over classes counts, so the budget is not spent once per class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import numpy as np

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.entities import entity_log_e
from kingmaker.core.contest.goal import in_force
from kingmaker.core.contest.losses import Missed
from kingmaker.core.contest.measures import Seen, seen_of
from kingmaker.core.contest.stretches import Stretch, by_stage, entities_of
from kingmaker.core.contest.yardsticks import ByClass, both_cells
from kingmaker.core.counts.process import Arm, Shadow
from kingmaker.core.identity import Same
from kingmaker.core.statistics.bounded import (
    Floats,
    ScoredPairs,
    ScoredSplit,
    Scores,
    log_e_no_worse_each,
    log_e_paired_no_worse_each,
    log_e_paired_worse_each,
    log_e_worse_each,
)
from kingmaker.core.statistics.units import log_e_units_harm, log_e_units_superior

_MOST_CLASSES: Final = 33
"""Classes that servers tell apart, and what they put together: the evidence of those that were not seen is 1."""
_LOSSES: Final = np.array([1.0, 0.0])
"""Of a miss and a hit."""
_UNITS: Final = np.ones(2)
_BOTH: Final = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""Losses of the champion and the challenger: whether each missed."""


@dataclass(frozen=True, slots=True)
class _Tally:
    """Requests of one class: of an arm (missed, hit), or of pairs by the rows of `_BOTH`."""

    counts: dict[str, list[int]]


def classes_check(name: str, stretches: Sequence[Stretch], policy: VerdictPolicy) -> Check | None:
    """Check every class that has labels; None where there are none, or where any class may get as bad as can be.

    Args:
        name: Of the check.
        stretches: Of the contest.
        policy: The rules.
    """
    margin, current = policy.class_margin, in_force(stretches)
    classes = _classes(stretches)
    if not classes or margin >= 1:
        return None
    shown = _weigh(seen_of(current), classes, margin, harm=False)
    shown = shown + _by_entity(current, classes, margin, log_e_units_superior)
    least = classes[int(np.argmin(shown))]
    harm, harmed = _harm(stretches, classes, margin)
    fails = policy.guardrails.classes is not None and harm >= policy.stage_harm_log_e
    named = harmed if fails else least
    n, mine, theirs = _missed(stretches if fails else current, named)
    log_e, threshold = (harm, policy.stage_harm_log_e) if fails else (float(shown.min()), policy.promotion_log_e)
    passed = log_e >= threshold
    verdict = Verdict.FAIL if fails else Verdict.PASS if passed else Verdict.INCONCLUSIVE
    reason = None if fails or passed else Reason.CLASS_UNPROVEN
    rule = f"of no class a share missed that is {margin:g} above the champion's; least sure of {named!r}"
    return Check(name, verdict, n, rule, mine, theirs, log_e, threshold, reason)


def _classes(stretches: Sequence[Stretch]) -> tuple[str, ...]:
    seen: set[str] = set()
    for stretch in stretches:
        for arm in (stretch.champion, stretch.challenger):
            seen |= _tally_arm(Same(arm)).counts.keys()
        seen |= _tally_pairs(Same(stretch.shadow)).counts.keys()
    return tuple(sorted(seen))


def _harm(stretches: Sequence[Stretch], classes: tuple[str, ...], margin: float) -> tuple[float, str]:
    """ln E of the stage that speaks loudest of more misses, and the class that does."""
    found = []
    for stage in by_stage(stretches):
        each = _weigh(seen_of(stage), classes, margin, harm=True)
        each = each + _by_entity(stage, classes, margin, log_e_units_harm)
        unseen = np.zeros(max(_MOST_CLASSES - len(classes), 0))
        mean = float(np.logaddexp.reduce(np.concatenate((each, unseen)))) - math.log(len(each) + len(unseen))
        found.append((mean, classes[int(np.argmax(each))]))
    return max(found)


# Counts of a stage that is over stay the same objects, so what follows from them is worked out once.
@lru_cache(maxsize=1024)
def _weigh(seen: Seen, classes: tuple[str, ...], margin: float, *, harm: bool) -> Floats:
    """ln E, per class, that the challenger misses no more of it than is allowed, or (`harm`) that it misses more."""
    splits, pairs = [], []
    for one in seen:
        if isinstance(one, Same):
            pairs.append(_pair_scores(_tally_pairs(one).counts, classes))
        else:
            champion, challenger = (_scores(_tally_arm(arm).counts, classes) for arm in one[:2])
            splits.append(ScoredSplit(champion, challenger, one[2]))
    on_splits = log_e_worse_each if harm else log_e_no_worse_each
    on_pairs = log_e_paired_worse_each if harm else log_e_paired_no_worse_each
    live = on_splits(splits, margin=margin) if splits else 0.0
    return np.asarray(live + (on_pairs(pairs, margin=margin) if pairs else 0.0) + np.zeros(len(classes)), dtype=float)


def _by_entity(
    stretches: Sequence[Stretch], classes: Sequence[str], margin: float, test: Callable[..., float]
) -> Floats:
    """ln E by entity, per class; 0 where requests are drawn one by one."""
    entities = entities_of(stretches)
    if not entities:
        return np.zeros(len(classes))
    reads = [_missed_of(name).buckets for name in classes]
    return np.array([entity_log_e(entities, "labels", read, read, partial(test, surplus=margin)) for read in reads])


@lru_cache(maxsize=2048)
def _missed_of(name: str) -> ByClass:
    return ByClass(Missed(name))


def _scores(tally: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Scores:
    return Scores(_LOSSES, _UNITS, np.array([tally.get(c, (0, 0)) for c in classes], dtype=float).T)


def _pair_scores(tally: Mapping[str, Sequence[int]], classes: Sequence[str]) -> ScoredPairs:
    counts = np.array([tally.get(c, (0, 0, 0, 0)) for c in classes], dtype=float).T
    return ScoredPairs(_BOTH[:, 0], _BOTH[:, 1], np.ones(len(_BOTH)), counts)


def _missed(stretches: Sequence[Stretch], of_class: str) -> tuple[int, float | None, float | None]:
    """Requests of a class that the challenger answered, the share that it missed, and the champion's."""
    mine, theirs = [0, 0], [0, 0]
    for stretch in stretches:
        if stretch.run.is_live:
            _add(mine, _tally_arm(Same(stretch.challenger)).counts.get(of_class, (0, 0)))
            _add(theirs, _tally_arm(Same(stretch.champion)).counts.get(of_class, (0, 0)))
        else:
            neither, challenger, champion, both = _tally_pairs(Same(stretch.shadow)).counts.get(of_class, (0, 0, 0, 0))
            _add(mine, (challenger + both, neither + champion))
            _add(theirs, (champion + both, neither + challenger))
    return sum(mine), _share(mine), _share(theirs)


def _add(sums: list[int], counts: Iterable[int]) -> None:
    for at, count in enumerate(counts):
        sums[at] += count


def _share(counts: Sequence[int]) -> float | None:
    return counts[0] / sum(counts) if sum(counts) else None


@lru_cache(maxsize=2048)
def _tally_arm(arm: Same[Arm]) -> _Tally:
    counts: dict[str, list[int]] = {}
    for cell, n in arm.value.classes.items():
        counts.setdefault(cell.true, [0, 0])[not cell.wrong] += n
    return _Tally(counts)


@lru_cache(maxsize=2048)
def _tally_pairs(shadow: Same[Shadow]) -> _Tally:
    counts: dict[str, list[int]] = {}
    for cell, n in shadow.value.classes.items():
        champion, challenger = both_cells(cell.predicted, cell.challenger_predicted, cell.true)
        counts.setdefault(cell.true, [0, 0, 0, 0])[2 * champion.wrong + challenger.wrong] += n
    return _Tally(counts)
