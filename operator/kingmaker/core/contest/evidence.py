"""What two arms of a contest did, read from counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kingmaker.core.counts.profile import parse_key
from kingmaker.core.statistics.sequential import Pairs

Totals = Mapping[str, Mapping[str, int]]
"""Counts per sample key, per model digest, summed over pods and restarts."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one model did with live traffic under one decision (or several added up)."""

    answered: int = 0
    errors: int = 0
    correct: int = 0
    wrong: int = 0
    rows: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests that count: the client's own mistakes say nothing about a model."""
        return self.answered + self.errors

    @property
    def labelled(self) -> int:
        """Rows whose label arrived."""
        return self.correct + self.wrong

    @property
    def labelled_requests(self) -> int:
        """Labelled rows in units of requests: a request goes to one arm with all its rows."""
        return round(self.labelled * self.answered / self.rows) if self.rows else 0

    def slower_than(self, edge: float) -> int:
        """Requests that took longer than `edge` seconds, an edge of the latency cells."""
        return sum(count for upper, count in self.latency.items() if upper > edge)

    def __add__(self, other: Arm) -> Arm:
        """Add two stretches of the same model."""
        return Arm(
            self.answered + other.answered,
            self.errors + other.errors,
            self.correct + other.correct,
            self.wrong + other.wrong,
            self.rows + other.rows,
            dict(Counter(self.latency) + Counter(other.latency)),
        )


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a challenger did with copies of the champion's requests; rows, apart from `failures`."""

    agree: int = 0
    disagree: int = 0
    failures: int = 0
    dropped: int = 0
    both_correct: int = 0
    champion_wrong: int = 0
    challenger_wrong: int = 0
    both_wrong: int = 0

    @property
    def compared(self) -> int:
        """Rows that both models answered."""
        return self.agree + self.disagree

    @property
    def labelled(self) -> int:
        """Compared rows whose label arrived."""
        return self.both_correct + self.champion_wrong + self.challenger_wrong + self.both_wrong

    @property
    def pairs(self) -> Pairs:
        """The labelled rows as the paired tests want them."""
        return Pairs(self.champion_wrong, self.challenger_wrong, self.both_wrong)


def read_arm(totals: Totals, digest: str, decisions: Iterable[int]) -> Arm:
    """Read what the model with `digest` did under `decisions`."""
    wanted = set(decisions)
    outcome: Counter[str] = Counter()
    feedback: Counter[str] = Counter()
    latency: Counter[float] = Counter()
    rows = 0
    for key, count in totals.get(digest, {}).items():
        sample = parse_key(key)
        if sample.decision not in wanted:
            continue
        match sample.family:
            case "requests_total":
                outcome[sample.labels["outcome"]] += count
            case "feedback_total":
                feedback[sample.labels["outcome"]] += count
            case "rows_total":
                rows += count
            case "latency_total":
                latency[float(sample.labels["le"])] += count
            case _:
                pass
    return Arm(outcome["ok"], outcome["server_error"], feedback["correct"], feedback["wrong"], rows, dict(latency))


_PAIR_FIELDS = {
    ("correct", "correct"): "both_correct",
    ("wrong", "correct"): "champion_wrong",
    ("correct", "wrong"): "challenger_wrong",
    ("wrong", "wrong"): "both_wrong",
}


def read_shadow(totals: Totals, champion_digest: str, challenger: str, decisions: Iterable[int]) -> Shadow:
    """Read what the champion counted about `challenger`'s shadow answers under `decisions`."""
    wanted = set(decisions)
    found: Counter[str] = Counter()
    for key, count in totals.get(champion_digest, {}).items():
        sample = parse_key(key)
        if sample.decision not in wanted or sample.labels.get("challenger") != challenger:
            continue
        match sample.family:
            case "shadow_pairs_total":
                found[sample.labels["result"]] += count
            case "shadow_failures_total":
                found["dropped" if sample.labels["side"] == "dropped" else "failures"] += count
            case "shadow_feedback_total":
                found[_PAIR_FIELDS[sample.labels["champion"], sample.labels["challenger_outcome"]]] += count
            case _:
                pass
    return Shadow(**found)


def latency_edge(champion: Arm, quantile: float = 0.99) -> float | None:
    """Give the cell edge below which at least `quantile` of the champion's requests stayed; None without data.

    The last, open cell has no edge: None then too, since nothing can be slower.
    """
    total = sum(champion.latency.values())
    seen = 0
    for upper in sorted(champion.latency):
        seen += champion.latency[upper]
        if total and seen >= quantile * total:
            return upper if upper != float("inf") else None
    return None
