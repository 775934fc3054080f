"""One scrape of one serving pod, and what its sample keys mean.

A key is a sample's name without the common prefix, labels as exposed: `requests_total{decision="3",outcome="ok"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CELL_FAMILIES: Final = frozenset({"feature_total", "prediction_total", "score_total"})
"""Counts for drift: they go into windows. Every other family is counted per decision."""

_LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Profile:
    """Cumulative counts of one serving process since its start."""

    pod_uid: str
    model: str
    model_digest: str
    baseline_digest: str
    start: str
    counters: Mapping[str, int]

    @property
    def process(self) -> str:
        """Identity of the counting process: a restart begins a new one."""
        return f"{self.pod_uid}/{self.start}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A key taken apart."""

    family: str
    labels: Mapping[str, str]

    @property
    def decision(self) -> int | None:
        """The decision that routed what was counted; None for counts before, between or without decisions."""
        value = self.labels.get("decision", "")
        return int(value) if value.isdigit() else None


@lru_cache(maxsize=65536)
def parse_key(key: str) -> Sample:
    """Take a sample key apart; label values are unescaped."""
    family, _, rest = key.partition("{")
    return Sample(family, {name: _unescape(value) for name, value in _LABEL.findall(rest)})


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)
