"""The exposition of a serving pod, read into numbers. The only place that knows its text; see docs/spec/borders.md, 6.

Nothing in it is trusted: what is not known is dropped and counted, whatever it says.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.bucket_samples import read_buckets
from kingmaker.core.counts.cells import CellVector, widths_of
from kingmaker.core.counts.labels import read_labels
from kingmaker.core.counts.process import ProcessCounts, start_of
from kingmaker.core.counts.samples import MOST, Dropped, parse_labels, read_samples

_PREFIX: Final = b"kingmaker_profile_"
_BUCKETS: Final = _PREFIX + b"bucket_"
_CELLS: Final = tuple(_PREFIX + family for family in (b"feature_total{", b"prediction_total{", b"score_total{"))
_INFO: Final = _PREFIX + b"info{"
_START: Final = _PREFIX + b"start_time_seconds"
_START_VALUE: Final = re.compile(rb"[0-9]{1,12}(\.[0-9]{1,9})?")
_DIGITS: Final = 16
"""Of the largest count that is believed."""
_KEPT_LAYOUTS: Final = 4096
_KEPT_READS: Final = 16_384
"""Pods whose last words are remembered, some kilobytes each."""


class UnreadableError(ValueError):
    """The exposition does not say whose counts it has."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one exposition said, and how many of its samples were dropped for which reason."""

    counts: ProcessCounts
    dropped: Mapping[Dropped, int]


class ExpositionReader:
    """Reads expositions. Remembers which line of a pod holds which cell, for pods that say the same lines again.

    What a pod says that counted nothing since is not read again.
    """

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._layouts: dict[tuple[str, bytes], NDArray[np.int64]] = {}
        self._reads: dict[str, tuple[tuple[bytes, str, frozenset[str]], Read]] = {}

    def read(self, pod_uid: str, content: bytes, baselines: Mapping[str, Baseline], *, pod: str = "") -> Read:
        """Read one exposition.

        Args:
            pod_uid: Whom was asked.
            content: What came.
            baselines: By digest; cells of other baselines are not read.
            pod: The pod's name, when it is known.

        Raises:
            UnreadableError: It does not say whose counts it has, or has those of another pod.
        """
        signature = (hashlib.blake2b(content, digest_size=16).digest(), pod, frozenset(baselines))
        known = self._reads.get(pod_uid)
        if known is not None and known[0] == signature:
            return known[1]
        found = self._read(pod_uid, content, baselines, pod)
        if len(self._reads) >= _KEPT_READS:
            self._reads.clear()
        self._reads[pod_uid] = (signature, found)
        return found

    def _read(self, pod_uid: str, content: bytes, baselines: Mapping[str, Baseline], pod: str) -> Read:
        lines = content.split(b"\n")
        cells = [line for line in lines if line.startswith(_CELLS)]
        buckets = [line for line in lines if line.startswith(_BUCKETS)]
        dropped: Counter[Dropped] = Counter()
        info, start, samples = _read_head([n for n in lines if not n.startswith((*_CELLS, _BUCKETS))], dropped)
        if pod and info.get("pod") not in (pod, "", None):
            message = f"it has the counts of pod {info['pod'][:100]!r}, expected {pod!r}"
            raise UnreadableError(message)
        own = start_of(info["model_digest"])
        counted, unknown = read_samples(samples, own=own)
        by_bucket, unread = read_buckets(buckets, own=own)
        baseline = baselines.get(info["baseline_digest"])
        vector = self._read_cells(cells, baseline, dropped) if baseline else None
        counts = ProcessCounts(
            pod_uid,
            info["model"],
            info["model_digest"],
            info["baseline_digest"],
            start,
            counted.own,
            vector,
            counted.others,
            by_bucket,
            read_labels(samples, own=start_of(info["model_digest"])),
        )
        return Read(counts, dropped + unknown + unread)

    def _read_cells(self, lines: Sequence[bytes], baseline: Baseline, dropped: Counter[Dropped]) -> CellVector:
        pairs = [line.rpartition(b" ") for line in lines]
        keys = [key for key, _, _ in pairs]
        places = self._layout(keys, baseline)
        values = _counts([value for _, _, value in pairs])
        dropped[Dropped.CELL] += int((places < 0).sum())
        dropped[Dropped.VALUE] += int(((values < 0) & (places >= 0)).sum())
        vector = np.zeros(sum(widths_of(baseline)), dtype=np.int64)
        good = (places >= 0) & (values >= 0)
        vector[places[good]] = values[good]
        return vector

    def _layout(self, keys: Sequence[bytes], baseline: Baseline) -> NDArray[np.int64]:
        """Say which cell each line holds, -1 for none."""
        signature = (baseline.digest, hashlib.blake2b(b"\n".join(keys), digest_size=16).digest())
        found = self._layouts.get(signature)
        if found is None:
            if len(self._layouts) >= _KEPT_LAYOUTS:
                self._layouts.clear()
            places = {key: place for place, key in enumerate(_cell_keys(baseline))}
            found = np.array([places.get(key, -1) for key in keys], dtype=np.int64)
            self._layouts[signature] = found
        return found


def _read_head(lines: Sequence[bytes], dropped: Counter[Dropped]) -> tuple[dict[str, str], str, list[tuple[str, int]]]:
    """Split what is not a cell into the info's labels, the start time and the samples."""
    info: dict[str, str] = {}
    start = ""
    samples: list[tuple[str, int]] = []
    for line in lines:
        key, _, value = line.rpartition(b" ")
        if key.startswith(_INFO):
            info = parse_labels(key.decode(errors="replace"))
        elif key == _START:
            start = value.decode() if _START_VALUE.fullmatch(value) else ""
        elif not key.startswith(_PREFIX):
            continue
        elif not value.isdigit() or len(value) > _DIGITS or (count := int(value)) > MOST:
            dropped[Dropped.VALUE] += 1
        elif count:
            samples.append((key[len(_PREFIX) :].decode(errors="replace"), count))
    if not start or not {"model", "model_digest", "baseline_digest"} <= info.keys():
        message = "it has no whole kingmaker_profile_info, or no kingmaker_profile_start_time_seconds"
        raise UnreadableError(message)
    return info, start, samples


def _counts(values: Sequence[bytes]) -> NDArray[np.int64]:
    """Read counts; -1 for what is none."""
    found = np.array([int(v) if v.isdigit() and len(v) <= _DIGITS else -1 for v in values], dtype=np.int64)
    found[(found > MOST) | (found < 0)] = -1
    return found


def _cell_keys(baseline: Baseline) -> list[bytes]:
    """Name every cell as servers do, in the order of the baseline."""
    outputs = (("prediction_total", baseline.prediction), ("score_total", baseline.score))
    columns = [("feature_total", f'feature="{_escape(f.name)}",', f) for f in baseline.features]
    columns += [(family, "", column) for family, column in outputs if column is not None]
    return [
        _PREFIX + f'{family}{{{label}cell="{_escape(cell.name)}"}}'.encode()
        for family, label, column in columns
        for cell in column.cells
    ]


def _escape(value: str) -> str:
    """Escape a label's value. Source: Prometheus text format 0.0.4."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
