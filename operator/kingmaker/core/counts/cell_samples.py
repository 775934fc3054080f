"""The samples of a `/profile` that count requests by what their labels said: how a cell's labels are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from kingmaker.core.counts.labelled import (
    LONGEST_NAME,
    OTHER,
    AnyCell,
    ClassCell,
    LossCell,
    PairCell,
    PairClassCell,
    PairLossCell,
)
from kingmaker.core.counts.process import WRONG_SHARES

_SCORE: Final = re.compile(r"[0-9]{1,6}")
_ERROR: Final = re.compile(r"k(0|-?[1-9][0-9]{0,2})")
_LOWEST, _HIGHEST = -80, 160
_SHARES: Final = {f"{share:g}": share for share in WRONG_SHARES}

_Reader = Callable[[str], str | float | None]
"""Reads one label; None for a value that is not known."""


def _class(text: str) -> str | None:
    return text if len(text) <= LONGEST_NAME else None


def _score(text: str) -> str | None:
    return text if text in {"", OTHER} or _SCORE.fullmatch(text) else None


def _error(text: str) -> str | None:
    known = _ERROR.fullmatch(text)
    is_cell = known is not None and _LOWEST <= int(known.group(1)) <= _HIGHEST
    return text if is_cell or text in {"0", "nan", OTHER} else None


def _side(text: str) -> str | None:
    return text if text in {"over", "under", "none", OTHER} else None


def _is_wrong(text: str) -> bool | None:
    return {"correct": False, "wrong": True}.get(text)


class _Family(NamedTuple):
    kind: type[AnyCell]
    readers: Mapping[str, _Reader]
    """Per label of a cell, in the order of its fields."""


ARM_CELLS: Final[Mapping[str, _Family]] = {
    "feedback_classes_total": _Family(
        ClassCell, {"score": _score, "predicted": _class, "true": _class, "outcome": _is_wrong}
    ),
    "feedback_errors_total": _Family(LossCell, {"side": _side, "error": _error}),
}
"""Families of cells of one model."""

SHADOW_CELLS: Final[Mapping[str, _Family]] = {
    "shadow_feedback_requests_total": _Family(PairCell, {"wrong": _SHARES.get, "challenger_wrong": _SHARES.get}),
    "shadow_feedback_classes_total": _Family(
        PairClassCell, {"predicted": _class, "challenger_predicted": _class, "true": _class}
    ),
    "shadow_feedback_errors_total": _Family(PairLossCell, {"error": _error, "challenger_error": _error}),
}
"""Families of cells of a champion and a challenger that answered the same."""

_FAMILIES: Final = {**ARM_CELLS, **SHADOW_CELLS}


def read_cell(family: str, labels: Mapping[str, str]) -> AnyCell | None:
    """Read the cell of a sample; None where one of its labels is missing, or has a value that is not known.

    Args:
        family: One of `ARM_CELLS` or `SHADOW_CELLS`.
        labels: The sample's, unescaped.
    """
    kind, readers = _FAMILIES[family]
    values = [read(labels[name]) if name in labels else None for name, read in readers.items()]
    return None if None in values else kind._make(values)
