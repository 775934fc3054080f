"""Times of reference rows, and what they tell: the season, and by how much counts vary from window to window."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kingmaker_serving.errors import VerbError
from kingmaker_serving.package.reference import Cut, cut_column
from kingmaker_serving.package.tables import objects
from kingmaker_serving.package.times import Timeline, halved, read_times

MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
HOUR = 3600.0


def cut(values: np.ndarray) -> Cut:
    return cut_column(values.astype(np.float32), datatype="FP32")


@pytest.mark.parametrize(
    "values",
    [
        [MONDAY, MONDAY + 1.5],
        np.array([MONDAY, MONDAY + 1.5]) * 1e3,
        (np.array([MONDAY, MONDAY + 1.5]) * 1e9).astype(np.int64),
        ["2026-11-23T00:00:00Z", "2026-11-23T01:00:01.5+01:00"],
        [str(MONDAY), str(MONDAY + 1.5)],
        np.array(["2026-11-23T00:00:00.0", "2026-11-23T00:00:01.5"], dtype="datetime64[ns]"),
        [datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None), datetime(2026, 11, 23, 0, 0, 1, 500_000, tzinfo=UTC)],
    ],
    ids=["s", "ms", "ns", "ISO 8601", "text of s", "datetime64", "datetime"],
)
def test_times_are_read_as_people_have_them(values: Any) -> None:
    if isinstance(values, list) and not isinstance(values[0], float):
        values = objects(values)
    assert read_times(values).tolist() == [MONDAY, MONDAY + 1.5]


def test_a_time_that_is_missing_is_left_out() -> None:
    seconds = read_times(objects(["2026-11-23T00:00:00Z", None, ""]))
    assert np.isnan(seconds).tolist() == [False, True, True]
    assert np.isnat(np.datetime64("NaT"))
    assert np.isnan(read_times(np.array(["NaT"], dtype="datetime64[s]"))).all()


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "12:00"])
def test_what_is_no_time_is_named_with_its_row(value: str) -> None:
    with pytest.raises(VerbError, match=rf"the time of row 1 is '{value}'; expected ISO 8601"):
        read_times(objects(["2026-11-23", value]))


def test_a_season_counts_rows_by_the_hour_of_the_day() -> None:
    hours = np.repeat(np.arange(48), 100)
    timeline = Timeline(MONDAY + hours * HOUR + 1)
    season = timeline.season(cut(hours % 24))
    assert season is not None
    assert season.sum() == 4800
    assert season.sum(axis=1).tolist() == [200] * 24
    assert (season[13] > 0).sum() == 1
    assert halved(season).sum(axis=1).tolist() == [400] * 12


@pytest.mark.parametrize("hours", [np.repeat(np.arange(24), 1000), np.repeat(np.arange(48), 10), np.zeros(9000)])
def test_without_two_days_or_enough_rows_there_is_no_season(hours: np.ndarray) -> None:
    assert Timeline(MONDAY + hours * HOUR).season(cut(hours)) is None


def test_independent_rows_are_not_dispersed() -> None:
    random = np.random.default_rng(10_001)
    times = MONDAY + random.uniform(0, 21 * 24, 60_000) * HOUR
    for values in (random.normal(size=60_000), random.integers(0, 3, 60_000)):
        found = Timeline(times).dispersion(cut(values))
        assert set(found) == {"1h", "24h"}
        assert all(1 <= phi < 1.35 for phi in found.values())


def test_requests_of_alike_rows_are_dispersed_as_much_as_they_have_rows() -> None:
    random = np.random.default_rng(10_002)
    requests = MONDAY + random.uniform(0, 21 * 24, 10_000) * HOUR
    values = np.repeat(random.normal(size=10_000), 6)
    found = Timeline(np.repeat(requests, 6)).dispersion(cut(values))
    assert found["24h"] == pytest.approx(6, rel=0.25)
    assert found["1h"] == pytest.approx(6, rel=0.25)


def test_what_the_season_explains_is_no_dispersion() -> None:
    random = np.random.default_rng(10_003)
    hours = random.uniform(0, 21 * 24, 60_000)
    values = np.sin(hours / 24 * 2 * np.pi) + random.normal(size=60_000)
    assert Timeline(MONDAY + hours * HOUR).dispersion(cut(values))["1h"] < 1.5


def test_dispersion_stays_within_its_bounds() -> None:
    hours = np.repeat(np.arange(21 * 24), 100)
    days = hours // 24
    found = Timeline(MONDAY + hours * HOUR).dispersion(cut(days % 20))
    assert found["24h"] == 10


def test_a_constant_and_a_short_time_tell_nothing_of_dispersion() -> None:
    hours = np.repeat(np.arange(21 * 24), 100)
    assert Timeline(MONDAY + hours * HOUR).dispersion(cut(np.zeros(len(hours)))) == {}
    assert Timeline(MONDAY + hours[:1000] * HOUR).dispersion(cut(hours[:1000])) == {}
    assert Timeline(np.full(100, np.nan)).lengths == []


@pytest.mark.parametrize("freedom", [1, 2, 5, 20])
def test_the_median_of_a_chi_square_is_right(freedom: int) -> None:
    from kingmaker_serving.package.times import _median_of_chi_square

    assert _median_of_chi_square(freedom) == pytest.approx(stats.chi2.median(freedom), rel=0.04)
