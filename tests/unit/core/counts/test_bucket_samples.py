"""Counts by bucket are read as servers write them, and what is none of them is dropped and counted."""

import pytest

from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.core.counts.bucket_samples import read_buckets
from kingmaker.core.counts.buckets import BucketClass, latency_name
from kingmaker.core.counts.samples import Dropped
from kingmaker_serving.counts.labelled import Seen
from kingmaker_serving.counts.profile import Identity, Profile

OWN = "0123456789abcdef"
OTHER = "fedcba9876543210"


def test_what_a_server_writes() -> None:
    profile = Profile(Identity("churn-1", f"sha256:{OWN}00", "sha256:1", "pod-0", 1.0))
    profile.count_answers([("7", "199", 1, 0.0021), ("7", "0", 1, 99.0), ("7", "", 1, 0.1), ("none", "3", 1, 0.1)])
    profile.count_request("7", "server_error", "0")
    labels = profile.labels
    seen = Seen([False, True], "0.5", 'n"o', "yes\\", is_right=False)
    labels.count(labels.key("churn-0", OTHER, 3), seen, cell=None, age_seconds=1, bucket="8")
    labels.count(labels.key("churn-0", OTHER, 4), Seen([True], "0", error=-3.0), cell=None, age_seconds=1, bucket="9")
    read = ExpositionReader().read("uid", profile.render(), {}, pod="pod-0")
    assert sum(read.dropped.values()) == 0
    assert set(read.counts.buckets) == {OWN, OTHER}
    mine, theirs = read.counts.buckets[OWN][7], read.counts.buckets[OTHER][3]
    assert (mine.of(latency_name(2))[199], mine.of(latency_name(21))[0], mine.of("failures")[0]) == (1, 1, 1)
    assert mine.requests.sum() == 3
    assert (theirs.labelled[8], theirs.wrong[8]) == (1, 0.5)
    ((cell, vector),) = theirs.classes
    assert (cell, vector[8]) == (BucketClass('n"o', "yes\\", wrong=True), 1)
    assert [(cell, v[9]) for cell, v in read.counts.buckets[OTHER][4].errors] == [("k4", 1)]
    assert read.counts.by_decision[7].arm.answered == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'bucket_latency_total{decision="7",bucket="200",le="0.1"} 1', Dropped.LABEL),
        (b'bucket_latency_total{decision="7",bucket="-1",le="0.1"} 1', Dropped.LABEL),
        (b'bucket_latency_total{decision="x",bucket="1",le="0.1"} 1', Dropped.LABEL),
        (b'bucket_latency_total{decision="7",bucket="1",le="0.123"} 1', Dropped.FAMILY),
        (b'bucket_latency_total{decision="7",bucket="1",le="0.1"} 1.5', Dropped.VALUE),
        (b'bucket_latency_total{decision="7",bucket="1",le="0.1"} 9999999999999999', Dropped.VALUE),
        (b'bucket_feedback_total{model="m",digest="x",decision="7",bucket="1",count="requests"} 1', Dropped.LABEL),
        (b'bucket_moods_total{decision="7",bucket="1"} 1', Dropped.FAMILY),
        (b"bucket_latency_total 1", Dropped.LABEL),
    ],
)
def test_what_is_not_known_is_dropped(line: bytes, reason: Dropped) -> None:
    found, dropped = read_buckets([b"kingmaker_profile_" + line], own=OWN)
    assert dict(dropped) == {reason: 1}
    assert not any(b.requests.sum() for by in found.values() for b in by.values())


def test_a_flood_of_names_is_bounded() -> None:
    lines = [
        b'kingmaker_profile_bucket_failures_total{decision="%d",bucket="1"} 1' % decision for decision in range(20_000)
    ]
    found, dropped = read_buckets(lines, own=OWN)
    assert len(found[OWN]) + dropped[Dropped.LIMIT] == 20_000
    assert dropped[Dropped.LIMIT] >= 10_000
