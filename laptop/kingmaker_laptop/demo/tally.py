"""Accounts of the load generator: every request ends as answered or failed, and nothing is forgotten."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_EDGES_PER_DOUBLING: Final = 8
"""Latency cells are 9 % wide: fine enough for a percentile, and a fixed number of them however long it runs."""
_FASTEST_SECONDS: Final = 1e-4
_CELLS: Final = 140

MOST_REASONS: Final = 20
"""Different failures that are kept apart; the rest count as `other`."""


class Latencies:
    """Latencies in fixed cells."""

    def __init__(self) -> None:
        self._cells = [0] * _CELLS

    def add(self, seconds: float) -> None:
        """Count one latency, in seconds, >= 0."""
        place = math.ceil(_EDGES_PER_DOUBLING * math.log2(max(seconds, _FASTEST_SECONDS) / _FASTEST_SECONDS))
        self._cells[min(place, _CELLS - 1)] += 1

    def percentile(self, share: float) -> float:
        """Give the upper edge, in seconds, of the cell that holds the share (0..1); 0 when nothing was counted."""
        wanted = share * sum(self._cells)
        seen = 0
        for place, count in enumerate(self._cells):
            seen += count
            if count and seen >= wanted:
                return float(_FASTEST_SECONDS * 2 ** (place / _EDGES_PER_DOUBLING))
        return 0.0


@dataclass(slots=True)
class Tally:
    """Counts since the start. `sent` = answered + failed + in flight."""

    sent: int = 0
    answered: int = 0
    rows: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    wrong_labels: Counter[str] = field(default_factory=Counter)
    labelled_rows: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    labels_posted: int = 0
    labels_unmatched: int = 0
    labels_kept: int = 0
    """Requests whose labels wait until somebody asks for them."""
    labels_late: int = 0
    """Those of them whose labels were taken then."""
    label_failures: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def failed(self) -> int:
        """Requests that got no answer, or not the answer that the protocol promises."""
        return sum(self.failures.values())

    def answer(self, model: str, rows: int, seconds: float) -> None:
        """Count a good answer of `model`."""
        self.answered += 1
        self.by_status["200"] += 1
        self.rows += rows
        self.by_model[model] += 1
        self.latencies.add(seconds)

    def fail(self, reason: str, status: str = "none") -> None:
        """Count a failed request; `status` is that of its answer, if it got one."""
        _count(self.failures, reason)
        self.by_status[status] += 1

    def fail_label(self, reason: str) -> None:
        """Count labels that could not be delivered."""
        _count(self.label_failures, reason)

    def judge(self, model: str, predicted: Sequence[int], labels: Sequence[int]) -> None:
        """Count right and wrong rows of an answer whose labels arrived."""
        self.labelled_rows[model] += len(labels)
        self.wrong_labels[model] += sum(p != y for p, y in zip(predicted, labels, strict=True))

    def report(self) -> dict[str, Any]:
        """Give the counts as JSON, latencies in milliseconds."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "rows": self.rows,
            "byModel": dict(self.by_model),
            "byStatus": dict(self.by_status),
            "labelledRows": dict(self.labelled_rows),
            "wrongRows": dict(self.wrong_labels),
            "failures": dict(self.failures),
            "labelsPosted": self.labels_posted,
            "labelsUnmatched": self.labels_unmatched,
            "labelsKept": self.labels_kept,
            "labelsLate": self.labels_late,
            "labelFailures": dict(self.label_failures),
            "p50Milliseconds": round(1000 * self.latencies.percentile(0.50), 1),
            "p99Milliseconds": round(1000 * self.latencies.percentile(0.99), 1),
        }


class AnswerError(ValueError):
    """An answer that is not what the protocol promises."""


def read_answer(body: Mapping[str, Any], *, model: str, version: str, rows: int) -> list[int]:
    """Check an answer of the Open Inference Protocol and give the predicted labels.

    Args:
        body: The answer.
        model: The name that was asked.
        version: Header `kingmaker-model`: who answered.
        rows: Rows of the request.

    Raises:
        AnswerError: with what was found and what was expected.
    """
    if body.get("model_name") != model:
        raise AnswerError(f"model_name is {body.get('model_name')!r}, expected {model!r}")
    if not version or body.get("model_version") != version:
        raise AnswerError(f"model_version {body.get('model_version')!r} is not header kingmaker-model {version!r}")
    tensors = {tensor.get("name"): tensor for tensor in body.get("outputs", ())}
    for name, shape in (("label", [rows]), ("probabilities", [rows, 2])):
        tensor = tensors.get(name)
        if tensor is None:
            raise AnswerError(f"no output {name!r}; found {sorted(map(str, tensors))}")
        if tensor.get("shape") != shape or len(tensor.get("data", ())) != math.prod(shape):
            raise AnswerError(f"output {name!r} has shape {tensor.get('shape')}, expected {shape}")
    labels = tensors["label"]["data"]
    if any(label not in {0, 1} for label in labels):
        raise AnswerError(f"output 'label' holds {labels[:4]}, expected only 0 and 1")
    return [int(label) for label in labels]


def _count(counter: Counter[str], reason: str) -> None:
    counter[reason if reason in counter or len(counter) < MOST_REASONS else "other"] += 1
