"""What the newest record keeps: it must fit into a Decision, whatever happened before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kingmaker.api.decision import OUTCOME_MAX_LENGTH
from kingmaker.api.retraining import MOST_RUNS
from kingmaker.core.contest.record import FIXED_STAGE
from kingmaker.core.state import (
    REJECTED_LIMIT,
    STAGE_RUNS_LIMIT,
    Champion,
    Contest,
    Judged,
    Run,
    Share,
    StageRun,
    State,
    dump_state,
    load_state,
)
from support.world import World, a_model, a_spec, digest

NOW = datetime(2026, 1, 1, 12, 30, 59, 123456, tzinfo=UTC)
FIXED = 8
"""Declared challengers with a split of their own, at most; beside them one walks through the stages."""


def long(letter: str) -> str:
    return letter * 63


def the_largest_state() -> State:
    stretch = StageRun(long("s"), 999_999_999, NOW, 50, 50, 100)
    seat = Champion(long("m"), digest("a"), NOW, 999_999_999, NOW, 50, (stretch,) * STAGE_RUNS_LIMIT)
    staged = Contest(long("e"), long("m"), digest("b"), NOW, (stretch,) * STAGE_RUNS_LIMIT, paused=True)
    fixed = replace(staged, fixed=True, runs=(replace(stretch, stage=FIXED_STAGE),) * STAGE_RUNS_LIMIT)
    run = Run(9_999, 999_999_999, NOW, "DataQualityBroken", outcome="Promoted")
    opened = replace(run, outcome="", features=("f" * 256,) * 20, window="168h", parent=long("m"))
    return State(
        sequence=999_999_999,
        at=NOW,
        observed_champion_ref=long("m"),
        champion=seat,
        previous=seat,
        contests=(staged, *[fixed] * FIXED),
        traffic=(Share(long("m"), 50, 100),) * (FIXED + 2),
        traffic_sequence=999_999_999,
        affinity="x" * 128,
        draw=999_999_999,
        judged=(Judged(long("m"), digest("c"), "DisagreementAboveMaximum"),) * REJECTED_LIMIT,
        runs=(run,) * (MOST_RUNS - 1) + (opened,),
        lost_runs=1_000_000,
        skipped="DataQualityBroken",
        skipped_at=NOW,
    )


def test_the_largest_state_fits_into_a_decision() -> None:
    assert len(dump_state(the_largest_state())) < OUTCOME_MAX_LENGTH


def test_a_state_is_read_back_as_it_was() -> None:
    assert load_state(dump_state(the_largest_state())) == the_largest_state()


def test_a_contest_that_goes_on_for_ever_does_not_outgrow_its_record() -> None:
    fixed = {"name": "try", "modelRef": {"name": "b"}, "shadowPercent": 50}
    other = {"name": "hotfix", "modelRef": {"name": "c"}, "weight": 10}
    models = {name: a_model(name, name) for name in "abc"}
    world = World(spec=a_spec(challengers=[fixed, other]), models=models).settle()
    for weight in range(11, 11 + STAGE_RUNS_LIMIT + 5):
        world.edit(challengers=[fixed, other | {"weight": weight}]).settle()
        world.now += timedelta(seconds=1)
    (contest,) = (c for c in world.state.contests if c.model == "b")
    assert len(contest.runs) == STAGE_RUNS_LIMIT
    assert contest.runs[-1].decision == world.state.sequence
