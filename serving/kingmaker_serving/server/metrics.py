"""`/metrics` for a Prometheus: the few series that dashboards and alerts need, read from the same counters."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from kingmaker_serving.counts.profile import EDGE_NAMES, Profile
from kingmaker_serving.counts.series import Series
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.server.state import State

_WHO: Final = ["model", "model_version"]


class ServingCollector(Collector):
    """Reads a server's counters when it is scraped; counting itself knows nothing of Prometheus."""

    def __init__(self, state: State) -> None:
        """Take the server; before it is ready there is nothing to tell."""
        self._state = state

    @override
    def collect(self) -> Iterator[Metric]:
        """Give the series, those of one name together."""
        families: dict[str, Metric] = {}
        for model in self._state.registry:
            for family in self._of(model):
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples += family.samples
        yield from families.values()

    def _of(self, model: ServedModel) -> Iterator[Metric]:
        shadow = self._state.shadow
        who = [model.settings.name, model.settings.version]
        profile, runner = model.settled(), model.runner
        yield _counter("requests", "Infer requests", profile.requests, who, "outcome")
        yield _latency(profile, who)
        yield from _predictions(profile, who)
        yield _labels(profile, who[0])
        yield _counter("feedback_unmatched", "Labels for no known request", profile.labels.unmatched, who)
        yield _counter("feedback_repeated", "Labels for a request that had some", profile.labels.repeated, who)
        yield _counter("shadow_pairs", "Rows that a challenger answered", profile.pairs, who, "challenger", "result")
        yield _counter("shadow_failures", "Copies without a pair", profile.failures, who, "challenger", "side")
        yield _counter("shadow_slower", "Batches with one side slower", profile.slower, who, "challenger", "side")
        for name, text, value in (
            ("requests_in_flight", "Requests in work or waiting", runner.taken),
            ("queue_waiting", "Requests waiting for a worker", runner.waiting),
            ("queue_places", "Requests that may be in work or waiting", runner.places),
            ("runs_inline", "Whether short runs take place on the event loop: 1, or 0 for threads", runner.is_quick),
            ("batch_rows_maximum", "Rows of several requests that may run together", runner.max_rows),
            ("shadow_queue_waiting", "Copies waiting to be sent", shadow.depth if shadow else 0),
        ):
            gauge = GaugeMetricFamily(f"kingmaker_{name}", text, labels=_WHO)
            gauge.add_metric(who, value)
            yield gauge
        for name, text, value in (
            ("queue_refused", "Requests refused for a full queue", runner.refused),
            ("batches", "Runs of the model", runner.batches),
            ("batched_requests", "Requests in these runs", runner.batched),
        ):
            counter = CounterMetricFamily(f"kingmaker_{name}", text, labels=_WHO)
            counter.add_metric(who, value)
            yield counter


class Metrics:
    """The registry of one server."""

    def __init__(self, state: State) -> None:
        """Register the server's series and the process's own."""
        self._registry = CollectorRegistry()
        self._registry.register(ServingCollector(state))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self) -> bytes:
        """Write the exposition."""
        return generate_latest(self._registry)


def _counter(name: str, text: str, series: Series, who: list[str], *labels: str) -> CounterMetricFamily:
    """Sum a series over the labels that are not named: decisions are for the operator."""
    family = CounterMetricFamily(f"kingmaker_{name}", text, labels=[*_WHO, *labels])
    places = [series.labels.index(label) for label in labels]
    sums: dict[tuple[str, ...], int] = {}
    for key, count in series.counts.items():
        kept = tuple(key[place] for place in places)
        sums[kept] = sums.get(kept, 0) + count
    for kept, count in sums.items():
        family.add_metric([*who, *kept], count)
    return family


def _labels(profile: Profile, name: str) -> CounterMetricFamily:
    """Give labelled rows by the model that predicted them, which need not be the one here."""
    family = CounterMetricFamily("kingmaker_feedback", "Rows judged by labels", labels=[*_WHO, "outcome"])
    sums: dict[tuple[str, str], int] = {}
    for (model, _, _, outcome), count in profile.labels.rows.counts.items():
        sums[model, outcome] = sums.get((model, outcome), 0) + count
    for key, count in sums.items():
        family.add_metric([name, *key], count)
    return family


def _latency(profile: Profile, who: list[str]) -> HistogramMetricFamily:
    cells = [profile.latency.sum(le=name) for name in EDGE_NAMES]
    family = HistogramMetricFamily("kingmaker_request_duration_seconds", "Time to answer infer requests", labels=_WHO)
    buckets = list(zip(EDGE_NAMES, accumulate(cells), strict=True))
    family.add_metric(who, buckets=buckets, sum_value=profile.seconds)
    return family


def _predictions(profile: Profile, who: list[str]) -> Iterator[Metric]:
    if profile.answers is None:
        return
    family = CounterMetricFamily("kingmaker_predictions", "Answers by cell of the baseline", labels=[*_WHO, "cell"])
    # Prediction comes first of the two, and a score alone is no prediction.
    columns = profile.answers.columns
    if columns and profile.has_prediction:
        for cell, count in zip(columns[0].cells, profile.answers.of(0).tolist(), strict=True):
            family.add_metric([*who, cell.name], count)
        yield family
