"""What was counted during each run of a contest: counts under different splits are no one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kingmaker.core.contest.evidence import NO_ARM, Arm, Shadow, Totals, read_arm, read_shadow
from kingmaker.core.state import Contest, StageRun
from kingmaker.core.statistics.sequential import Pairs, Split


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of the contest with its counts; arms that the run did not have are empty."""

    run: StageRun
    champion: Arm
    challenger: Arm
    shadow: Shadow


def read_stretches(contest: Contest, champion_digest: str, totals: Totals) -> tuple[Stretch, ...]:
    """Read what was counted about a contest.

    Args:
        contest: The challenger's runs so far.
        champion_digest: Digest of the model it competes with.
        totals: Counts per model digest.
    """
    return tuple(_read(run, contest, champion_digest, totals) for run in contest.runs)


def _read(run: StageRun, contest: Contest, champion_digest: str, totals: Totals) -> Stretch:
    decisions = (run.decision,)
    return Stretch(
        run,
        read_arm(totals, champion_digest, decisions),
        read_arm(totals, contest.digest, decisions) if run.is_live else NO_ARM,
        read_shadow(totals, champion_digest, contest.model, decisions) if run.shadow_percent else Shadow(),
    )


def live(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Those during which both arms answered."""
    return [s for s in stretches if s.run.is_live]


def wrong_splits(stretches: Sequence[Stretch]) -> list[Split]:
    """Wrong answers of both arms, per live stretch."""
    return [Split(s.champion.wrong, s.challenger.wrong, s.run.share) for s in live(stretches)]


def wrong_pairs(stretches: Sequence[Stretch]) -> list[Pairs]:
    """Labelled rows that both models answered, per stretch with a shadow."""
    return [s.shadow.pairs for s in stretches if s.shadow.labelled]


def wrong_rates(stretches: Sequence[Stretch]) -> tuple[int, float | None, float | None]:
    """Labelled rows of the challenger, its rate of wrong answers, and the champion's where they were compared."""
    arms, pairs = live(stretches), [s.shadow for s in stretches if s.shadow.labelled]
    paired = sum(p.labelled for p in pairs)
    mine = paired + sum(s.challenger.labelled for s in arms)
    theirs = paired + sum(s.champion.labelled for s in arms)
    my_wrong = sum(p.challenger_wrong + p.both_wrong for p in pairs) + sum(s.challenger.wrong for s in arms)
    their_wrong = sum(p.champion_wrong + p.both_wrong for p in pairs) + sum(s.champion.wrong for s in arms)
    return mine, my_wrong / mine if mine else None, their_wrong / theirs if theirs else None
