"""One contest from its beginning to its end, by the product's own assessment of counts that grow."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.decisions.pods import Pod, digest_of
from kingmaker.api import Model, ModelDeployment
from kingmaker.cli.scenario import parse
from kingmaker.core.contest.assessment import ContestAssessment, assess_contests
from kingmaker.core.contest.evidence import wanted_counts
from kingmaker.core.contest.lifecycle import admit, advance_contests
from kingmaker.core.contest.record import Record, settle
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker.core.counts.seen_cells import CellDelta, CellsOf
from kingmaker.core.observed import Observed, ObservedVariant
from kingmaker.core.state import Champion, Share, StageRun, State, Succession

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CHAMPION, CHALLENGER = "a", "b"
_TIME: Final = "2026-01-01T00:00:00Z"
_READY: Final = [{"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": _TIME}]
_HALF: Final = ({"name": "half", "weight": 50, "minDuration": "0s", "minRequests": 1},)


def model(name: str, **spec: Any) -> Model:
    """Give a verified Model."""
    artifact = {"format": "ONNX", "uri": f"file:///{name}", "digest": digest_of(name)}
    return Model.parse(
        {
            "apiVersion": "kingmaker.dev/v1alpha1",
            "kind": "Model",
            "metadata": {"name": name, "namespace": "bench", "uid": name, "creationTimestamp": _TIME},
            "spec": {"family": "bench", "version": "1", "artifact": artifact, **spec},
            "status": {"conditions": _READY},
        }
    )


def deployment(
    *, stages: Iterable[dict[str, Any]] = _HALF, verdict: dict[str, Any] | None = None, **spec: Any
) -> ModelDeployment:
    """Give a ModelDeployment in which `b` challenges `a`.

    Args:
        stages: Of the contest; by default half of the requests, from the first on.
        verdict: Of the contest; a goal of Superior where it says nothing of a goal.
        spec: Its other blocks.
    """
    contest = {"stages": [*stages], "verdict": {"goal": "Superior", **(verdict or {})}, "deadline": "365d"}
    challengers = [{"name": "b", "modelRef": {"name": CHALLENGER}}]
    body = {
        "apiVersion": "kingmaker.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "bench", "namespace": "bench", "uid": "bench", "generation": 1},
        "spec": {"championRef": {"name": CHAMPION}, "challengers": challengers, "contest": contest, **spec},
    }
    # A setting that there is not would be measured as if it did something.
    return parse(body, Path("benchmark"))


@dataclass
class Trial:
    """A contest of `b` against `a`. `pods` may come and go; `ledger` is what the operator has in memory."""

    mdep: ModelDeployment
    models: dict[str, Model] = field(default_factory=lambda: {n: model(n) for n in (CHAMPION, CHALLENGER)})
    now: datetime = START
    state: State = field(init=False)
    ledger: Ledger = Ledger()
    pods: list[Pod] = field(default_factory=lambda: [Pod(n, n) for n in (CHAMPION, CHALLENGER)])
    records: list[Record] = field(default_factory=list)
    assessed: ContestAssessment = field(init=False)
    successions: tuple[Succession, ...] = ()
    """What earlier promotions left behind."""
    watched: CellsOf | None = None
    """Whose cells are wanted; `rows` has what came new of them at each look."""
    rows: list[CellDelta] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the challenger begin."""
        seat = Champion(CHAMPION, digest_of(CHAMPION), self.now, 1)
        share = Share(CHAMPION, 100)
        self.state = State(1, self.now, CHAMPION, seat, traffic=(share,), traffic_sequence=1)
        self.state = replace(self.state, successions=self.successions)
        self.look()

    @property
    def run(self) -> StageRun | None:
        """The split in force; None once the contest is over."""
        return self.state.contests[0].runs[-1] if self.state.contests else None

    def pod(self, name: str) -> Pod:
        """Give the first pod of a model."""
        return next(pod for pod in self.pods if pod.model == name)

    def look(self, after: timedelta = timedelta(minutes=10), *, missed: Iterable[Pod] = ()) -> Record | None:
        """Scrape all pods but the missed ones, and do what the assessment leads to; give the decision, if there is one.

        Args:
            after: Time since the last look.
            missed: Pods that did not answer.
        """
        self.now += after
        looks = [pod.look() for pod in self.pods if pod not in missed]
        uids = frozenset(pod.uid for pod in self.pods)
        wanted = wanted_counts(self.state)
        folded = fold(self.ledger, looks, pods=uids, wanted=wanted, watched=self.watched)
        self.ledger = folded.ledger
        if self.watched:
            self.rows.append(folded.cells)
        self.assessed = assess_contests(self._observed(), self.state, self.ledger.totals)
        record = next((r for step in (advance_contests, admit) if (r := step(self.assessed))), None)
        if record:
            self.records.append(record)
            contests = self.assessed
            self.state = settle(self.state, record, contests.policy, dict(contests.fixed), self.now)
        return record

    def _observed(self) -> Observed:
        pods = {name: ObservedVariant(name, 2, 2, ("10.0.0.1", "10.0.0.2"), "10.96.0.1") for name in self.models}
        return Observed(now=self.now, mdep=self.mdep, uid="bench", state=self.state, models=self.models, variants=pods)


Feed = Callable[[Trial, int], None]
"""Lets the pods of a trial count what came between two looks, given the look's number from 0."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended: `action` is Promote, Rollback, Pause…, or empty; `looks` how many it took."""

    action: str
    reason: str
    looks: int
    trial: Trial


def play(trial: Trial, feed: Feed, looks: int) -> Outcome:
    """Feed and look in turns until the contest is over or paused, or often enough."""
    for number in range(looks):
        feed(trial, number)
        record = trial.look()
        if record and (trial.run is None or str(record.action) == "Pause"):
            return Outcome(str(record.action), str(record.reason), number + 1, trial)
    return Outcome("", "", looks, trial)


def feed_on(trial: Trial, feed: Feed, look: int) -> None:
    """Let arms go on as they were split last, though the contest is over."""
    if trial.run is None:
        ended = Trial(trial.mdep)
        ended.pods = trial.pods
        feed(ended, look)
    else:
        feed(trial, look)
