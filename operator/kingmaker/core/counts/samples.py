"""What the samples of a `/profile` mean that are counted per decision. Cells are placed by their baseline instead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from kingmaker.core.counts.cell_samples import ARM_CELLS, SHADOW_CELLS, read_cell
from kingmaker.core.counts.labelled import (
    MOST_CELLS,
    AnyCell,
    ClassCell,
    LossCell,
    PairCell,
    PairClassCell,
    PairLossCell,
    summed,
)
from kingmaker.core.counts.process import LATENCY_EDGES, SHADOW_FIELDS, WRONG_SHARES, Arm, DecisionCounts, Shadow

MOST: Final = 2**53
"""Largest count that is believed: a million a second for 285 years."""
_BEYOND: Final = 2_048
"""Cells of `other` that a server may tell beside its `MOST_CELLS`: one or two for each of its decisions and models."""
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
    """There are more decisions and challengers, or cells of labels, than a server can have."""
    SCRAPE = "scrape"
    """The whole scrape says not whose counts it has, or has those of another pod."""


class _Place(NamedTuple):
    """Where a count goes: to a decision's own counts (`challenger` is empty) or to those of a challenger's copies.

    `digest` is the start of the digest of the model that predicted, empty for the server's own. `at` is a place among
    the counts that everything has, or one of the cells that there are few of.
    """

    digest: str
    decision: int
    challenger: str
    at: int | AnyCell


@dataclass(slots=True)
class _Sums:
    """What was read so far of one place."""

    row: list[int]
    cells: dict[type[AnyCell], list[tuple[Any, int]]] = field(default_factory=dict)

    def add(self, at: int | AnyCell, count: int) -> None:
        if isinstance(at, int):
            self.row[at] += count
        else:
            self.cells.setdefault(type(at), []).append((at, count))

    def of(self, kind: type[AnyCell]) -> Mapping[Any, int]:
        return summed(self.cells.get(kind, ()))


_LABELS: Final = re.compile(r'(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\}')
_LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_DECISION: Final = re.compile(r"[0-9]{1,9}")
_UNNUMBERED: Final = frozenset({"none", "past", "shadow"})
_EDGES: Final = {"+Inf" if edge == float("inf") else f"{edge:g}": i for i, edge in enumerate(LATENCY_EDGES)}
_SHARES: Final = {f"{share:g}": i for i, share in enumerate(WRONG_SHARES)}
_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_ARM: Final = ("answered", "errors", "correct", "wrong", "rows")
_JUDGED: Final = len(_ARM)
_LATENCY: Final = _JUDGED + len(_SHARES)
_ARM_WIDTH: Final = _LATENCY + len(_EDGES)
_IGNORED: Final = frozenset(
    {
        *("feedback_unmatched_total", "feedback_repeated_total", "feedback_unpaired_total", "feedback_age_total"),
        "shadow_slower_total",
    }
)
"""Families that are known, and that nothing is decided on."""

_ARM_FAMILIES: Final[Mapping[str, tuple[str, Mapping[str, int | None]]]] = {
    "requests_total": ("outcome", {"ok": 0, "server_error": 1, "client_error": None}),
    "feedback_total": ("outcome", {"correct": 2, "wrong": 3}),
    "feedback_requests_total": ("wrong", {name: _JUDGED + i for name, i in _SHARES.items()}),
    "rows_total": ("", {"": 4}),
    "latency_total": ("le", {name: _LATENCY + i for name, i in _EDGES.items()}),
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


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of decisions that have a number: of the server's own model, and of others by the start of their digest."""

    own: Mapping[int, DecisionCounts] = field(default_factory=dict)
    others: Mapping[str, Mapping[int, DecisionCounts]] = field(default_factory=dict)


def read_samples(samples: Iterable[tuple[str, int]], *, own: str = "") -> tuple[Counted, Counter[Dropped]]:
    """Sum up samples per model and decision.

    Args:
        samples: Name without the prefix `kingmaker_profile_`, labels as exposed, and the count; such as
            `requests_total{decision="3",outcome="ok"}`.
        own: Start of the digest of the server's own model.

    Returns:
        The counts, and how many samples were dropped for which reason.
    """
    found: dict[tuple[str, int, str], _Sums] = {}
    cells: Counter[type[AnyCell]] = Counter()
    dropped: Counter[Dropped] = Counter()
    for key, count in samples:
        if key.partition("{")[0] in _IGNORED:
            continue
        place = _place(key)
        if place is None:
            continue
        if isinstance(place, Dropped):
            dropped[place] += 1
            continue
        where = ("" if place.digest == own else place.digest, place.decision, place.challenger)
        sums = found.get(where)
        if _is_beyond(cells, place.at) or (sums is None and len(found) == _MOST_PLACES):
            dropped[Dropped.LIMIT] += 1
            continue
        if sums is None:
            sums = found[where] = _Sums([0] * (len(SHADOW_FIELDS) if place.challenger else _ARM_WIDTH))
        sums.add(place.at, count)
    return _assemble(found), dropped


def _is_beyond(cells: Counter[type[AnyCell]], at: int | AnyCell) -> bool:
    """Count a cell of its family; say whether there are more than a server tells, whosoever they are."""
    if isinstance(at, int):
        return False
    cells[type(at)] += 1
    return cells[type(at)] > MOST_CELLS + _BEYOND


def _assemble(found: Mapping[tuple[str, int, str], _Sums]) -> Counted:
    arms: dict[str, dict[int, Arm]] = {}
    shadows: dict[int, dict[str, Shadow]] = {}
    for (digest, decision, challenger), sums in found.items():
        if challenger:
            shadows.setdefault(decision, {})[challenger] = _shadow(sums)
        else:
            arms.setdefault(digest, {})[decision] = _arm(sums)
    own, none = arms.pop("", {}), Arm()
    others = {digest: {d: DecisionCounts(arm) for d, arm in sorted(counts.items())} for digest, counts in arms.items()}
    decisions = sorted(own.keys() | shadows.keys())
    return Counted({d: DecisionCounts(own.get(d, none), shadows.get(d, {})) for d in decisions}, others)


def _arm(sums: _Sums) -> Arm:
    answered, errors, correct, wrong, rows = sums.row[:_JUDGED]
    latency, judged = tuple(sums.row[_LATENCY:]), tuple(sums.row[_JUDGED:_LATENCY])
    return Arm(answered, errors, correct, wrong, rows, latency, judged, sums.of(ClassCell), sums.of(LossCell))


def _shadow(sums: _Sums) -> Shadow:
    return Shadow(*sums.row, judged=sums.of(PairCell), classes=sums.of(PairClassCell), losses=sums.of(PairLossCell))


@lru_cache(maxsize=16_384)
def _place(key: str) -> _Place | Dropped | None:
    """Where a sample is counted; None when it is known and not needed."""
    family, _, rest = key.partition("{")
    of_arm, of_shadow = family in _ARM_FAMILIES or family in ARM_CELLS, family in _SHADOW_FAMILIES
    if not of_arm and not of_shadow and family not in SHADOW_CELLS:
        return Dropped.FAMILY
    if not _LABELS.fullmatch(rest):
        return Dropped.LABEL
    labels = parse_labels(rest)
    decision = labels.get("decision", "")
    if decision in _UNNUMBERED:
        return None
    if not _DECISION.fullmatch(decision):
        return Dropped.LABEL
    if of_arm:
        return _arm_place(family, labels, int(decision))
    challenger = labels.get("challenger", "")
    at = _shadow_field(family, labels) if of_shadow else read_cell(family, labels)
    if at is None or not 0 < len(challenger) <= 253:
        return Dropped.LABEL
    return _Place("", int(decision), challenger, at)


def _arm_place(family: str, labels: Mapping[str, str], decision: int) -> _Place | Dropped | None:
    digest = labels.get("digest")
    at: int | AnyCell | None
    if family in ARM_CELLS:
        at = read_cell(family, labels)
        if at is None or digest is None:
            return Dropped.LABEL
    else:
        name, places = _ARM_FAMILIES[family]
        value = labels.get(name, "")
        if value not in places:
            return Dropped.LABEL
        at = places[value]
    if at is None or digest == "":
        # Known and not counted; or labels of more models than a server keeps apart.
        return None
    if digest is not None and not _DIGEST.fullmatch(digest):
        return Dropped.LABEL
    return _Place(digest or "", decision, "", at)


def _shadow_field(family: str, labels: Mapping[str, str]) -> int | None:
    names, fields = _SHADOW_FAMILIES[family]
    found = fields.get(tuple(labels.get(n, "") for n in names))
    return None if found is None else SHADOW_FIELDS.index(found)


def parse_labels(text: str) -> dict[str, str]:
    """Read `name="value",...`; values are unescaped. What has another form is left out."""
    return {name: _unescape(value) for name, value in _LABEL.findall(text)}


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)
