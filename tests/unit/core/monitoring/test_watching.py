"""One look at the champion's data after the other: what is said of it, and what is remembered."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from kingmaker.api import ConditionStatus, DriftState, Model, ModelDeployment, Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.counts.seen_cells import CellDelta
from kingmaker.core.monitoring.evaluate import watch_data, watched_cells
from kingmaker.core.observed import Observed, ObservedVariant
from kingmaker.core.state import Champion, State
from support.references import START, Floats, a_baseline, count_rows
from support.world import a_model, a_spec, digest

RANDOM = np.random.default_rng(7)
REFERENCE = digest("b")
BASELINE = a_baseline(RANDOM.normal(loc=10, size=(2_000, 3)), digest=REFERENCE)
SECOND = timedelta(seconds=1)
CHAMPION = State(champion=Champion("a", digest("a"), START))


def some_rows(shift: float = 0) -> Floats:
    return RANDOM.normal(loc=10 + shift, size=(200, 3))


def cells(rows: Floats) -> CellCounts:
    return count_rows(BASELINE, rows)


def a_reference(name: str) -> dict[str, Any]:
    return {"uri": f"file:///m/{name}.json", "digest": REFERENCE}


@dataclass
class Onlooker:
    """Looks every second at two ready pods of the champion."""

    models: dict[str, Model] = field(
        default_factory=lambda: {n: a_model(n, n, baseline=a_reference(n)) for n in ("a", "c")}
    )
    baselines: dict[str, Baseline] = field(default_factory=lambda: {REFERENCE: BASELINE})
    state: State = CHAMPION
    answering: int = 2
    now = START
    watch = DataMonitor()

    def look(self, counted: CellCounts | None = None, *, gap: bool = False) -> DataMonitor:
        self.now += SECOND
        self.watch = watch_data(self._observed(), self.state, self.watch, CellDelta(counted, gap))
        return self.watch

    def look_for(self, seconds: int, *, shift: float = 0) -> DataMonitor:
        for _ in range(seconds):
            self.look(cells(some_rows(shift)))
        return self.watch

    def _observed(self) -> Observed:
        drift = {"windows": ["9s"], "minRows": 50, "season": "None", "falseAlarmInterval": "1d"}
        body = {"kind": "ModelDeployment", "metadata": {"name": "churn"}, "spec": a_spec(monitoring={"drift": drift})}
        champion = self.state.champion.name if self.state.champion else "a"
        profiles = (
            ProcessCounts(f"pod-{i}", champion, digest(champion), REFERENCE, "1") for i in range(self.answering)
        )
        return Observed(
            now=self.now,
            mdep=ModelDeployment.parse(body),
            uid="uid-churn",
            models=self.models,
            variants={champion: ObservedVariant(champion, desired=2, ready=2)},
            profiles=tuple(profiles),
            baselines=self.baselines,
        )


def history(watch: DataMonitor) -> tuple[bool, ...]:
    return next((evidence.history for evidence in watch.evidence), ())


def test_without_a_champion_nothing_is_watched() -> None:
    watch = Onlooker(state=State()).look()
    assert (watch.drift_reason, watch.quality_reason) == (Reason.CHAMPION_UNAVAILABLE,) * 2
    assert watch.drift_status is ConditionStatus.UNKNOWN
    assert "no model holds the seat" in watch.drift_message


def test_a_model_without_baseline_is_told_how_to_get_one() -> None:
    watch = Onlooker(models={"a": a_model("a", "a")}).look()
    assert watch.drift_reason is Reason.NO_BASELINE
    assert "package it with one" in watch.quality_message


def test_a_baseline_that_no_pod_gave_yet_is_waited_for() -> None:
    watch = Onlooker(baselines={}).look()
    assert watch.drift_reason is Reason.CHAMPION_UNAVAILABLE
    assert "could not be read from its pods yet" in watch.drift_message


def test_before_a_window_is_full_nothing_is_said() -> None:
    watch = Onlooker().look_for(5)
    assert (watch.state, watch.drift_reason) == (DriftState.UNKNOWN, Reason.TOO_FEW_ROWS)
    assert (watch.quality_status, history(watch)) == (ConditionStatus.UNKNOWN, ())


def test_sound_data_is_neither_drift_nor_broken() -> None:
    watch = Onlooker().look_for(30)
    assert (watch.state, watch.drift_reason) == (DriftState.NONE, Reason.NO_DRIFT)
    assert (watch.quality_status, watch.quality_reason) == (ConditionStatus.FALSE, Reason.DATA_QUALITY_GOOD)
    assert watch.features == watch.broken == ()
    assert history(watch)
    assert not any(history(watch))


def test_outputs_without_a_fair_reference_are_said_not_to_be_judged() -> None:
    score = replace(BASELINE.features[0], name="score")
    onlooker = Onlooker(baselines={REFERENCE: replace(BASELINE, features=BASELINE.features[1:], score=score)})
    for _ in range(30):
        rows = some_rows()
        columns = cells(rows).columns
        onlooker.look(CellCounts.of((columns[1], columns[2], columns[0])))
    assert onlooker.watch.state is DriftState.NONE
    assert onlooker.watch.drift_message.endswith(
        "; score not judged: the reference is of rows that the model was fitted on"
    )


def test_a_shift_is_drift_of_named_features_since_it_was_seen() -> None:
    onlooker = Onlooker()
    onlooker.look_for(20)
    began = onlooker.now
    watch = onlooker.look_for(20, shift=1.5)
    assert (watch.state, watch.drift_status) == (DriftState.DRIFT, ConditionStatus.TRUE)
    assert sorted(watch.features) == ["f0", "f1", "f2"]
    assert watch.drift_message.startswith("above the tolerance: f")
    assert "f0 shifted up" in watch.drift_message
    assert watch.window == "9s"
    assert watch.since is not None
    assert began < watch.since < onlooker.now
    assert history(watch)[-1] is True
    assert onlooker.look_for(3, shift=1.5).since == watch.since, "it did not begin anew"


def test_a_broken_unit_is_named_and_is_no_drift_to_train_for() -> None:
    onlooker = Onlooker()
    onlooker.look_for(20)
    for _ in range(20):
        rows = some_rows()
        rows[:, 1] *= 1000
        onlooker.look(cells(rows))
    watch = onlooker.watch
    assert (watch.quality_status, watch.quality_reason) == (ConditionStatus.TRUE, Reason.DATA_QUALITY_ABOVE_MAXIMUM)
    assert watch.broken == ("f1",)
    assert (
        watch.quality_message
        == "f1 above the reference's range: ask who sends them what changed; retraining waits until it is mended"
    )
    assert not any(history(watch))


def test_pods_that_do_not_answer_leave_a_hole_in_what_is_known() -> None:
    onlooker = Onlooker()
    onlooker.look_for(20)
    onlooker.answering = 1
    assert onlooker.look_for(20, shift=1.5).state is DriftState.UNKNOWN


def test_between_two_slots_nothing_is_judged_anew() -> None:
    onlooker = Onlooker()
    onlooker.look_for(30)
    looks = [onlooker.look_for(1) for _ in range(9)]
    evaluated = sorted({watch.evaluated_at for watch in looks if watch.evaluated_at})
    assert [later - earlier for earlier, later in pairwise(evaluated)] == [3 * SECOND] * (len(evaluated) - 1)
    assert len(evaluated) in (3, 4), "slots of three seconds end three times in nine"
    assert all(watch.windows for watch in looks)


def test_a_new_champion_is_watched_afresh() -> None:
    onlooker = Onlooker()
    onlooker.look_for(40, shift=1.5)
    assert onlooker.watch.state is DriftState.DRIFT
    onlooker.state = State(champion=Champion("c", digest("c"), onlooker.now))
    watch = onlooker.look(cells(some_rows()))
    assert (watch.state, watch.features, history(watch)) == (DriftState.UNKNOWN, (), ())
    assert watch.drift_reason is Reason.TOO_FEW_ROWS


def test_a_look_that_lacks_counts_covers_no_time() -> None:
    onlooker = Onlooker()
    onlooker.look_for(20)
    for _ in range(20):
        onlooker.look(cells(some_rows(1.5)), gap=True)
    assert onlooker.watch.state is DriftState.UNKNOWN


def test_the_champions_cells_are_watched_once_its_baseline_is_known() -> None:
    known = watched_cells(Onlooker()._observed(), CHAMPION)
    assert known is not None
    assert (known.model, known.baseline) == (digest("a"), BASELINE)
    assert watched_cells(Onlooker(baselines={})._observed(), CHAMPION) is None
    assert watched_cells(Onlooker()._observed(), State()) is None
