"""What the processes of one model said last of their cells, and what came new since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts, CellVector
from kingmaker.core.counts.process import ProcessCounts


class CellsOf(NamedTuple):
    """Whose cells: the digest of a model, and its baseline."""

    model: str
    baseline: Baseline


class Counted(NamedTuple):
    """What one process counted since its `start`; None where that could not be read."""

    pod_uid: str
    start: str
    vector: CellVector | None


class CellDelta(NamedTuple):
    """Rows that came new, None when nobody's cells are wanted; `gap`: others are missing, or come later."""

    counts: CellCounts | None
    gap: bool


@dataclass(frozen=True, slots=True)
class SeenCells:
    """The last looks at the cells of one model's processes. `model` and `baseline` are digests.

    `known` holds what each said last, by pod uid: (start, counts). Of that only the sum is stored: so after a restart
    of the operator `unresolved` names the processes it was made of, by pod uid: start, and `counted` is the sum. What
    they counted in between is known as soon as each was looked at again; until then `counted` shrinks by every first
    look.
    """

    model: str
    baseline: str
    counted: CellCounts
    known: Mapping[str, tuple[str, CellCounts]] = field(default_factory=dict)
    unresolved: Mapping[str, str] = field(default_factory=dict)

    def at_rest(self) -> SeenCells:
        """Give what is stored: the sum of the last looks, and whose they were."""
        starts = {uid: start for uid, (start, _) in self.known.items()}
        counted = sum((counts for _, counts in self.known.values()), self.counted)
        return SeenCells(self.model, self.baseline, counted, unresolved={**self.unresolved, **starts})


def fold_cells(
    before: SeenCells | None,
    looks: Iterable[ProcessCounts],
    *,
    pods: frozenset[str],
    known: Mapping[str, str],
    watched: CellsOf | None,
) -> tuple[SeenCells | None, CellDelta]:
    """Find the cell counts that came new in one look at the pods.

    Args:
        before: The looks before.
        looks: One per pod that answered.
        pods: Uids of all pods that exist.
        known: Processes that were looked at before, for whatever counts: pod uid -> start.
        watched: Whose cells are wanted.

    Returns:
        The looks from now on, and what came new. All counts of a process that was never looked at are new; of one
        whose cells were not looked at before nothing is, since nobody knows since when.
    """
    if watched is None:
        return None, CellDelta(None, gap=False)
    wanted = (watched.model, watched.baseline.digest)
    vectors = (
        Counted(look.pod_uid, look.start, look.cells)
        for look in looks
        if (look.model_digest, look.baseline_digest) == wanted
    )
    nothing = SeenCells(*wanted, CellCounts.empty(watched.baseline))
    return fold_vectors(before, vectors, pods=pods, known=known, nothing=nothing)


def fold_vectors(
    before: SeenCells | None,
    looks: Iterable[Counted],
    *,
    pods: frozenset[str],
    known: Mapping[str, str],
    nothing: SeenCells,
) -> tuple[SeenCells, CellDelta]:
    """Find what came new in one look at vectors of counts; as `fold_cells`, which see.

    Args:
        before: The looks before.
        looks: One per pod that answered.
        pods: Uids of all pods that exist.
        known: Processes that were looked at before, for whatever counts: pod uid -> start.
        nothing: Whose counts they are, and in which cells: where `before` is about others, counting begins with it.
    """
    belongs = before is not None and (before.model, before.baseline) == (nothing.model, nothing.baseline)
    shaped = before is not None and before.counted.widths == nothing.counted.widths
    fold = _Fold(before if before is not None and belongs and shaped else nothing, pods)
    for look in looks:
        fold.add(look, is_new=known.get(look.pod_uid) != look.start)
    return fold.finish()


class _Fold:
    """The sums while looks are added."""

    def __init__(self, before: SeenCells, pods: frozenset[str]) -> None:
        self._before = before
        self._known = {uid: last for uid, last in before.known.items() if uid in pods}
        self._unresolved = dict(before.unresolved)
        self._lost = any(uid not in pods for uid in self._unresolved)
        self._counted = before.counted.vector
        self._new = np.zeros_like(self._counted)
        self._gap = False

    def add(self, look: Counted, *, is_new: bool) -> None:
        """Add one look; `is_new` when nothing of the process was ever looked at."""
        vector = look.vector
        if vector is None or vector.shape != self._new.shape:
            self._gap = True
            return
        start, last = self._known.get(look.pod_uid, ("", self._before.counted))
        if start == look.start and vector is last.vector:
            return
        if start == look.start:
            # The highest that was ever said: a count that falls and rises again is not counted a second time.
            vector = np.maximum(vector, last.vector)
            self._new = self._new + (vector - last.vector)
        elif self._unresolved.get(look.pod_uid) == look.start:
            del self._unresolved[look.pod_uid]
            self._counted = self._counted - vector
        elif is_new:
            self._lost = self._lost or look.pod_uid in self._unresolved
            self._new = self._new + vector
        else:
            self._gap = True
        self._known[look.pod_uid] = (look.start, replace(self._before.counted, vector=vector))

    def finish(self) -> tuple[SeenCells, CellDelta]:
        """Give the looks from now on, and what came new."""
        resolved = bool(self._before.unresolved) and not self._unresolved
        # What a process counted that ended unseen is not known, so neither is what the others did: see the ledger.
        lost = self._lost or (resolved and bool((self._counted > 0).any()))
        if lost:
            self._unresolved.clear()
        if lost or resolved:
            self._new = self._new if lost else self._new - self._counted
            self._counted = np.zeros_like(self._counted)
        gap = self._gap or lost or bool(self._unresolved)
        counted = replace(self._before.counted, vector=self._counted)
        cells = SeenCells(self._before.model, self._before.baseline, counted, self._known, self._unresolved)
        return cells, CellDelta(replace(counted, vector=self._new), gap)
