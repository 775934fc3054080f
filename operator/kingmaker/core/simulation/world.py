"""The surroundings of one deployment while its history is played: all that was asked for is there at once.

Pods are ready, routers acknowledge, Jobs of retraining end after a time that people assume, and what they made errs as
often as people assume. Everything else is decided by `decide`, pass after pass, as the operator does it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from kingmaker.api import Model, ModelDeployment
from kingmaker.core.counts.baseline import Baseline, Feature
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.decide import Rules, decide
from kingmaker.core.manifests.retraining import run_output_uri
from kingmaker.core.observed import Observed, ObservedJob, ObservedRouter, ObservedVariant
from kingmaker.core.plan import Create, Plan, RoutePlan
from kingmaker.core.simulation.history import History, Interval, ModelRecord, Rates
from kingmaker.core.simulation.servers import Server, Servers
from kingmaker.core.state import State

_MOST_PASSES: Final = 50
"""Decisions at one moment; more mean that two rules undo one another."""
_READY: Final = {"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": "1970-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What no history tells.

    `training_time` is how long a retraining takes; what it makes errs `retrained_error` times as often as its parent
    does at the same time, and has a baseline of the last `training_data` of rows. `seed` draws who gets which request.
    """

    training_time: timedelta = timedelta(hours=1)
    training_data: timedelta = timedelta(days=7)
    retrained_error: float = 0.8
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Moment:
    """What held at the end of an interval: for plots and tables of time."""

    at: datetime
    champion: str
    record: ModelRecord
    """What the champion did in the interval."""
    drift: str
    weights: Mapping[str, int]


@dataclass
class World:
    """One deployment, its models, and what the operator would have in memory."""

    mdep: ModelDeployment
    models: dict[str, Model]
    baselines: dict[str, Baseline]
    """By digest."""
    history: History
    rules: Rules
    assumed: Assumptions = Assumptions()
    state: State = State()
    ledger: Ledger = Ledger()
    records: list[Mapping[str, Any]] = field(default_factory=list)
    """Specs of the Decisions, oldest first."""
    moments: list[Moment] = field(default_factory=list)
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Begin where the history does."""
        first = self.history.intervals[0].until if self.history.intervals else None
        if first is None:
            message = "the history is empty: it needs one interval at least"
            raise ValueError(message)
        self.now = first - self.history.step
        self._servers = Servers(np.random.default_rng(self.assumed.seed))
        self._rates = {name: Rates.of(self.history, name) for name in self.history.models}
        self._parents: dict[str, str] = {}
        self._jobs: dict[str, tuple[ObservedJob, datetime, int]] = {}
        self._route: RoutePlan | None = None
        self._place = 0
        self._counted_as = {digest: digest for interval in self.history.intervals for digest in interval.cells}
        for name in self.models:
            self._serve(name)

    def play(self) -> Iterator[Moment]:
        """Play the history; give what holds after each interval."""
        self._settle(scraped=False)
        for place, interval in enumerate(self.history.intervals):
            self._place = place
            done = self._servers.answer(self.state, interval, self._record_of)
            self.now = interval.until
            self._settle(scraped=True)
            moment = self._moment(done)
            self.moments.append(moment)
            yield moment

    def _settle(self, *, scraped: bool) -> None:
        """Decide until there is nothing more to decide at this moment."""
        for _ in range(_MOST_PASSES):
            self._end_jobs()
            plan = decide(self._observed(scraped=scraped), self.rules)
            scraped = False
            self._carry_out(plan)
            created = any(isinstance(a, Create) and a.body["kind"] == "Model" for a in plan.actions)
            if plan.record is None and not created:
                return
        message = f"{self.now}: {_MOST_PASSES} decisions in a row, the last: {self.records[-1]['message']}"
        raise RuntimeError(message)

    def _carry_out(self, plan: Plan) -> None:
        if plan.record is not None:
            self.records.append(plan.record["spec"])
        self.state, self._route = plan.state, plan.route
        self.ledger = plan.ledger or self.ledger
        for action in plan.actions:
            if isinstance(action, Create) and action.body["kind"] == "Job":
                self._train(str(action.body["metadata"]["name"]))
            elif isinstance(action, Create) and action.body["kind"] == "Model":
                self._enrol(action.body)

    def _observed(self, *, scraped: bool) -> Observed:
        pods = {
            name: ObservedVariant(name, 1, 1, (f"10.0.0.{n % 250 + 1}",), "10.96.0.1")
            for n, name in enumerate(self.models)
        }
        weights = {b.model: b.weight for b in self._route.backends if b.weight} if self._route else {}
        decision = self._route.decision if self._route else None
        looks = tuple(server.look() for server in self._servers.by_model.values()) if scraped else ()
        return Observed(
            now=self.now,
            mdep=self.mdep,
            uid=self.mdep.metadata.uid,
            state=self.state,
            models=self.models,
            variants=pods,
            routers=(ObservedRouter("simulated", ready=True, decision=decision, weights=weights),),
            jobs={name: job for name, (job, _, _) in self._jobs.items()},
            ledger=self.ledger,
            profiles=looks,
            scraped=scraped,
            scraped_at=self.now,
            pod_uids=frozenset(f"simulated-{name}" for name in self.models),
            baselines=self.baselines,
            keys_made=self.now,
        )

    def _serve(self, name: str) -> None:
        """Start a model's server."""
        spec = self.models[name].spec
        baseline = spec.baseline.digest if spec.baseline else ""
        self._servers.by_model[name] = Server(name, spec.artifact.digest, baseline, self._counted_as.get(baseline, ""))

    def _record_of(self, model: str) -> ModelRecord | None:
        """Say what a model is known to do about now; a retrained one what is assumed of it."""
        if model in self._rates or model not in self._parents:
            rates = self._rates.get(model)
            return rates.at(self._place) if rates else None
        record = self._record_of(self._parents[model])
        return _improved(record, self.assumed.retrained_error) if record else None

    def _train(self, job: str) -> None:
        run = self.state.open_run
        if run is not None and job not in self._jobs:
            self._jobs[job] = (ObservedJob(job, f"uid-{job}"), self.now + self.assumed.training_time, run.number)

    def _end_jobs(self) -> None:
        for name, (job, ends, number) in self._jobs.items():
            if not job.is_finished and self.now >= ends:
                ended = replace(job, succeeded=True, message=self._result(number))
                self._jobs[name] = (ended, ends, number)

    def _result(self, number: int) -> str:
        """Write the termination message of a run: what it made has a baseline of the newest rows."""
        retraining = self.mdep.spec.retraining
        prefix = run_output_uri(self.mdep, retraining.output.uri_prefix, run=number) if retraining else ""
        digest = _digest(f"{self.mdep.metadata.name} run {number}")
        result: dict[str, Any] = {"artifact": {"uri": f"{prefix}model.onnx", "digest": digest}}
        baseline = self._newest_baseline(number)
        if baseline is not None:
            self.baselines[baseline.digest] = baseline
            result["baseline"] = {"uri": f"{prefix}baseline.json", "digest": baseline.digest}
        return json.dumps(result)

    def _newest_baseline(self, number: int) -> Baseline | None:
        champion = self.models.get(self.state.champion.name) if self.state.champion else None
        file = champion.spec.baseline if champion else None
        parent = self.baselines.get(file.digest) if file else None
        if parent is None:
            return None
        since, cells = self.now - self.assumed.training_data, self._counted_as.get(parent.digest, "")
        rows = [i.cells[cells] for i in self._until_now() if cells in i.cells and i.until > since]
        if not rows:
            return None
        made = _counted(parent, np.sum(rows, axis=0), _digest(f"baseline of run {number}"))
        self._counted_as[made.digest] = cells
        return made

    def _until_now(self) -> Iterator[Interval]:
        return (interval for interval in self.history.intervals if interval.until <= self.now)

    def _enrol(self, body: Mapping[str, Any]) -> None:
        name = body["metadata"]["name"]
        if name in self.models:
            return
        metadata = {**body["metadata"], "creationTimestamp": self.now.isoformat()}
        self.models[name] = Model.parse({**body, "metadata": metadata, "status": {"conditions": [_READY]}})
        self._parents[name] = self.state.champion.name if self.state.champion else ""
        self._serve(name)

    def _moment(self, done: Mapping[str, ModelRecord]) -> Moment:
        champion = self.state.champion.name if self.state.champion else ""
        weights = {share.model: share.weight for share in self.state.traffic}
        drift = str(self.ledger.watch.state)
        return Moment(self.now, champion, done.get(champion, ModelRecord()), drift, weights)


def _improved(record: ModelRecord, factor: float) -> ModelRecord:
    """Let a part of the wrong answers be right ones, or, with a factor above 1, the other way round."""
    wrong, right = record.wrong, record.labelled - record.wrong
    wanted = min(record.labelled, round(wrong * factor))
    keep_wrong = wanted / wrong if wrong else 0.0
    keep_right = (record.labelled - wanted) / right if right else 0.0
    labels = {
        cell: round(count * (keep_right if cell[0] == cell[1] else keep_wrong)) for cell, count in record.labels.items()
    }
    return replace(record, labels=labels)


def _counted(parent: Baseline, rows: np.ndarray, digest: str) -> Baseline:
    """Give a baseline its parent's cells with other counts, but for columns of which nothing was recorded."""
    counts = iter(rows.tolist())
    columns = [_column(column, [int(next(counts)) for _ in column.cells]) for column in parent.columns]
    features = tuple(columns[: len(parent.features)])
    outputs = iter(columns[len(parent.features) :])
    prediction = next(outputs) if parent.prediction else None
    score = next(outputs) if parent.score else None
    total = max((column.rows for column in features), default=1)
    return replace(parent, digest=digest, rows=total, features=features, prediction=prediction, score=score)


def _column(column: Feature, counts: list[int]) -> Feature:
    if not any(counts):
        return column
    cells = tuple(replace(cell, count=count) for cell, count in zip(column.cells, counts, strict=True))
    return replace(column, cells=cells)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
