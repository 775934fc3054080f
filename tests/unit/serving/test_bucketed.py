"""Counts by bucket: as many as there are buckets, of the newest decisions, whatever the entities."""

import pytest

from kingmaker_serving.counts.bucketed import MOST_BUCKETED, BucketSeries, read_bucket
from kingmaker_serving.counts.labelled import LabelCounts, Seen
from kingmaker_serving.counts.profile import Identity, Profile

RIGHT = Seen([True], "0", "yes", "yes", is_right=True)
WRONG = Seen([False], "1", "no", "yes")


def a_profile() -> Profile:
    return Profile(Identity("m", "sha256:0", "sha256:1", "pod", 1.0))


@pytest.mark.parametrize(
    ("stamp", "bucket"),
    [(None, ""), (b"", ""), (b"7", "7"), (b"007", "7"), (b"-1", ""), (b"12345", ""), (b"\xc2\xb2", ""), (b"7 ", "")],
)
def test_a_bucket_is_a_short_number(stamp: bytes | None, bucket: str) -> None:
    assert read_bucket(stamp) == bucket


def test_requests_with_a_bucket_are_counted_by_it_too() -> None:
    profile = a_profile()
    profile.count_answers([("12", "7", 3, 0.0021), ("12", "", 3, 0.0021)])
    profile.count_request("12", "server_error", "7")
    profile.count_request("12", "client_error", "7")
    shown = profile.render().decode()
    assert 'kingmaker_profile_bucket_latency_total{decision="12",bucket="7",le="0.003"} 1' in shown
    assert 'kingmaker_profile_bucket_failures_total{decision="12",bucket="7"} 1' in shown
    assert 'kingmaker_profile_requests_total{decision="12",outcome="ok"} 2' in shown


def test_labels_are_counted_by_the_bucket_of_their_request() -> None:
    counts = LabelCounts()
    key = counts.key("m", "d", 12)
    for seen, bucket in ((RIGHT, "7"), (WRONG, "7"), (Seen([True, False], "0.5", "no", "no", is_right=True), "8")):
        counts.count(key, seen, cell=None, age_seconds=1, bucket=bucket)
    counts.count(key, WRONG, cell=None, age_seconds=1)
    assert dict(counts.buckets.counts) == {
        (*key, "7", "requests"): 2,
        (*key, "7", "eighths"): 8,
        (*key, "8", "requests"): 1,
        (*key, "8", "eighths"): 4,
    }
    assert dict(counts.bucket_classes.counts) == {
        (*key, "7", "yes", "yes", "correct"): 1,
        (*key, "7", "no", "yes", "wrong"): 1,
        (*key, "8", "no", "no", "correct"): 1,
    }


def test_a_regression_has_errors_in_cells_of_powers_of_two() -> None:
    counts = LabelCounts()
    key = counts.key("m", "d", 1)
    for error in (0.0, -1.0, 1.1, 1.9, float("nan")):
        counts.count(key, Seen([True], "0", error=error), cell=None, age_seconds=1, bucket="3")
    assert not counts.bucket_classes.counts
    assert {cell[-1]: n for cell, n in counts.bucket_errors.counts.items()} == {"0": 1, "k0": 1, "k2": 2, "nan": 1}


def test_old_decisions_are_forgotten_and_never_summed() -> None:
    profile = a_profile()
    for decision in range(1, 12):
        profile.count_answers([(str(decision), "5", 1, 0.1)])
    kept = {key[0] for key in profile.bucket_latency.counts}
    assert kept == {str(decision) for decision in range(4, 12)}


def test_a_family_makes_room_by_its_oldest_decision() -> None:
    series = BucketSeries("bucket_latency_total", "decision", "bucket", "le")
    for decision in range(8):
        for bucket in range(1000):
            series.add(str(decision), str(bucket), "0.1")
        assert len(series.counts) <= MOST_BUCKETED
    assert {key[0] for key in series.counts} == {"4", "5", "6", "7"}


def test_wrong_classes_beyond_the_bound_keep_their_true_class() -> None:
    counts = LabelCounts()
    key = counts.key("m", "d", 1)
    for bucket in range(200):
        for predicted in range(32):
            seen = Seen([False], "1", str(predicted), "yes")
            counts.count(key, seen, cell=None, age_seconds=1, bucket=str(bucket))
    cells = counts.bucket_classes.counts
    assert len(cells) <= MOST_BUCKETED + 200
    assert sum(cells.values()) == 200 * 32
    assert {cell[-2] for cell in cells} == {"yes"}
