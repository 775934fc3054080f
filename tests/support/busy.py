"""Ledgers as large as they get."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import TypeVar

import numpy as np

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.integers import Integers
from kingmaker.core.counts.labelled import ClassCell, PairClassCell
from kingmaker.core.counts.learnt import EFFECT, Learnt
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker.core.counts.process import Arm, DecisionCounts, ProcessCounts, Shadow
from kingmaker.core.counts.seen_cells import CellsOf
from kingmaker.core.counts.windows import Windows, advance
from kingmaker.core.monitoring.learning import begin
from kingmaker.core.monitoring.reference import Reference, reference_of
from support.references import START
from support.world import digest

C = TypeVar("C", ClassCell, PairClassCell)

MODEL, CHALLENGER, REFERENCE = digest("a"), digest("c"), digest("b")
HOURS = (1, 24, 168)
_CLASSES = ("no", "yes")
_CELLS = tuple(product(map(str, range(14)), _CLASSES, _CLASSES))
"""Labels of two classes by the cell of the score."""
_PAIRS = tuple(product(_CLASSES, _CLASSES, _CLASSES))


def _random_cells(random: np.random.Generator, rows: int, cells: Sequence[C]) -> dict[C, int]:
    if not cells:
        return {}
    counts = random.multinomial(rows // 50, random.dirichlet(np.ones(len(cells)))).tolist()
    return {cell: count for cell, count in sorted(zip(cells, counts, strict=True)) if count}


def a_wide_baseline(features: int) -> Baseline:
    cells = tuple(Cell(str(i), 100) for i in range(12))
    columns = tuple(Feature(f"measurement number {i}", Kind.CATEGORICAL, cells) for i in range(features))
    return Baseline(REFERENCE, 1200, columns)


def _learnt(random: np.random.Generator, reference: Reference, length: timedelta) -> Learnt:
    """What months of windows leave, with noise as of a thousand rows each."""
    nothing = begin(reference, length, timedelta(hours=24))
    shape = nothing.effects.array.shape
    return replace(
        nothing,
        seen=Integers(np.full(shape[0], 14)),
        effects=Integers(np.rint(random.normal(scale=14**0.5 * 0.03 / EFFECT, size=shape)).astype(np.int64)),
        looks=400,
        squares=Integers(random.integers(30_000, 50_000, shape[1:])),
        rows=Integers(np.full(shape[1], 400_000)),
    )


def a_busy_ledger(*, features: int, pods: int, restarts: int, rows: int, labelled: bool = False) -> Ledger:
    """Counts as large as they get: each process saw `rows` rows, in cells as full as chance wants, and ended."""
    random = np.random.default_rng(1)
    baseline = a_wide_baseline(features)
    scales = [timedelta(hours=hours) for hours in HOURS]
    windows = Windows.for_baseline(None, model=MODEL, baseline=baseline, scales=scales, now=START)
    cells = [ClassCell(*c, wrong=c[1] != c[2]) for c in _CELLS] if labelled else []
    pairs = [PairClassCell(*c) for c in _PAIRS] if labelled else []
    ledger = Ledger()
    decisions = frozenset(range(1, 9))
    wanted = {MODEL: decisions, CHALLENGER: decisions}
    shares = random.dirichlet(np.ones(12), size=features)
    for restart in range(restarts):
        looks = []
        for pod in range(pods):
            vector = np.stack([random.multinomial(rows, share) for share in shares]).ravel()
            counted = {
                n: DecisionCounts(
                    Arm(
                        *random.integers(0, rows, 5).tolist(),
                        tuple(random.integers(0, rows, 22).tolist()),
                        classes=_random_cells(random, rows, cells),
                    ),
                    {
                        "challenger-2": Shadow(
                            *random.integers(0, rows, 8).tolist(),
                            classes=_random_cells(random, rows, pairs),
                        )
                    },
                )
                for n in decisions
            }
            looks.append(ProcessCounts(f"uid-{pod}", "a", MODEL, REFERENCE, f"{restart}.5", counted, vector))
        uids = frozenset(look.pod_uid for look in looks)
        folded = fold(ledger, looks, pods=uids, wanted=wanted, watched=CellsOf(MODEL, baseline))
        assert folded.cells.counts is not None
        # Twelve looks per week: all slots of the longest windows, and at the end those of the others, too.
        step = timedelta(minutes=20 if restart > restarts - 8 else 56 * 60)
        now = START + timedelta(milliseconds=windows.last - int(START.timestamp() * 1000)) + step
        # Rows that come at once after a long time would be nobody's.
        windows = advance(windows, now=now - timedelta(minutes=1), delta=windows.empty, complete=True)
        windows = advance(windows, now=now, delta=folded.cells.counts, complete=True)
        ledger = folded.ledger
    names = tuple(f.name for f in baseline.features)
    learnt = tuple(_learnt(random, reference_of(baseline), scale) for scale in scales)
    watch = DataMonitor(windows=windows, features=names[:50], broken=names[:50], learnt=learnt)
    return replace(ledger, watch=watch, stored=START)
