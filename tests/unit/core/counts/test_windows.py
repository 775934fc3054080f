"""Sliding windows of cell counts: exact sums, slots, coverage, storage."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.windows import CellCounts, Windows, advance, mark_broken, window_counts
from support.references import START

SECOND = timedelta(seconds=1)
NINE = timedelta(seconds=9)
DAY = timedelta(days=1)


def a_feature(name: str) -> Feature:
    return Feature(name, Kind.CATEGORICAL, (Cell("c0", 5), Cell("c1", 4), Cell("missing", 1, rare=True)))


BASELINE = Baseline("sha256:b", 10, (a_feature('a "quoted"\\name'), a_feature("b")), prediction=a_feature("prediction"))


def rows(*column: int) -> CellCounts:
    return CellCounts.of((column, column, column))


def fresh(*scales: timedelta) -> Windows:
    return Windows.for_baseline(None, model="m", baseline=BASELINE, scales=scales or (NINE,), now=START)


def test_a_window_is_its_last_three_complete_slots() -> None:
    windows = fresh()
    for second in range(1, 16):
        windows = advance(windows, now=START + second * SECOND, delta=rows(1, 0, 0), complete=True)
    found = window_counts(windows, NINE, START + 15 * SECOND)
    # Looks at seconds 6 to 14 fell into the slots [6, 9), [9, 12), [12, 15).
    assert (found.rows, found.coverage, found.filled, found.until) == (9, 1.0, True, START + 15 * SECOND)
    running = window_counts(windows, NINE, START + 15 * SECOND, running=True)
    assert (running.rows, running.filled) == (7, True)
    newest = window_counts(windows, NINE, START + 15 * SECOND, running=True, span=1)
    assert (newest.rows, newest.coverage) == (1, 0.0)


def test_a_window_is_filled_only_when_counting_began_before_it() -> None:
    windows = advance(fresh(NINE, DAY), now=START + 10 * SECOND, delta=rows(1, 2, 0), complete=True)
    assert window_counts(windows, NINE, START + 10 * SECOND).filled
    assert not window_counts(windows, DAY, START + 10 * SECOND).filled


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_slot_ends_before_the_moment_that_is_said_and_one_does_then(phase: int, milliseconds: int) -> None:
    windows = replace(fresh(NINE, DAY), phase=phase)
    now = START + timedelta(milliseconds=milliseconds)
    end = windows.next_end(now)
    assert not windows.slot_ended(now, end - timedelta(milliseconds=1))
    assert windows.slot_ended(now, end)


def test_missing_scrapes_lower_the_coverage() -> None:
    windows = fresh()
    for second in range(1, 13):
        windows = advance(windows, now=START + second * SECOND, delta=rows(1, 0, 0), complete=second not in {4, 5, 6})
    assert window_counts(windows, NINE, START + 12 * SECOND).coverage == pytest.approx(6 / 9)


def test_a_short_time_between_looks_is_covered_by_the_look_after_it() -> None:
    """Over the end of a slot, too; a longer one within a slot."""
    windows = fresh()
    for time in (2.9, 3.5, 5.9, 7.2, 8.9, 9.1):
        windows = advance(windows, now=START + time * SECOND, delta=rows(1, 0, 0), complete=True)
    found = window_counts(windows, NINE, START + 9.1 * SECOND)
    assert (found.coverage, found.rows) == (1, 5)
    windows = advance(windows, now=START + 12 * SECOND, delta=rows(1, 0, 0), complete=False)
    assert window_counts(windows, NINE, START + 12 * SECOND).coverage == pytest.approx(6.1 / 9)


def test_what_was_counted_while_nobody_looked_is_a_gap() -> None:
    """Twelve hours without an operator: nobody knows in which of them the rows came."""
    windows = Windows.for_baseline(None, model="m", baseline=BASELINE, scales=(HOUR, 24 * HOUR, 168 * HOUR), now=START)
    now = START
    while now < START + 200 * HOUR:
        now += timedelta(minutes=10) if now < START + 180 * HOUR or now >= START + 192 * HOUR else 12 * HOUR
        windows = advance(windows, now=now, delta=rows(1, 0, 0), complete=True)
        if now == START + 192 * HOUR:
            assert window_counts(windows, HOUR, now).coverage == 0
    hour, day, week = (window_counts(windows, length, now) for length in (HOUR, 24 * HOUR, 168 * HOUR))
    assert (hour.rows, hour.coverage) == (6, 1.0)
    # The day before the last whole slot, less the slots [176, 184) and [184, 192) from 180 on: four and eight hours.
    assert (day.until, day.rows) == (START + 200 * HOUR, 4 * 6 + 8 * 6)
    assert day.coverage == pytest.approx(12 / 24)
    # It lies within one slot of the week's, where all of it is known.
    assert week.coverage == 1


HOUR = timedelta(hours=1)


@given(st.integers(0, 2**32))
def test_a_phase_moves_the_ends_of_slots_and_nothing_else(phase: int) -> None:
    windows = Windows.for_baseline(None, model="m", baseline=BASELINE, scales=(NINE,), now=START, phase=phase)
    assert windows.began == START
    for second in range(1, 31):
        windows = advance(windows, now=START + second * SECOND, delta=rows(1, 0, 0), complete=True)
    found = window_counts(windows, NINE, START + 30 * SECOND)
    assert (found.coverage, found.filled) == (1.0, True)
    assert found.rows in (8, 9, 10), "a window holds its length"
    late = (START + 30 * SECOND - found.until) / SECOND
    assert 0 <= late < 3
    assert windows.clock(found.until) % 3000 == 0


def test_old_rows_leave_the_window() -> None:
    windows = advance(fresh(), now=START + SECOND, delta=rows(5, 5, 5), complete=True)
    windows = advance(windows, now=START + 60 * SECOND, delta=rows(1, 0, 0), complete=True)
    assert window_counts(windows, NINE, START + 60 * SECOND).rows == 0
    assert len(windows.scales[0].slots) <= 4


def test_a_clock_that_goes_back_stands_still() -> None:
    windows = advance(fresh(), now=START + 2.5 * SECOND, delta=rows(1, 0, 0), complete=True)
    windows = advance(windows, now=START + 3.5 * SECOND, delta=rows(0, 0, 0), complete=True)
    back = advance(windows, now=START + 2 * SECOND, delta=rows(1, 0, 0), complete=True)
    assert back.last == windows.last
    assert window_counts(back, NINE, START, running=True).rows == 2


def test_an_unknown_length_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"only of 0:00:09"):
        window_counts(fresh(), DAY, START)


def test_windows_go_on_for_the_same_model_and_baseline_only() -> None:
    windows = advance(fresh(), now=START + SECOND, delta=rows(5, 5, 5), complete=True)

    def again(**changes: object) -> Windows:
        arguments = {"model": "m", "baseline": BASELINE, "scales": (NINE,), "now": START + 2 * SECOND} | changes
        return Windows.for_baseline(windows, **arguments)

    assert again() == windows
    assert again(model="other").scales[0].slots == ()
    assert again(baseline=replace(BASELINE, digest="other")).scales[0].slots == ()
    # The same digest with other cells can only be a damaged store.
    assert again(baseline=replace(BASELINE, features=BASELINE.features[:1])).scales[0].slots == ()
    longer = again(scales=(NINE, DAY))
    assert longer.scales[0] == windows.scales[0]
    assert longer.scales[1].since == windows.last


def test_broken_features_are_remembered_as_long_as_a_window_reaches_back() -> None:
    windows = mark_broken(fresh(), ["b"], now=START + 4 * SECOND)
    later = START + 4 * SECOND
    windows = advance(windows, now=later, delta=rows(1, 0, 0), complete=True)
    assert window_counts(windows, NINE, START + 12 * SECOND).broken == {"b"}
    assert window_counts(windows, NINE, START + 15 * SECOND).broken == frozenset()
    assert mark_broken(windows, [], now=START + 60 * SECOND).broken == ()


moves = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 9), st.booleans()), min_size=1, max_size=40)


@given(moves)
def test_no_row_is_lost_or_counted_twice(looks: list[tuple[int, int, bool]]) -> None:
    windows, now, seen = fresh(), START, []
    for milliseconds, count, complete in looks:
        now += milliseconds * timedelta(milliseconds=1)
        windows = advance(windows, now=now, delta=rows(count, 1, 0), complete=complete)
        seen.append((now, count + 1))
    found = window_counts(windows, NINE, now)
    start = found.until - NINE
    assert found.rows == sum(count for time, count in seen if start <= time < found.until)
    assert 0 <= found.coverage <= 1


@given(st.integers(0, 2999), st.integers(0, 2999), st.integers(0, 50), st.integers(0, 50))
def test_two_steps_within_a_slot_are_one(first: int, second: int, one: int, other: int) -> None:
    times = [START + m * timedelta(milliseconds=1) for m in sorted((first, second))]
    stepwise = advance(fresh(), now=times[0], delta=rows(one, 0, 0), complete=True)
    stepwise = advance(stepwise, now=times[1], delta=rows(other, 0, 0), complete=True)
    assert stepwise == advance(fresh(), now=times[1], delta=rows(one + other, 0, 0), complete=True)


def test_counts_add_and_subtract() -> None:
    assert rows(1, 2, 3) + rows(4, 5, 6) - rows(1, 2, 3) == rows(4, 5, 6)
    assert CellCounts.empty(BASELINE) == rows(0, 0, 0)
    assert CellCounts.of(()).rows == 0


def test_three_windows_of_fifty_features_fit_into_a_configmap_and_survive_it() -> None:
    random = np.random.default_rng(1)
    feature = Feature("f", Kind.CATEGORICAL, tuple(Cell(str(i), 100) for i in range(12)))
    baseline = Baseline("sha256:" + "b" * 64, 1200, tuple(replace(feature, name=f"f{i}") for i in range(50)))
    scales = (timedelta(hours=1), DAY, 7 * DAY)
    windows = Windows.for_baseline(None, model="sha256:" + "m" * 64, baseline=baseline, scales=scales, now=START)
    for hour in range(24 * 9):
        delta = CellCounts.of(random.integers(0, 2_000_000, size=12).tolist() for _ in range(50))
        windows = advance(
            windows, now=START + timedelta(hours=hour / 3 if hour < 9 else hour), delta=delta, complete=True
        )
    codec = TypeAdapter(Windows)
    stored = codec.dump_json(windows)
    assert len(stored) < 35_000
    assert codec.validate_json(stored) == windows


@pytest.mark.parametrize("columns", [(), ((1, 2), (3,)), ((0, 2**53), (), (7,))])
def test_packed_counts_are_the_same_counts(columns: tuple[tuple[int, ...], ...]) -> None:
    counts = CellCounts.of(columns)
    assert CellCounts.unpack(counts.pack()) == counts


@pytest.mark.parametrize("text", ["", "AAAA", "no base 64", rows(1, 2, 3).pack()[:-8], "eJwDAAAAAAE="])
def test_what_is_no_packed_counts_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        CellCounts.unpack(text)


def test_columns_below_zero_are_no_counts() -> None:
    with pytest.raises(ValueError, match="below 0"):
        CellCounts.unpack(CellCounts.of(((-1, 2),)).pack())
