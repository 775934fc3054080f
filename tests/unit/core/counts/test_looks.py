"""Counts by bucket are exact whatever becomes of pods, and looks at them stay as they were."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kingmaker.core.counts.buckets import (
    BUCKETS,
    FAILURES,
    LABELLED,
    MOST_NAMES,
    BucketClass,
    Buckets,
    bounded,
    class_name,
    latency_name,
)
from kingmaker.core.counts.looks import (
    FIRST_LOOK,
    BucketCounts,
    Looks,
    SeenBuckets,
    fold_buckets,
    kept_decisions,
    take_looks,
)

WANTED = {"aa": frozenset({7})}


def some(count: int, name: str = "le 03", bucket: int = 5) -> Buckets:
    vector = np.zeros(BUCKETS, dtype=np.int64)
    vector[bucket] = count
    return bounded({name: vector})


def said(uid: str, start: str, count: int) -> BucketCounts:
    return BucketCounts(uid, start, {"aa": {7: some(count)}})


def test_what_buckets_are_read_as() -> None:
    counts = {latency_name(cell): np.full(BUCKETS, cell) for cell in range(22)}
    found = bounded(
        counts | {FAILURES: np.ones(BUCKETS, dtype=int), LABELLED: np.full(BUCKETS, 4), "eighths": np.full(BUCKETS, 4)}
    )
    assert found.requests[0] == sum(range(22)) + 1
    assert found.slower_than(19)[0] == 20 + 21
    assert found.labelled[0] == 4
    assert found.wrong[0] == 0.5


def test_wrong_answers_beyond_the_bound_keep_their_true_class() -> None:
    one = np.ones(BUCKETS, dtype=np.int64)
    cells = [BucketClass(str(p), str(t), wrong=p != t) for p in range(32) for t in range(32)]
    found = bounded({class_name(cell): one for cell in cells})
    assert len(found.counts) <= MOST_NAMES
    by_class = {cell: int(vector[0]) for cell, vector in found.classes}
    assert by_class[BucketClass("3", "3", wrong=False)] == 1
    assert by_class[BucketClass("other", "3", wrong=True)] == 31


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 2), st.integers(0, 50)), max_size=30))
def test_sums_are_those_of_a_single_process(steps: list[tuple[str, int, int]]) -> None:
    """Pods count, restart, and are asked at any time; what is counted when is looked at enters the sum once."""
    counted: dict[str, tuple[int, int]] = {}
    seen, total = SeenBuckets(), 0
    for uid, restarts, more in steps:
        start, count = counted.get(uid, (0, 0))
        start, count = (start + 1, 0) if restarts == 2 else (start, count)
        counted[uid] = start, count + more
        total += more
        looks = [said(uid, str(start), count + more)]
        seen = fold_buckets(seen, looks, pods=frozenset("pqr"), wanted=WANTED)
        # Asked again nothing came new.
        assert fold_buckets(seen, looks, pods=frozenset("pqr"), wanted=WANTED).sums == seen.sums
    assert sum(int(b.requests.sum()) for by in seen.sums.values() for b in by.values()) == total


def test_a_count_that_falls_and_rises_again_counts_once() -> None:
    seen = SeenBuckets()
    for count in (50, 20, 50, 60):
        seen = fold_buckets(seen, [said("p", "1", count)], pods=frozenset("p"), wanted=WANTED)
    assert seen.sums["aa"][7].requests.sum() == 60


def test_what_an_ended_pod_counted_stays_and_unwanted_decisions_go() -> None:
    seen = fold_buckets(SeenBuckets(), [said("p", "1", 9)], pods=frozenset("p"), wanted=WANTED)
    seen = fold_buckets(seen, [], pods=frozenset(), wanted=WANTED)
    assert seen.sums["aa"][7].requests.sum() == 9
    assert not seen.known
    assert not fold_buckets(seen, [], pods=frozenset(), wanted={}).sums


def test_the_newest_decisions_are_kept() -> None:
    assert kept_decisions({3, 1, 9, 12, 4, 8}) == {4, 8, 9, 12}


def test_a_look_comes_with_half_as_much_again_and_stays_as_it_was() -> None:
    looks: dict[str, Looks] = {}
    numbers = {}
    for count in range(0, 1000, 10):
        before = looks
        looks = dict(take_looks({"aa": {7: some(count)}, "bb": {7: some(count, bucket=9)}}, 7, looks))
        if looks["aa"].requests.number != before.get("aa", Looks()).requests.number:
            numbers[looks["aa"].requests.number] = 2 * count
            assert looks["aa"].requests.buckets == some(count)
            assert looks["bb"].requests.buckets == some(count, bucket=9)
        elif before:
            assert looks == before
    # Of both arms: 200, then 1.5 times that, in the steps in which they were counted.
    assert numbers == {1: FIRST_LOOK, 2: 300, 3: 460, 4: 700, 5: 1060, 6: 1600}
    assert looks["aa"].labels.number == 0


def test_an_arm_of_which_nothing_was_counted_yet_is_looked_at_too() -> None:
    looks = take_looks({"aa": {7: some(500)}}, 7, {"aa": Looks(), "bb": Looks()})
    assert (looks["bb"].requests.number, looks["bb"].requests.buckets) == (1, Buckets())


def test_an_operator_that_begins_anew_takes_no_look_again() -> None:
    stored = take_looks({"aa": {7: some(500)}}, 7, {})
    again = take_looks({"aa": {7: some(300)}}, 7, stored)
    assert again == stored
    assert take_looks({"aa": {7: some(750)}}, 7, again)["aa"].requests.number == 2


def test_looks_are_stored_in_a_few_hundred_bytes() -> None:
    random = np.random.default_rng(1)
    names = [latency_name(cell) for cell in range(8)] + [FAILURES, LABELLED, "eighths"]
    buckets = bounded({name: random.poisson(30, BUCKETS) for name in names})
    looks = take_looks({"aa": {7: buckets}}, 7, {})["aa"]
    codec = TypeAdapter(Looks)
    text = codec.dump_json(looks, exclude_defaults=True)
    assert codec.validate_json(text) == looks
    assert len(text) < 9_000
