"""Counters with labels, and how a sample is written: `kingmaker_profile_NAME{a="b"} 5`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

NONE: Final = "none"
"""The decision of requests that carry no number."""
PAST: Final = "past"
"""The decision of what is too old to be kept apart."""
_PREFIX: Final = "kingmaker_profile_"


def escape(value: str) -> str:
    """Escape a label's value. Source: Prometheus text format 0.0.4."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def sample(name: str, labels: Mapping[str, str]) -> str:
    """Write what stands before a sample's value: `name{a="b"} `."""
    pairs = ",".join(f'{key}="{escape(value)}"' for key, value in labels.items())
    return f"{_PREFIX}{name}{{{pairs}}} " if pairs else f"{_PREFIX}{name} "


class Series:
    """Counters of one name, by label values in a fixed order."""

    def __init__(self, name: str, *labels: str) -> None:
        """Take the name after `kingmaker_profile_`, and the labels' names."""
        self.name = name
        self.labels = labels
        self.counts: dict[tuple[str, ...], int] = defaultdict(int)
        self._prefixes: dict[tuple[str, ...], str] = {}

    def add(self, *values: str, count: int = 1) -> None:
        """Count, under one value per label."""
        if count:
            self.counts[values] += count

    def sum(self, **labels: str) -> int:
        """Add up what has these label values."""
        places = {self.labels.index(name): value for name, value in labels.items()}
        return sum(n for key, n in self.counts.items() if all(key[i] == value for i, value in places.items()))

    def fold(self, decision: str) -> None:
        """Count an old decision as past."""
        if "decision" not in self.labels:
            return
        place = self.labels.index("decision")
        for key in [key for key in self.counts if key[place] == decision]:
            self.counts[(*key[:place], PAST, *key[place + 1 :])] += self.counts.pop(key)
            self._prefixes.pop(key, None)

    def lines(self) -> Iterator[str]:
        """Write the samples."""
        for key, count in self.counts.items():
            prefix = self._prefixes.get(key)
            if prefix is None:
                prefix = self._prefixes[key] = sample(self.name, dict(zip(self.labels, key, strict=True)))
            yield f"{prefix}{count}"
