"""What looks at buckets say of a contest in which entities keep their model."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from kingmaker.core.contest.entities import (
    Entities,
    entity_log_e,
    entity_rates,
    label_share_log_e,
    request_share_log_e,
    units_seen,
    units_words,
)
from kingmaker.core.counts.buckets import BUCKETS, EIGHTHS, LABELLED, Buckets, bounded, latency_name
from kingmaker.core.counts.looks import Look, Looks
from kingmaker.core.state import StageRun
from kingmaker.core.statistics.units import PLANNED_LOOKS, log_e_units_harm, log_e_units_superior

BROKEN = math.log(1000)
PLACES = np.arange(BUCKETS) % 100


def read(buckets: Buckets) -> tuple[np.ndarray, np.ndarray]:
    return buckets.labelled, buckets.wrong


def an_arm(places: np.ndarray, requests: np.ndarray, *, labelled: float = 1.0, wrong: float = 0.1) -> Looks:
    """Counts of an arm that owns some places, at its third look."""
    mine = np.where(places, requests, 0).astype(np.int64)
    with_label = np.round(mine * labelled).astype(np.int64)
    counts = {latency_name(3): mine, LABELLED: with_label, EIGHTHS: np.round(8 * with_label * wrong).astype(np.int64)}
    look = Look(3, bounded(counts))
    return Looks(look, look)


def a_run(weight: int = 50) -> StageRun:
    return StageRun("half", 7, datetime(2026, 11, 1, tzinfo=UTC), weight, 100 - weight)


def contest(
    weight: int = 50,
    *,
    sent: int | None = None,
    rates: tuple[float, float] = (0.1, 0.1),
    labels: tuple[float, float] = (1, 1),
) -> Entities:
    """A contest by design `weight`, in which `sent` percent of the places are the challenger's."""
    requests = np.random.default_rng(1).poisson(100, BUCKETS)
    challengers = (weight if sent is None else sent) > PLACES
    return Entities(
        a_run(weight),
        an_arm(~challengers, requests, labelled=labels[0], wrong=rates[0]),
        an_arm(challengers, requests, labelled=labels[1], wrong=rates[1]),
    )


def test_better_and_worse_challengers_are_told_apart_by_their_buckets() -> None:
    better, worse = contest(rates=(0.2, 0.1)), contest(rates=(0.1, 0.2))
    assert entity_log_e([better], "labels", read, read, log_e_units_superior) > math.log(100)
    assert entity_log_e([worse], "labels", read, read, log_e_units_harm) > math.log(100)
    assert entity_log_e([worse], "labels", read, read, log_e_units_superior) < 0
    assert entity_rates([worse], "labels", read) == (pytest.approx(0.2, abs=0.01), pytest.approx(0.1, abs=0.01))


def test_every_look_costs_its_part_of_the_budget_before_anything_is_seen() -> None:
    alike = contest()
    assert entity_log_e([alike], "labels", read, read, lambda _: 0.0) == pytest.approx(
        math.log(0.75) - math.log(PLANNED_LOOKS + 1)
    )
    assert entity_log_e([], "labels", read, read, lambda _: 9.0) == 0
    assert entity_log_e([Entities(a_run())], "labels", read, read, lambda _: 9.0) == 0


def test_runs_of_a_stage_that_share_their_draw_are_averaged_by_weights_known_before() -> None:
    runs = [replace(contest(rates=(0.2, 0.1)), order=order) for order in (1, 2, 3)]
    each = [entity_log_e([run], "labels", read, read, log_e_units_superior) for run in runs]
    assert [each[0] - e for e in each] == pytest.approx([0, math.log(6), math.log(18)])
    assert entity_log_e(runs, "labels", read, read, log_e_units_superior) == pytest.approx(np.logaddexp.reduce(each))
    assert sum(math.exp(replace(runs[0], order=n).log_budget) for n in range(1, 5000)) == pytest.approx(1, abs=1e-3)


def test_what_the_units_are_is_said() -> None:
    assert units_seen([contest(5)], "labels", read)[:2] == (10, 190)
    assert units_words([contest(5)], "labels", read) == (
        "by entity: 10 groups of entities against 190, the smaller side worth 10 equal ones"
    )


def test_sound_shares_are_no_evidence() -> None:
    for weight in (5, 50, 95):
        assert request_share_log_e(contest(weight)) < math.log(20)
        assert label_share_log_e(contest(weight, labels=(0.4, 0.4))) < math.log(20)
    assert request_share_log_e(Entities(a_run())) == 0


def test_a_router_that_sends_four_times_as_much_is_found_at_once() -> None:
    assert request_share_log_e(contest(5, sent=20)) >= BROKEN


def test_buckets_in_both_arms_are_found_at_once() -> None:
    split = contest()
    both = an_arm(PLACES < 100, np.full(BUCKETS, 50))
    assert request_share_log_e(Entities(split.run, both, both)) >= BROKEN


def test_a_single_request_out_of_place_breaks_nothing() -> None:
    sound, (theirs, mine) = contest(rates=(0.2, 0.1)), (np.where(PLACES < 50, 0, 100), np.where(PLACES < 50, 100, 0))
    theirs[3] = 1
    odd = Entities(sound.run, an_arm(theirs > 0, theirs, wrong=0.2), an_arm(mine > 0, mine))
    assert odd.misplaced("requests") == pytest.approx(1 / (theirs.sum() + mine.sum()))
    assert request_share_log_e(odd) < math.log(20)
    assert entity_log_e([odd], "labels", read, read, log_e_units_superior) > math.log(100)


def test_labels_that_one_arm_lost_are_found() -> None:
    assert label_share_log_e(contest(labels=(0.0, 0.9))) >= BROKEN
    assert label_share_log_e(contest(5, labels=(0.0, 0.9))) >= BROKEN
    assert label_share_log_e(contest(labels=(0.45, 0.5))) > label_share_log_e(contest(labels=(0.5, 0.5)))


def test_a_tenant_that_is_most_of_the_traffic_is_no_broken_share() -> None:
    requests = np.full(BUCKETS, 10)
    requests[3] = 5_000
    challengers = PLACES < 50
    run = Entities(a_run(), an_arm(~challengers, requests), an_arm(challengers, requests))
    assert request_share_log_e(run) < math.log(20)
