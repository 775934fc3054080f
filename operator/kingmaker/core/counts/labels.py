"""What labels said of one model's answers, over all decisions: cells that everybody has, as one vector.

A model is watched whatever split sent it its requests, so counts of all decisions are added, those without a number
too; only copies for a shadow are left out, which have no labels. Over decisions together the counts of a process only
grow, also when it stops keeping old decisions apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from kingmaker.core.counts.cells import CellCounts, CellVector
from kingmaker.core.counts.process import WRONG_SHARES, ProcessCounts, start_of
from kingmaker.core.counts.samples import parse_labels
from kingmaker.core.counts.seen_cells import CellDelta, Counted, SeenCells, fold_vectors

LOWEST_ERROR: Final = -80
HIGHEST_ERROR: Final = 160
"""Errors of regressions are counted per half power of two, between these."""
AGE_EDGES: Final = (60, 600, 3600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
"""Upper edges of a label's age in seconds; one more cell is open."""

_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_MOST_MODELS: Final = 32
"""Servers keep 16 models apart."""

_ERRORS: Final = ("0", *(f"k{k}" for k in range(LOWEST_ERROR, HIGHEST_ERROR + 1)), "nan")
_AGES: Final = (*(str(edge) for edge in AGE_EDGES), "+Inf")
_SHARES: Final = tuple(f"{share:g}" for share in WRONG_SHARES)

ANSWERED: Final = 0
"""Place of the number of answered requests."""
ROWS: Final = 1
"""Place of the number of their rows."""
SHARES: Final = slice(2, 2 + len(_SHARES))
"""Labelled requests, per cell of `WRONG_SHARES`."""
ERRORS: Final = slice(SHARES.stop, SHARES.stop + len(_ERRORS))
"""Labelled requests of a regression by the size of the drawn row's error: 0, then `LOWEST_ERROR`..., then no number."""
AGES: Final = slice(ERRORS.stop, ERRORS.stop + len(_AGES))
"""Labelled requests by how long after the answer their labels came."""
WIDTH: Final = AGES.stop

LAYOUT: Final = "labels/v1"
"""Name of this order of cells; another one gets another name, and counting begins anew."""

_CELLS: Final[Mapping[str, tuple[str, Mapping[str, int]]]] = {
    "requests_total": ("outcome", {"ok": ANSWERED}),
    "rows_total": ("", {"": ROWS}),
    "feedback_requests_total": ("wrong", {name: SHARES.start + i for i, name in enumerate(_SHARES)}),
    "feedback_errors_total": ("error", {name: ERRORS.start + i for i, name in enumerate(_ERRORS)}),
    "feedback_age_total": ("le", {name: AGES.start + i for i, name in enumerate(_AGES)}),
}
"""Per family the label that tells its cells apart, and the place of each value."""


class _Place(NamedTuple):
    digest: str
    at: int


_NOTHING: Final = CellCounts(np.zeros(WIDTH, dtype=np.int64), (WIDTH,))


def read_labels(samples: Iterable[tuple[str, int]], *, own: str) -> Mapping[str, CellVector]:
    """Sum up samples per model, over all decisions.

    What is not known is left out without a word: `read_samples` reads the same samples and counts what it drops.

    Args:
        samples: Name without the prefix `kingmaker_profile_`, labels as exposed, and the count.
        own: Start of the digest of the server's own model.

    Returns:
        One count per cell, by the start of the model's digest; only for models of which something was counted.
    """
    found: dict[str, CellVector] = {}
    for key, count in samples:
        place = _place(key)
        if place is None:
            continue
        vector = found.get(place.digest or own)
        if vector is None:
            if len(found) == _MOST_MODELS:
                continue
            vector = found[place.digest or own] = np.zeros(WIDTH, dtype=np.int64)
        vector[place.at] += count
    return found


def later_than(counted: CellVector, seconds: float) -> int:
    """Give how many labels surely came later than `seconds` after the answer, by the cells of their ages."""
    lowest = (0, *AGE_EDGES)
    return int(sum(count for edge, count in zip(lowest, counted[AGES].tolist(), strict=True) if edge >= seconds > 0))


def fold_labels(
    before: SeenCells | None,
    looks: Iterable[ProcessCounts],
    *,
    pods: frozenset[str],
    known: Mapping[str, str],
    champion: str,
) -> tuple[SeenCells | None, CellDelta]:
    """Find what labels came new for one model's answers, at whatever pod they arrived.

    Args:
        before: The looks before.
        looks: One per pod that answered, of whatever model.
        pods: Uids of all pods that exist.
        known: Processes that were looked at before: pod uid -> start.
        champion: The model's digest; empty for none.

    Returns:
        The looks from now on, and what came new; see `fold_cells`.
    """
    if not champion:
        return None, CellDelta(None, gap=False)
    start = start_of(champion)
    # Who had no label of it yet has counted none: it must be known from now on, or the first would not be new.
    vectors = (Counted(look.pod_uid, look.start, look.labels.get(start, _NOTHING.vector)) for look in looks)
    return fold_vectors(before, vectors, pods=pods, known=known, nothing=SeenCells(champion, LAYOUT, _NOTHING))


@lru_cache(maxsize=16_384)
def _place(key: str) -> _Place | None:
    family, _, rest = key.partition("{")
    cells = _CELLS.get(family)
    if cells is None:
        return None
    labels = parse_labels(rest)
    digest, at = labels.get("digest"), cells[1].get(labels.get(cells[0], ""))
    if at is None or labels.get("decision") == "shadow":
        return None
    # An empty digest stands for models that a server keeps apart no more.
    return _Place(digest or "", at) if digest is None or _DIGEST.fullmatch(digest) else None
