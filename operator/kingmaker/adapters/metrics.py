"""The operator's own metrics, for a Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from kingmaker.core.plan import Gauges
from kingmaker.ports import ConflictError, Key

AllGauges = Callable[[], Mapping[Key, Gauges]]


@dataclass(frozen=True, slots=True)
class _Sources:
    gauges: AllGauges
    depth: Callable[[], int]
    writes: Callable[[], int]
    leads: Callable[[], bool]
    transitions: Callable[[], int]
    dropped: Callable[[], Mapping[str, int]]


class _Deployments(Collector):
    """Reads the newest gauges when scraped: what is gone has no series any more."""

    def __init__(self, sources: _Sources) -> None:
        self._sources = sources

    @override
    def collect(self) -> Iterable[Metric]:
        """Give the series of every deployment."""
        depth = GaugeMetricFamily("kingmaker_queue_depth", "Keys that wait for a reconcile")
        depth.add_metric([], self._sources.depth())
        writes = CounterMetricFamily("kingmaker_writes", "Writes sent to the API server, Events apart")
        writes.add_metric([], self._sources.writes())
        leader = GaugeMetricFamily("kingmaker_leader", "1 where this process leads, 0 where it stands by")
        leader.add_metric([], self._sources.leads())
        transitions = CounterMetricFamily(
            "kingmaker_lease_transitions", "Changes of leadership, as the Lease counts them"
        )
        transitions.add_metric([], self._sources.transitions())
        dropped = CounterMetricFamily(
            "kingmaker_profile_dropped_samples",
            "Samples of serving pods that were not counted, since they are not known or not sound",
            labels=("reason",),
        )
        for reason, count in dict(self._sources.dropped()).items():
            dropped.add_metric((reason,), count)
        weight = GaugeMetricFamily(
            "kingmaker_variant_weight_percent",
            "Percent of requests that a model answers",
            labels=("namespace", "deployment", "model"),
        )
        evidence = GaugeMetricFamily(
            "kingmaker_contest_log_e_value",
            "Natural logarithm of a check's e-value",
            labels=("namespace", "deployment", "model", "check"),
        )
        remaining = GaugeMetricFamily(
            "kingmaker_contest_remaining_seconds",
            "Forecast of how long a contest takes yet; +Inf where its goal is never shown",
            labels=("namespace", "deployment", "model"),
        )
        decision = GaugeMetricFamily(
            "kingmaker_decision_sequence",
            "Number of the latest decision",
            labels=("namespace", "deployment"),
        )
        error = GaugeMetricFamily(
            "kingmaker_champion_error",
            "The champion's error, from labels and as estimated without them, between bounds that hold with 95 percent",
            labels=("namespace", "deployment", "model", "figure"),
        )
        coverage = GaugeMetricFamily(
            "kingmaker_champion_label_coverage",
            "Part of the champion's requests whose labels came",
            labels=("namespace", "deployment", "model"),
        )
        # A copy, made in one step: this runs in a thread of its own while deployments come and go.
        for key, gauges in dict(self._sources.gauges()).items():
            decision.add_metric((key.namespace, key.name), gauges.sequence)
            for model, percent in gauges.weights.items():
                weight.add_metric((key.namespace, key.name, model), percent)
            for (model, check), value in gauges.log_e.items():
                evidence.add_metric((key.namespace, key.name, model, check), value)
            for (model, figure), value in gauges.errors.items():
                error.add_metric((key.namespace, key.name, model, figure), value)
            for model, value in gauges.label_coverage.items():
                coverage.add_metric((key.namespace, key.name, model), value)
            for model, seconds in gauges.remaining.items():
                remaining.add_metric((key.namespace, key.name, model), seconds)
        told = (weight, evidence, remaining, decision, error, coverage)
        return (depth, writes, leader, transitions, dropped, *told)


class OperatorMetrics:
    """A registry of its own, so that tests can have several."""

    def __init__(
        self,
        *,
        gauges: AllGauges,
        depth: Callable[[], int],
        writes: Callable[[], int],
        leads: Callable[[], bool],
        transitions: Callable[[], int],
        dropped: Callable[[], Mapping[str, int]],
    ) -> None:
        """Take where to read gauges, the queue's depth, the number of writes, the election and dropped samples from."""
        self.registry = CollectorRegistry()
        self.registry.register(_Deployments(_Sources(gauges, depth, writes, leads, transitions, dropped)))
        self._seconds = Histogram(
            "kingmaker_reconcile_duration_seconds",
            "Duration of one reconcile",
            ("kind",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
            registry=self.registry,
        )
        self._errors = Counter(
            "kingmaker_reconcile_errors", "Reconciles that failed", ("kind", "error"), registry=self.registry
        )

    def observe(self, key: Key, seconds: float, error: BaseException | None) -> None:
        """Count one run of the loop."""
        self._seconds.labels(key.kind).observe(seconds)
        if error is not None and not isinstance(error, ConflictError):
            self._errors.labels(key.kind, type(error).__name__).inc()
