"""What this process counted since its start, and its exposition at `/profile`.

Counting is vectorised and rendering joins prefixes that were made once: both happen beside a model that answers in
tens of microseconds.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kingmaker_serving.counts.baseline import Baseline
from kingmaker_serving.counts.bucketed import BucketSeries
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.counts.labelled import LabelCounts
from kingmaker_serving.counts.series import PAST, Series, sample

LATENCY_EDGES: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0),
)
"""Upper edges of the latency cells, in seconds, closed above; one more cell is open."""
EDGE_NAMES: Final = (*(f"{edge:g}" for edge in LATENCY_EDGES), "+Inf")
KEPT_DECISIONS: Final = 8
SHADOW: Final = "shadow"
"""The decision of requests that a champion copied here: they are load, but nobody waits for them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose counts these are. `started` is a Unix time in seconds."""

    model: str
    model_digest: str
    baseline_digest: str
    pod: str
    started: float


class Profile:
    """All counts of this process. Used from the event loop only."""

    def __init__(
        self,
        identity: Identity,
        *,
        baseline: Baseline | None = None,
        features: CellCounts | None = None,
        answers: CellCounts | None = None,
    ) -> None:
        """Begin at zero.

        Args:
            identity: Stamped on the counts.
            baseline: Names the cells.
            features: Counters over the inputs, laid out for `baseline.features`.
            answers: Counters over the outputs: prediction and score, those that the baseline has.
        """
        self.identity = identity
        self.features = features
        self.answers = answers
        self.has_prediction = baseline is not None and baseline.prediction is not None
        self.requests = Series("requests_total", "decision", "outcome")
        self.rows = Series("rows_total", "decision")
        self.latency = Series("latency_total", "decision", "le")
        self.bucket_latency = BucketSeries("bucket_latency_total", "decision", "bucket", "le")
        self.bucket_failures = BucketSeries("bucket_failures_total", "decision", "bucket")
        self.labels = LabelCounts(baseline.prediction if baseline else None)
        self.pairs = Series("shadow_pairs_total", "challenger", "decision", "result")
        self.failures = Series("shadow_failures_total", "challenger", "decision", "side")
        self.slower = Series("shadow_slower_total", "challenger", "decision", "side")
        self.distances = Series("shadow_distance_total", "challenger", "decision", "le")
        self.seconds = 0.0
        """Sum of all counted latencies."""
        self._decisions: set[int] = set()
        self._cell_prefixes = _cell_prefixes(baseline) if baseline else ([], [])

    @property
    def series(self) -> tuple[Series, ...]:
        """All counters but the cells and those of labels, in the order of the exposition."""
        own = (self.requests, self.rows, self.latency, self.bucket_latency, self.bucket_failures)
        return (*own, self.pairs, self.failures, self.slower, self.distances)

    def admit(self, decision: str) -> str:
        """Give the label to count a decision under; the newest few have their own, so that labels stay bounded."""
        if not decision.isdigit():
            return decision
        number = int(decision)
        if number not in self._decisions:
            if len(self._decisions) == KEPT_DECISIONS:
                oldest = min(self._decisions)
                if number < oldest:
                    return PAST
                self._decisions.remove(oldest)
                for series in self.series:
                    series.fold(str(oldest))
            self._decisions.add(number)
        return str(number)

    def count_request(self, decision: str, outcome: str, bucket: str = "") -> None:
        """Count an infer request: outcome ok, client_error or server_error."""
        self.requests.add(decision, outcome)
        if bucket and outcome == "server_error":
            self.bucket_failures.add(decision, bucket)

    def count_answers(self, answers: Sequence[tuple[str, str, int, float]]) -> None:
        """Count answered requests: decision, bucket, rows, and the seconds from the first byte to the answer's last."""
        for decision, bucket, rows, seconds in answers:
            admitted = self.admit(decision)
            self.requests.add(admitted, "ok")
            self.rows.add(admitted, count=rows)
            edge = EDGE_NAMES[bisect_left(LATENCY_EDGES, seconds)]
            self.latency.add(admitted, edge)
            if bucket:
                self.bucket_latency.add(admitted, bucket, edge)
            self.seconds += seconds

    def count_cells(self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Count the values that a model saw and said."""
        if self.features is not None:
            self.features.add(inputs)
        if self.answers is not None:
            self.answers.add(outputs)

    def render(self) -> bytes:
        """Write the exposition."""
        who = self.identity
        labels = {
            "model": who.model,
            "model_digest": who.model_digest,
            "baseline_digest": who.baseline_digest,
            "pod": who.pod,
        }
        lines = [f"{sample('info', labels)}1", f"{sample('start_time_seconds', {})}{who.started:.3f}"]
        for series in (*self.series, *self.labels.series):
            lines += series.lines()
        for counter, prefixes in zip((self.features, self.answers), self._cell_prefixes, strict=True):
            if counter is not None:
                counts = counter.counts.tolist()
                lines += [f"{prefix}{count}" for prefix, count in zip(prefixes, counts, strict=True)]
        lines.append("")
        return "\n".join(lines).encode()


def _cell_prefixes(baseline: Baseline) -> tuple[list[str], list[str]]:
    features = [
        sample("feature_total", {"feature": column.name, "cell": cell.name})
        for column in baseline.features
        for cell in column.cells
    ]
    answers = [
        sample(name, {"cell": cell.name})
        for name, column in (("prediction_total", baseline.prediction), ("score_total", baseline.score))
        if column is not None
        for cell in column.cells
    ]
    return features, answers
