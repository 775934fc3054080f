"""What serving pods say, read into numbers; whatever they say."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from kingmaker.adapters.exposition import ExpositionReader, Read, UnreadableError
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.process import Arm, DecisionCounts
from kingmaker.core.counts.samples import Dropped
from kingmaker_serving.counts.profile import Identity, Profile
from support.world import digest

MODEL, REFERENCE = digest("a"), digest("b")


def a_feature(name: str) -> Feature:
    return Feature(name, Kind.CATEGORICAL, (Cell("c0", 5), Cell("c1", 4), Cell("missing", 1, rare=True)))


BASELINE = Baseline(REFERENCE, 10, (a_feature('a "quoted"\\name'), a_feature("b")), prediction=a_feature("prediction"))
HEAD = (
    f'info{{model="a",model_digest="{MODEL}",baseline_digest="{REFERENCE}",pod="a-1"}} 1',
    "start_time_seconds 1700000000.125",
)


def an_exposition(*samples: str, head: tuple[str, ...] = HEAD) -> bytes:
    return "".join(f"kingmaker_profile_{line}\n" for line in (*head, *samples)).encode()


def read(*samples: str, baselines: Mapping[str, Baseline] | None = None) -> Read:
    known = {REFERENCE: BASELINE} if baselines is None else baselines
    return ExpositionReader().read("uid", an_exposition(*samples), known)


def dropped(found: Read) -> dict[Dropped, int]:
    return {reason: count for reason, count in found.dropped.items() if count}


def test_it_says_whose_counts_it_has() -> None:
    counts = read().counts
    assert (counts.pod_uid, counts.model, counts.model_digest) == ("uid", "a", MODEL)
    assert (counts.baseline_digest, counts.start) == (REFERENCE, "1700000000.125")


def test_cells_are_sorted_into_the_vector_of_the_baseline() -> None:
    found = read(
        'feature_total{feature="b",cell="missing"} 2',
        'feature_total{feature="a \\"quoted\\"\\\\name",cell="c1"} 7',
        'prediction_total{cell="c0"} 3',
    )
    expected = CellCounts.of(((0, 7, 0), (0, 0, 2), (3, 0, 0)))
    assert found.counts.cells is not None
    assert np.array_equal(found.counts.cells, expected.vector)
    assert dropped(found) == {}


def test_cells_that_the_baseline_does_not_know_are_dropped_and_counted() -> None:
    found = read(
        'feature_total{feature="gone",cell="c0"} 9',
        'feature_total{feature="b",cell="c9"} 9',
        'score_total{cell="0"} 3',
        'feature_total{feature="b",cell="c0"} 1',
    )
    assert found.counts.cells is not None
    assert found.counts.cells.sum() == 1
    assert dropped(found) == {Dropped.CELL: 3}


def test_cells_of_a_baseline_that_is_not_known_yet_are_not_read() -> None:
    found = read('feature_total{feature="b",cell="c0"} 1', 'rows_total{decision="1"} 4', baselines={})
    assert found.counts.cells is None
    assert found.counts.by_decision == {1: DecisionCounts(Arm(rows=4))}
    assert dropped(found) == {}


VALUES = ["-1", "NaN", "+Inf", "1e3", "1.5", "", "1_000", "0x10", "9" * 17, "9" * 400, "٣", "1 2"]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_no_count_is_dropped_and_the_rest_is_read(value: str) -> None:
    found = read(
        f'feature_total{{feature="b",cell="c0"}} {value}',
        'feature_total{feature="b",cell="c1"} 5',
        f'requests_total{{decision="1",outcome="ok"}} {value}',
        'rows_total{decision="1"} 4',
    )
    assert found.counts.cells is not None
    assert found.counts.cells.tolist() == [0, 0, 0, 0, 5, 0, 0, 0, 0]
    assert found.counts.by_decision == {1: DecisionCounts(Arm(rows=4))}
    assert sum(dropped(found).values()) == 2


def test_a_hostile_exposition_costs_what_it_says_and_no_more() -> None:
    found = read(
        'requests_total{decision="1",outcome="exploded"} 5',
        "requests_total{{{ 5",
        'secrets_total{key="\\u0000"} 5',
        'latency_total{decision="1",le="\xff"} 5',
        'shadow_feedback_total{challenger="b",decision="1",champion="maybe",challenger_outcome="wrong"} 5',
        *(f'feature_total{{feature="{i}",cell="c0"}} 1' for i in range(1000)),
        'requests_total{decision="1",outcome="ok"} 6',
    )
    assert found.counts.by_decision == {1: DecisionCounts(Arm(answered=6))}
    assert dropped(found) == {Dropped.LABEL: 4, Dropped.FAMILY: 1, Dropped.CELL: 1000}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"<html>",
        an_exposition(head=HEAD[:1]),
        an_exposition(head=HEAD[1:]),
        an_exposition(head=(HEAD[0], "start_time_seconds NaN")),
        an_exposition(head=('info{model="a"} 1', HEAD[1])),
    ],
)
def test_without_an_identity_nothing_is_read(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        ExpositionReader().read("uid", content, {})


def test_what_a_pod_says_again_is_not_read_again() -> None:
    reader = ExpositionReader()
    first = reader.read("uid", an_exposition(), {})
    assert reader.read("uid", an_exposition(), {}) is first
    more = reader.read("uid", an_exposition('requests_total{decision="1",outcome="ok"} 6'), {})
    assert more.counts.by_decision == {1: DecisionCounts(Arm(answered=6))}
    assert reader.read("another", an_exposition(), {}).counts.pod_uid == "another"


def test_once_its_baseline_is_known_the_same_words_are_read_again() -> None:
    reader = ExpositionReader()
    assert reader.read("uid", an_exposition(), {}).counts.cells is None
    assert reader.read("uid", an_exposition(), {BASELINE.digest: BASELINE}).counts.cells is not None


def test_the_counts_of_another_pod_are_not_taken() -> None:
    reader = ExpositionReader()
    assert reader.read("uid", an_exposition(), {}, pod="a-1")
    with pytest.raises(UnreadableError, match=r"'a-1', expected 'a-2'"):
        reader.read("uid", an_exposition(), {}, pod="a-2")


def test_a_reader_that_remembers_lines_reads_other_lines_right() -> None:
    reader, known = ExpositionReader(), {REFERENCE: BASELINE}
    lines = [f'feature_total{{feature="b",cell="{cell}"}} {i}' for i, cell in enumerate(("c0", "c1", "missing"))]
    for order in ((0, 1, 2), (2, 1, 0), (0, 1, 2), (1, 0)):
        found = reader.read("uid", an_exposition(*(lines[i] for i in order)), known)
        assert found.counts.cells is not None
        assert found.counts.cells.tolist()[3:6] == [0, 1, 2 if 2 in order else 0]
    # The same lines under another baseline have other places.
    other = replace(BASELINE, digest=MODEL, features=BASELINE.features[1:])
    swapped = HEAD[0].replace(REFERENCE, MODEL), HEAD[1]
    found = reader.read("uid", an_exposition(*lines, head=swapped), {MODEL: other})
    assert found.counts.cells is not None
    assert found.counts.cells.tolist() == [0, 1, 2, 0, 0, 0]


def test_it_reads_what_servers_write() -> None:
    profile = Profile(Identity("a", MODEL, REFERENCE, "a-1", 1700000000.125))
    profile.count_answers([("3", "", 4, 0.004)])
    profile.count_request("3", "server_error")
    profile.count_request("3", "client_error")
    profile.pairs.add("b", "3", "agree", count=2)
    found = ExpositionReader().read("uid", profile.render(), {}, pod="a-1")
    arm = found.counts.by_decision[3].arm
    assert (arm.answered, arm.errors, arm.rows, arm.slower_than(0.003), arm.slower_than(0.005)) == (1, 1, 4, 1, 0)
    assert found.counts.by_decision[3].shadows["b"].agree == 2
    assert dropped(found) == {}
