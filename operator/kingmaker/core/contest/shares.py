"""Whether requests and labels arrived in the designed shares: what is looked at before anything that rests on them.

Two arms can be compared by their events alone because each request had a known chance to be the challenger's. Where
that is not so (a router that sends four times as much, labels that are lost for one arm), a difference in events says
nothing of the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from kingmaker.api import Reason, Verdict
from kingmaker.core.contest.checks import Check
from kingmaker.core.contest.stretches import SHARE_LOG_E, Stretch

REQUESTS: Final = "requestShare"
LABELS: Final = "labelShare"
LABELLED: Final = (REQUESTS, LABELS)
"""What everything rests on that labels say."""

_WORDS: Final = {REQUESTS: "requests", LABELS: "labels"}


@dataclass(frozen=True, slots=True)
class ShareCheck:
    """Whether requests, or labels, arrived in the designed shares; `doubt` is what speaks against sound stretches."""

    check: Check
    doubt: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether they did not, so that nothing can be concluded from what arrived."""
        return (self.check.log_e or 0.0) >= SHARE_LOG_E

    @property
    def complaint(self) -> str:
        """What is wrong, in words that stay the same while the counts grow."""
        estimate, designed = self.check.estimate or 0.0, self.check.reference or 0.0
        arm = "challenger" if estimate > designed else "champion"
        return f"{_WORDS[self.check.name]} do not arrive in the designed shares: too many are the {arm}'s"


@dataclass(frozen=True, slots=True)
class Shares:
    """The share tests of one contest; none where nothing is tested."""

    found: tuple[ShareCheck, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        """The tests as checks."""
        return tuple(share.check for share in self.found)

    @property
    def broken(self) -> ShareCheck | None:
        """The first share that is broken; None while all are as designed."""
        return next((share for share in self.found if share.is_broken), None)

    def hold(self, check: Check, *names: str) -> Check:
        """Give a check as far as the shares that it rests on allow.

        What came in broken shares is in no check (`Stretch.labels_broken`); who has nothing else says so. While they
        are merely odd, what speaks against them is taken off the evidence: under a wrong share every event counts as
        evidence of a difference, and the share test has all requests to find out.

        Args:
            check: Made as if the shares that are not broken were as designed.
            names: Of the shares that it rests on.
        """
        broken = next((s for s in self.found if s.check.name in names and s.is_broken), None)
        if broken and check.verdict is not Verdict.FAIL:
            return replace(check, verdict=Verdict.INCONCLUSIVE, obstacle=Reason.SPLIT_MISMATCH, note=broken.complaint)
        speaks = check.log_e is not None and check.threshold is not None and check.log_e >= check.threshold
        doubt = self._doubt(*names)
        if speaks and doubt > 0 and (check.log_e or 0.0) - doubt < (check.threshold or 0.0):
            return replace(check, verdict=Verdict.INCONCLUSIVE, note="the shares are in doubt, too")
        return check

    def _doubt(self, *names: str) -> float:
        """Give the evidence against the shares of these names where they are not broken: the largest, 0 for none."""
        return max((s.doubt for s in self.found if s.check.name in names), default=0.0)


NO_SHARES: Final = Shares()


def judge_shares(stretches: Sequence[Stretch]) -> Shares:
    """Tell whether requests and labels arrived in their shares.

    Args:
        stretches: Those of the stage in force during which both arms answered.
    """
    if not stretches:
        return NO_SHARES
    requests = [(s, s.challenger.requests, s.champion.requests, s.request_log_e) for s in stretches]
    labels = [(s, s.challenger.labelled_requests, s.champion.labelled_requests, s.label_log_e) for s in stretches]
    return Shares((_share(REQUESTS, requests), _share(LABELS, labels)))


def _share(name: str, counts: Sequence[tuple[Stretch, int, int, float]]) -> ShareCheck:
    # One test per stretch: the worst speaks for all, since any broken stretch spoils the stage.
    stretch, mine, theirs, log_e = max(counts, key=lambda counted: counted[3])
    n = sum(mine + theirs for _, mine, theirs, _ in counts)
    rule = f"the challenger's share as designed, {stretch.run.share:.1%}"
    verdict = Verdict.INCONCLUSIVE if not n or log_e >= SHARE_LOG_E else Verdict.PASS
    estimate = mine / (mine + theirs) if mine + theirs else None
    doubt = max((found for *_, found in counts if found < SHARE_LOG_E), default=0.0)
    return ShareCheck(Check(name, verdict, n, rule, estimate, stretch.run.share, log_e, SHARE_LOG_E), doubt)
