"""The ledger as a text: whole, small, and readable whatever wrote it."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from kingmaker.api import ConditionStatus, DriftState, Reason
from kingmaker.core.counts.buckets import (
    BUCKETS,
    EIGHTHS,
    FAILURES,
    LABELLED,
    BucketClass,
    bounded,
    class_name,
    latency_name,
)
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.counts.ledger import Ledger, Seen, fold
from kingmaker.core.counts.looks import Looks, take_looks
from kingmaker.core.counts.process import LATENCY_EDGES, Arm, DecisionCounts, ProcessCounts, Shadow
from kingmaker.core.counts.storage import LIMIT, dump_ledger, load_ledger
from kingmaker.core.counts.windows import Scale, Slot
from support.busy import CHALLENGER, MODEL, REFERENCE, a_busy_ledger


def test_a_ledger_survives_its_text() -> None:
    ledger = a_busy_ledger(features=5, pods=3, restarts=9, rows=1000, labelled=True)
    read = load_ledger(dump_ledger(ledger))
    assert ledger.cells is not None
    assert read == replace(ledger, cells=ledger.cells.at_rest())
    assert load_ledger(dump_ledger(read)) == read
    assert load_ledger(dump_ledger(Ledger())) == Ledger()


def test_a_thousand_features_of_twenty_pods_after_fifty_restarts_lack_an_hour_at_most() -> None:
    ledger = a_busy_ledger(features=1000, pods=20, restarts=50, rows=1_000_000)
    text = dump_ledger(ledger)
    assert len(text) <= 600 * 1024
    read = load_ledger(text).watch
    assert read.learnt == ledger.watch.learnt
    assert read.windows is not None
    assert ledger.watch.windows is not None
    assert read.windows.scales[1:] == ledger.watch.windows.scales[1:]


def test_eight_hundred_features_fit_whole() -> None:
    ledger = a_busy_ledger(features=800, pods=20, restarts=50, rows=1_000_000)
    assert load_ledger(dump_ledger(ledger)).watch == ledger.watch


def test_labels_of_twenty_pods_in_score_cells_leave_room_for_long_windows() -> None:
    ledger = a_busy_ledger(features=1000, pods=20, restarts=12, rows=1_000_000, labelled=True)
    text = dump_ledger(ledger)
    assert len(text) <= LIMIT
    read = load_ledger(text)
    assert (read.totals, read.seen) == (ledger.totals, ledger.seen)
    assert ledger.watch.windows is not None
    assert read.watch.windows is not None
    assert read.watch.windows.scales[1:] == ledger.watch.windows.scales[1:]


def test_what_would_be_too_large_is_left_out_shortest_windows_first() -> None:
    ledger = a_busy_ledger(features=1450, pods=20, restarts=12, rows=1_000_000_000)
    text = dump_ledger(ledger)
    assert len(text) <= LIMIT
    windows, read = ledger.watch.windows, load_ledger(text)
    assert windows is not None
    assert read.watch.windows is not None
    shortest, *_, longest = read.watch.windows.scales
    assert shortest == Scale(timedelta(hours=1), windows.last)
    assert longest == windows.scales[-1]
    assert read.watch.learnt == ()
    assert read.totals == ledger.totals


def looks_of(classes: int) -> Looks:
    """Looks at an arm of a busy deployment with as many classes."""
    random = np.random.default_rng(3)
    pairs = [(str(p), str(t)) for p in range(classes) for t in range(classes)]
    names = [latency_name(cell) for cell in range(22)] + [FAILURES, LABELLED, EIGHTHS]
    names += [class_name(BucketClass(p, t, wrong=p != t)) for p, t in pairs]
    buckets = bounded({name: random.integers(0, 100_000, BUCKETS) for name in names})
    return take_looks({"aa": {7: buckets}}, 7, {})["aa"]


def with_looks(ledger: Ledger, looks: Looks, decisions: range) -> Ledger:
    counts = {d: DecisionCounts(Arm(answered=9), looks=looks) for d in decisions}
    return replace(ledger, totals={MODEL: dict(counts), CHALLENGER: dict(counts)})


def test_looks_at_buckets_survive_their_text() -> None:
    ledger = with_looks(Ledger(), looks_of(2), range(1, 5))
    text = dump_ledger(ledger)
    assert load_ledger(text) == ledger
    assert len(text) < 200 * 1024


def test_looks_of_thirty_classes_beside_a_thousand_features_are_bounded_and_never_taken_again() -> None:
    busy = a_busy_ledger(features=1000, pods=20, restarts=12, rows=1_000_000)
    ledger = with_looks(busy, looks_of(32), range(1, 5))
    read = load_ledger(dump_ledger(ledger))
    assert len(dump_ledger(ledger)) <= LIMIT
    for counts in read.totals.values():
        assert counts[4].looks.labels.number == 1
        assert counts[4].looks.labels.buckets.labelled.sum() > 0


EARLIER = {
    "totals": {
        MODEL: {
            'requests_total{decision="3",outcome="ok"}': 120,
            'latency_total{decision="3",le="0.005"}': 120,
            'feedback_total{decision="3",outcome="wrong"}': 4,
            'requests_total{decision="3",outcome="exploded"}': 1,
            'shadow_pairs_total{challenger="b",decision="3",result="agree"}': 9,
        }
    },
    "seen": {
        "uid-1/1700000000.000": {'requests_total{decision="3",outcome="ok"}': 20},
        "uid-1/1700000900.000": {
            'requests_total{decision="3",outcome="ok"}': 70,
            'feature_total{feature="f",cell="0"}': 70,
            "feedback_unmatched_total": 0,
        },
    },
    "watch": {
        "windows": {
            "model": MODEL,
            "baseline": REFERENCE,
            "empty": {"columns": [[0, 0], [0]]},
            "last": 1_767_225_600_000,
            "scales": [
                {
                    "length": "PT1H",
                    "since": 1_767_200_000_000,
                    "slots": [{"index": 1_472_688, "counts": {"columns": [[50, 20], [70]]}, "covered": 600_000}],
                }
            ],
            "broken": [["f", 1_767_225_500_000]],
        },
        "history": [False, True],
        "evaluated_at": "2026-01-01T00:00:00Z",
        "state": "Drift",
        "drift_reason": "DriftAboveTolerance",
        "drift_message": "above the tolerance: f shifted up",
        "features": ["f"],
        "quality_status": "False",
    },
}
"""As operators wrote it before `kingmaker.dev/ledger/v2`."""


def test_a_ledger_of_the_earlier_format_is_carried_over() -> None:
    ledger = load_ledger(json.dumps(EARLIER))
    latency = tuple(120 if edge == 0.005 else 0 for edge in LATENCY_EDGES)
    arm = Arm(answered=120, wrong=4, latency=latency)
    assert ledger.totals == {MODEL: {3: DecisionCounts(arm, {"b": Shadow(agree=9)})}}
    assert ledger.seen == {"uid-1": Seen("1700000900.000", {3: DecisionCounts(Arm(answered=70))})}
    assert ledger.cells is None
    windows = ledger.watch.windows
    assert windows is not None
    assert windows.scales[0].slots == (Slot(1_472_688, CellCounts.of(((50, 20), (70,))), 600_000),)
    assert ledger.watch.state is DriftState.DRIFT
    assert ledger.watch.drift_reason is Reason.DRIFT_ABOVE_TOLERANCE
    assert ledger.watch.quality_status is ConditionStatus.FALSE
    assert load_ledger(dump_ledger(ledger)) == ledger, "and stored in the present format"


def test_after_the_upgrade_nothing_is_counted_twice() -> None:
    ledger = load_ledger(json.dumps(EARLIER))
    look = ProcessCounts("uid-1", "a", MODEL, "", "1700000900.000", {3: DecisionCounts(Arm(answered=75))})
    folded = fold(ledger, [look], pods=frozenset({"uid-1"}), wanted={MODEL: {3}}, watched=None)
    assert folded.ledger.totals[MODEL][3].arm.answered == 125


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"format": "kingmaker.dev/ledger/v2"}',
        '{"format": "kingmaker.dev/ledger/v9", "ledger": {}}',
        '{"totals": 3}',
        '{"format": "kingmaker.dev/ledger/v2", "ledger": {"watch": {"windows": {"empty": "AAAA"}}}}',
        '{"watch": {"windows": {"model": "m", "baseline": "b", "empty": {"columns": 7}, "last": 0, "scales": []}}}',
    ],
)
def test_what_is_no_ledger_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        load_ledger(text)


def test_cells_of_labels_are_left_out_last_and_of_sums_and_looks_at_once() -> None:
    cells = {ClassCell(f"{n % 20}", f"class {n // 20}", f"class {n * n % 211}", wrong=True): n for n in range(1, 4000)}
    counts = {n: DecisionCounts(Arm(answered=n, classes=cells)) for n in range(1, 5)}
    looks = [ProcessCounts(f"uid-{i}", "a", MODEL, "", "1.0", counts) for i in range(12)]
    uids, wanted = frozenset(look.pod_uid for look in looks), {MODEL: frozenset(range(1, 5))}
    ledger = fold(Ledger(), looks, pods=uids, wanted=wanted, watched=None).ledger
    text = dump_ledger(ledger)
    assert len(text) <= LIMIT
    read = load_ledger(text)
    assert [read.totals[MODEL][n].arm for n in range(1, 5)] == [Arm(answered=12 * n) for n in range(1, 5)]
    again = fold(read, looks, pods=uids, wanted=wanted, watched=None).ledger
    assert again.totals == ledger.totals, "processes that still run say it again, and nothing is counted twice"
