"""What the samples of a `/profile` mean that are counted by bucket. There are thousands, so each is read in one go."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from kingmaker.core.counts.buckets import (
    BUCKETS,
    EIGHTHS,
    FAILURES,
    LABELLED,
    BucketClass,
    bounded,
    class_name,
    error_name,
    latency_name,
)
from kingmaker.core.counts.cells import CellVector
from kingmaker.core.counts.looks import Totals
from kingmaker.core.counts.process import LATENCY_EDGES
from kingmaker.core.counts.samples import MOST, Dropped, parse_labels

_KEY: Final = re.compile(
    rb'kingmaker_profile_bucket_([a-z]{1,20})_total\{((?:[a-z_]{1,20}="(?:[^"\\]|\\.){0,300}",?){2,9})\}'
)
_DIGITS: Final = 16
_KEYS: Final = 32_768
"""Keys whose meaning is remembered: those of some contests."""
_DECISION: Final = re.compile(r"[0-9]{1,9}")
_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_ERROR: Final = re.compile(r"0|nan|k-?[0-9]{1,3}")
_UNNUMBERED: Final = frozenset({"none", "past", "shadow"})
_EDGES: Final = {
    "+Inf" if edge == float("inf") else f"{edge:g}": latency_name(i) for i, edge in enumerate(LATENCY_EDGES)
}
_FEEDBACK: Final = {"requests": LABELLED, "eighths": EIGHTHS}
_MOST_VECTORS: Final = 10_000
_LONGEST: Final = 64


class _Kind(NamedTuple):
    """What is counted by bucket: of which model, under which decision, by the name that `Buckets` has for it."""

    model: str
    decision: int
    name: str


class _Cell(NamedTuple):
    kind: _Kind
    bucket: int


def read_buckets(lines: Iterable[bytes], *, own: str) -> tuple[Totals, Counter[Dropped]]:
    """Sum up samples by model, decision and bucket.

    Args:
        lines: Those of the families `kingmaker_profile_bucket_...`.
        own: Start of the digest of the server's own model.

    Returns:
        The counts, and how many samples were dropped for which reason.
    """
    found: dict[_Kind, CellVector] = {}
    dropped: Counter[Dropped] = Counter()
    for line in lines:
        key, _, value = line.rpartition(b" ")
        cell = _cell(key, own)
        if cell is None:
            continue
        count = int(value) if value.isdigit() and len(value) <= _DIGITS else MOST + 1
        if isinstance(cell, Dropped) or count > MOST:
            dropped[cell if isinstance(cell, Dropped) else Dropped.VALUE] += 1
            continue
        vector = found.get(cell.kind)
        if vector is None:
            if len(found) == _MOST_VECTORS:
                dropped[Dropped.LIMIT] += 1
                continue
            vector = found[cell.kind] = np.zeros(BUCKETS, dtype=np.int64)
        vector[cell.bucket] += count
    return _assemble(found), dropped


def _assemble(found: Mapping[_Kind, CellVector]) -> Totals:
    vectors: dict[str, dict[int, dict[str, CellVector]]] = {}
    for (model, decision, name), vector in found.items():
        vectors.setdefault(model, {}).setdefault(decision, {})[name] = vector
    return {m: {d: bounded(kinds) for d, kinds in by_decision.items()} for m, by_decision in vectors.items()}


@lru_cache(maxsize=_KEYS)
def _cell(key: bytes, own: str) -> _Cell | Dropped | None:
    """Say what a sample counts; None for what is known and not needed."""
    match = _KEY.fullmatch(key)
    if match is None:
        return Dropped.LABEL
    labels = parse_labels(match[2].decode(errors="replace"))
    if labels.get("decision") in _UNNUMBERED or labels.get("digest") == "":
        return None
    name, place = _name(match[1].decode(), labels), _place(labels, own)
    if name is None or place is None:
        return Dropped.LABEL if name else Dropped.FAMILY
    model, decision, bucket = place
    return _Cell(_Kind(model, decision, name), bucket)


def _name(family: str, labels: dict[str, str]) -> str | None:
    match family:
        case "latency":
            return _EDGES.get(labels.get("le", ""))
        case "failures":
            return FAILURES
        case "feedback":
            return _FEEDBACK.get(labels.get("count", ""))
        case "errors":
            cell = labels.get("error", "")
            return error_name(cell) if _ERROR.fullmatch(cell) else None
        case "classes":
            predicted, true, outcome = (labels.get(name, "") for name in ("predicted", "true", "outcome"))
            is_known = outcome in {"correct", "wrong"} and max(len(predicted), len(true)) <= _LONGEST
            return class_name(BucketClass(predicted, true, outcome == "wrong")) if is_known else None
        case _:
            return None


def _place(labels: dict[str, str], own: str) -> tuple[str, int, int] | None:
    """Give model, decision and bucket; None where one is none."""
    model, decision, bucket = labels.get("digest", own), labels.get("decision", ""), labels.get("bucket", "")
    if not _DIGEST.fullmatch(model) or not _DECISION.fullmatch(decision):
        return None
    if not (bucket.isascii() and bucket.isdigit() and len(bucket) <= 4 and int(bucket) < BUCKETS):
        return None
    return model, int(decision), int(bucket)
