"""What the samples of a `/profile` mean that are counted by bucket. There are thousands, so each is read in one go."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

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

_SAMPLE: Final = re.compile(
    rb'kingmaker_profile_bucket_([a-z]{1,20})_total\{((?:[a-z_]{1,20}="(?:[^"\\]|\\.){0,300}",?){2,9})\} ([0-9]{1,16})'
)
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


def read_buckets(lines: Iterable[bytes], *, own: str) -> tuple[Totals, Counter[Dropped]]:
    """Sum up samples by model, decision and bucket.

    Args:
        lines: Those of the families `kingmaker_profile_bucket_...`.
        own: Start of the digest of the server's own model.

    Returns:
        The counts, and how many samples were dropped for which reason.
    """
    found: dict[tuple[str, int, str], CellVector] = {}
    dropped: Counter[Dropped] = Counter()
    for line in lines:
        match = _SAMPLE.fullmatch(line)
        if match is None:
            dropped[Dropped.LABEL] += 1
            continue
        family, text, value = match.groups()
        labels = parse_labels(text.decode(errors="replace"))
        if labels.get("decision") in _UNNUMBERED or labels.get("digest") == "":
            continue
        name = _name(family.decode(), labels)
        place = _place(labels, own)
        if name is None or place is None:
            dropped[Dropped.LABEL if name else Dropped.FAMILY] += 1
            continue
        model, decision, bucket = place
        vector = found.get((model, decision, name))
        if (count := int(value)) > MOST or (vector is None and len(found) == _MOST_VECTORS):
            dropped[Dropped.VALUE if count > MOST else Dropped.LIMIT] += 1
            continue
        if vector is None:
            vector = found[model, decision, name] = np.zeros(BUCKETS, dtype=np.int64)
        vector[bucket] += count
    return _assemble(found), dropped


def _assemble(found: dict[tuple[str, int, str], CellVector]) -> Totals:
    vectors: dict[str, dict[int, dict[str, CellVector]]] = {}
    for (model, decision, name), vector in found.items():
        vectors.setdefault(model, {}).setdefault(decision, {})[name] = vector
    return {m: {d: bounded(kinds) for d, kinds in by_decision.items()} for m, by_decision in vectors.items()}


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
