"""What the samples of a `/profile` mean that are counted per decision. Cells are placed by their baseline instead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from kingmaker.core.counts.process import LATENCY_EDGES, SHADOW_FIELDS, Arm, DecisionCounts, Shadow

MOST: Final = 2**53
"""Largest count that is believed: a million a second for 285 years."""
_MOST_PLACES: Final = 1_000
"""Most pairs of decision and challenger in one scrape; servers keep eight decisions."""


class Dropped(StrEnum):
    """Why a sample is not counted."""

    FAMILY = "family"
    """No such family of samples is known."""
    LABEL = "label"
    """A label is missing, or has a value that is not known."""
    VALUE = "value"
    """The value is not a whole number from 0 on, or beyond belief."""
    CELL = "cell"
    """The baseline has no such feature or cell."""
    LIMIT = "limit"
    """There are more decisions and challengers than a server can have."""
    SCRAPE = "scrape"
    """The whole scrape says not whose counts it has, or has those of another pod."""


class _Place(NamedTuple):
    """Where a count goes: to a decision's own counts (`challenger` is empty) or to those of a challenger's copies."""

    decision: int
    challenger: str
    at: int


_LABELS: Final = re.compile(r'(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\}')
_LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_DECISION: Final = re.compile(r"[0-9]{1,9}")
_UNNUMBERED: Final = frozenset({"none", "past", "shadow"})
_EDGES: Final = {"+Inf" if edge == float("inf") else f"{edge:g}": i for i, edge in enumerate(LATENCY_EDGES)}
_ARM: Final = ("answered", "errors", "correct", "wrong", "rows")
_IGNORED: Final = frozenset({"feedback_unmatched_total", "shadow_slower_total"})

_ARM_FAMILIES: Final[Mapping[str, tuple[str, Mapping[str, int | None]]]] = {
    "requests_total": ("outcome", {"ok": 0, "server_error": 1, "client_error": None}),
    "feedback_total": ("outcome", {"correct": 2, "wrong": 3}),
    "rows_total": ("", {"": 4}),
    "latency_total": ("le", {name: len(_ARM) + i for name, i in _EDGES.items()}),
}
"""Per family the label that tells its counts apart, and where each value of it is counted; None: known, not counted."""

_SHADOW_FAMILIES: Final[Mapping[str, tuple[tuple[str, ...], Mapping[tuple[str, ...], str]]]] = {
    "shadow_pairs_total": (("result",), {("agree",): "agree", ("disagree",): "disagree"}),
    "shadow_failures_total": (("side",), {("challenger",): "failures", ("dropped",): "dropped"}),
    "shadow_feedback_total": (
        ("champion", "challenger_outcome"),
        {
            ("correct", "correct"): "both_correct",
            ("wrong", "correct"): "champion_wrong",
            ("correct", "wrong"): "challenger_wrong",
            ("wrong", "wrong"): "both_wrong",
        },
    ),
}


def read_samples(samples: Iterable[tuple[str, int]]) -> tuple[dict[int, DecisionCounts], Counter[Dropped]]:
    """Sum up samples per decision.

    Args:
        samples: Name without the prefix `kingmaker_profile_`, labels as exposed, and the count; such as
            `requests_total{decision="3",outcome="ok"}`.

    Returns:
        Counts of decisions that have a number, and how many samples were dropped for which reason.
    """
    found: dict[tuple[int, str], list[int]] = {}
    dropped: Counter[Dropped] = Counter()
    for key, count in samples:
        place = _place(key)
        if place is None:
            continue
        if isinstance(place, Dropped):
            dropped[place] += 1
            continue
        row = found.get(place[:2])
        if row is None:
            if len(found) == _MOST_PLACES:
                dropped[Dropped.LIMIT] += 1
                continue
            row = found[place[:2]] = [0] * (len(SHADOW_FIELDS) if place.challenger else len(_ARM) + len(_EDGES))
        row[place.at] += count
    return _assemble(found), dropped


def _assemble(found: Mapping[tuple[int, str], list[int]]) -> dict[int, DecisionCounts]:
    arms: dict[int, Arm] = {}
    shadows: dict[int, dict[str, Shadow]] = {}
    for (decision, challenger), row in found.items():
        if challenger:
            shadows.setdefault(decision, {})[challenger] = Shadow(*row)
        else:
            answered, errors, correct, wrong, rows, *latency = row
            arms[decision] = Arm(answered, errors, correct, wrong, rows, tuple(latency))
    none = Arm()
    return {d: DecisionCounts(arms.get(d, none), shadows.get(d, {})) for d in sorted(arms.keys() | shadows.keys())}


@lru_cache(maxsize=16_384)
def _place(key: str) -> _Place | Dropped | None:
    """Where a sample is counted; None when it is known and not needed."""
    family, _, rest = key.partition("{")
    if family in _IGNORED:
        return None
    if family not in _ARM_FAMILIES and family not in _SHADOW_FAMILIES:
        return Dropped.FAMILY
    if not _LABELS.fullmatch(rest):
        return Dropped.LABEL
    labels = parse_labels(rest)
    decision = labels.get("decision", "")
    if decision in _UNNUMBERED:
        return None
    if not _DECISION.fullmatch(decision):
        return Dropped.LABEL
    if family in _ARM_FAMILIES:
        name, places = _ARM_FAMILIES[family]
        value = labels.get(name, "")
        if value not in places:
            return Dropped.LABEL
        index = places[value]
        return None if index is None else _Place(int(decision), "", index)
    names, fields = _SHADOW_FAMILIES[family]
    field, challenger = fields.get(tuple(labels.get(n, "") for n in names)), labels.get("challenger", "")
    if field is None or not 0 < len(challenger) <= 253:
        return Dropped.LABEL
    return _Place(int(decision), challenger, SHADOW_FIELDS.index(field))


def parse_labels(text: str) -> dict[str, str]:
    """Read `name="value",...`; values are unescaped. What has another form is left out."""
    return {name: _unescape(value) for name, value in _LABEL.findall(text)}


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)
