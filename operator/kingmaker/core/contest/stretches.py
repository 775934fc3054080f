"""What was counted during each run of a contest: counts under different splits are no one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Final

from kingmaker.core.contest.entities import Entities, label_share_log_e, request_share_log_e
from kingmaker.core.contest.evidence import (
    NO_ARM,
    NO_BURSTS,
    Arm,
    Bursts,
    Shadow,
    Totals,
    read_arm,
    read_bursts,
    read_looks,
    read_shadow,
)
from kingmaker.core.counts.looks import Looks
from kingmaker.core.identity import Same
from kingmaker.core.state import Contest, StageRun
from kingmaker.core.statistics.sequential import log_e_share

SHARE_LOG_E: Final = math.log(1000)
"""A split that is off by this much evidence is a broken router, not chance."""
_NO_SHADOW: Final = Shadow()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of the contest with its counts; arms that the run did not have are empty.

    `request_log_e` and `label_log_e` weigh that requests, or labelled ones, did not arrive in the designed share; 0
    where that was not tested. The bursts are those of the arms, `copy_squares` that of copies that failed: the sum of
    their squares per slot.
    `entities` are the units of a live run in which entities keep their model: then requests are no independent draws,
    and nothing is weighed by the counts of the arms.
    """

    run: StageRun
    champion: Arm
    challenger: Arm
    shadow: Shadow
    request_log_e: float = 0.0
    label_log_e: float = 0.0
    champion_bursts: Bursts = NO_BURSTS
    challenger_bursts: Bursts = NO_BURSTS
    copy_squares: int = 0
    entities: Entities | None = None

    @property
    def requests_broken(self) -> bool:
        """Whether requests did not arrive as designed, so that nothing of both arms can be compared."""
        return self.request_log_e >= SHARE_LOG_E

    @property
    def labels_broken(self) -> bool:
        """Whether labels did not arrive as designed, so that what they say can't be compared."""
        return self.requests_broken or self.label_log_e >= SHARE_LOG_E

    @property
    def compared_requests(self) -> int:
        """Requests of which a challenger answered a copy. Servers count their rows; the champion's have as many."""
        champion, rows = self.champion, self.shadow.compared
        return round(rows * champion.answered / champion.rows) if champion.rows else rows


def read_stretches(
    contest: Contest, champion_digest: str, totals: Totals, *, by_entity: bool = False
) -> tuple[Stretch, ...]:
    """Read what was counted about a contest.

    Args:
        contest: The challenger's runs so far.
        champion_digest: Digest of the model it competes with.
        totals: Counts per model digest.
        by_entity: Whether routers keep the requests of an entity together.
    """
    found: list[Stretch] = []
    for run in contest.runs:
        stretch = _read(run, contest, champion_digest, totals, by_entity)
        before = found[-1] if found and found[-1].run.stage == run.stage else None
        if stretch.entities and before and before.entities:
            entities = replace(stretch.entities, order=before.entities.order + 1)
            stretch = replace(stretch, entities=entities)
        found.append(stretch)
    return tuple(found)


def _read(run: StageRun, contest: Contest, champion_digest: str, totals: Totals, by_entity: bool) -> Stretch:
    decisions = (run.decision,)
    champion = read_arm(totals, champion_digest, decisions)
    challenger = read_arm(totals, contest.digest, decisions) if run.is_live else NO_ARM
    shadow = read_shadow(totals, champion_digest, contest.model, decisions) if run.shadow_percent else _NO_SHADOW
    bursts = read_bursts(totals, champion_digest, decisions)
    others = read_bursts(totals, contest.digest, decisions) if run.is_live else NO_BURSTS
    copies = bursts.failures.get(contest.model, 0)
    if not run.is_live:
        return Stretch(run, champion, challenger, shadow, 0.0, 0.0, bursts, others, copies)
    if by_entity:
        looks = tuple(read_looks(totals, digest, run.decision) for digest in (champion_digest, contest.digest))
        entities = Entities(run, looks[0], looks[1])
        shares = _entity_shares(run, *map(Same, looks))
        return Stretch(run, champion, challenger, shadow, *shares, bursts, others, copies, entities)
    requests = _share_log_e(challenger.requests, champion.requests, run.share)
    labels = _share_log_e(challenger.labelled_requests, champion.labelled_requests, run.share)
    return Stretch(run, champion, challenger, shadow, requests, labels, bursts, others, copies)


@lru_cache(maxsize=2048)
def _entity_shares(run: StageRun, champion: Same[Looks], challenger: Same[Looks]) -> tuple[float, float]:
    entities = Entities(run, champion.value, challenger.value)
    return request_share_log_e(entities), label_share_log_e(entities)


@lru_cache(maxsize=2048)
def _share_log_e(challenger: int, champion: int, share: float) -> float:
    return log_e_share(challenger, challenger + champion, share)


def live(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Those during which both arms answered."""
    return [s for s in stretches if s.run.is_live]


def entities_of(stretches: Sequence[Stretch]) -> list[Entities]:
    """The units of those whose labels can be compared by entity."""
    return [s.entities for s in stretches if s.entities and not s.labels_broken]


def by_stage(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Put together what belongs to one stage, in the order of the stages. One that was gone back to is another one."""
    return [list(group) for _, group in groupby(stretches, key=lambda s: (s.run.stage, s.run.is_live))]
