"""What the samples of a `/profile` mean that are counted per decision. Cells are placed by their baseline instead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from kingmaker.core.counts.process import LATENCY_EDGES, SHADOW_FIELDS, WRONG_SHARES, Arm, DecisionCounts, Shadow

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
    """Where a count goes: to a decision's own counts (`challenger` is empty) or to those of a challenger's copies.

    `digest` is the start of the digest of the model that predicted, empty for the server's own.
    """

    digest: str
    decision: int
    challenger: str
    at: int


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
        *("feedback_classes_total", "feedback_errors_total", "shadow_slower_total"),
        *("shadow_feedback_requests_total", "shadow_feedback_classes_total", "shadow_feedback_errors_total"),
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
    found: dict[tuple[str, int, str], list[int]] = {}
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
        row = found.get(where)
        if row is None:
            if len(found) == _MOST_PLACES:
                dropped[Dropped.LIMIT] += 1
                continue
            row = found[where] = [0] * (len(SHADOW_FIELDS) if place.challenger else _ARM_WIDTH)
        row[place.at] += count
    return _assemble(found), dropped


def _assemble(found: Mapping[tuple[str, int, str], list[int]]) -> Counted:
    arms: dict[str, dict[int, Arm]] = {}
    shadows: dict[int, dict[str, Shadow]] = {}
    for (digest, decision, challenger), row in found.items():
        if challenger:
            shadows.setdefault(decision, {})[challenger] = Shadow(*row)
        else:
            arms.setdefault(digest, {})[decision] = _arm(row)
    own, none = arms.pop("", {}), Arm()
    others = {digest: {d: DecisionCounts(arm) for d, arm in sorted(counts.items())} for digest, counts in arms.items()}
    decisions = sorted(own.keys() | shadows.keys())
    return Counted({d: DecisionCounts(own.get(d, none), shadows.get(d, {})) for d in decisions}, others)


def _arm(row: list[int]) -> Arm:
    answered, errors, correct, wrong, rows = row[:_JUDGED]
    return Arm(answered, errors, correct, wrong, rows, tuple(row[_LATENCY:]), tuple(row[_JUDGED:_LATENCY]))


@lru_cache(maxsize=16_384)
def _place(key: str) -> _Place | Dropped | None:
    """Where a sample is counted; None when it is known and not needed."""
    family, _, rest = key.partition("{")
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
        index, digest = places[value], labels.get("digest")
        if index is None or digest == "":
            # Labels of more models than a server keeps apart.
            return None
        if digest is not None and not _DIGEST.fullmatch(digest):
            return Dropped.LABEL
        return _Place(digest or "", int(decision), "", index)
    names, fields = _SHADOW_FAMILIES[family]
    field, challenger = fields.get(tuple(labels.get(n, "") for n in names)), labels.get("challenger", "")
    if field is None or not 0 < len(challenger) <= 253:
        return Dropped.LABEL
    return _Place("", int(decision), challenger, SHADOW_FIELDS.index(field))


def parse_labels(text: str) -> dict[str, str]:
    """Read `name="value",...`; values are unescaped. What has another form is left out."""
    return {name: _unescape(value) for name, value in _LABEL.findall(text)}


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)
