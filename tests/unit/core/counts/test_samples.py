"""What samples of decisions mean, and what is made of those that mean nothing."""

import pytest

from kingmaker.core.counts.process import LATENCY_EDGES, Arm, DecisionCounts, Shadow
from kingmaker.core.counts.samples import Counted, Dropped, read_samples

OWN, OTHER = "0123456789abcdef", "fedcba9876543210"


def latency(**counts: int) -> tuple[int, ...]:
    return tuple(counts.get(f"cell{i}", 0) for i in range(len(LATENCY_EDGES)))


def test_samples_are_summed_up_per_decision() -> None:
    samples = {
        'requests_total{decision="3",outcome="ok"}': 10,
        'requests_total{decision="3",outcome="server_error"}': 2,
        'requests_total{decision="3",outcome="client_error"}': 99,
        'rows_total{decision="3"}': 40,
        'feedback_total{decision="3",outcome="correct"}': 7,
        'feedback_total{decision="3",outcome="wrong"}': 1,
        'latency_total{decision="3",le="0.0075"}': 4,
        'latency_total{decision="3",le="+Inf"}': 6,
        'requests_total{decision="4",outcome="ok"}': 5,
    }
    counted, dropped = read_samples(samples.items())
    assert counted.own == {
        3: DecisionCounts(Arm(10, 2, 7, 1, 40, latency(cell4=4, cell21=6))),
        4: DecisionCounts(Arm(5)),
    }
    assert not dropped


def test_samples_of_copies_are_summed_up_per_challenger() -> None:
    samples = {
        'shadow_pairs_total{challenger="b",decision="3",result="agree"}': 8,
        'shadow_pairs_total{challenger="b",decision="3",result="disagree"}': 2,
        'shadow_failures_total{challenger="b",decision="3",side="challenger"}': 1,
        'shadow_failures_total{challenger="c",decision="3",side="dropped"}': 4,
        'shadow_feedback_total{challenger="b",decision="3",champion="wrong",challenger_outcome="correct"}': 5,
        'shadow_feedback_total{challenger="b",decision="3",champion="correct",challenger_outcome="wrong"}': 6,
    }
    counted, dropped = read_samples(samples.items())
    b = Shadow(agree=8, disagree=2, failures=1, champion_wrong=5, challenger_wrong=6)
    assert counted.own == {3: DecisionCounts(shadows={"b": b, "c": Shadow(dropped=4)})}
    assert not dropped


def test_labels_are_counted_by_the_model_that_predicted() -> None:
    def labelled(digest: str, decision: int, outcome: str) -> str:
        return f'feedback_total{{model="m",digest="{digest}",decision="{decision}",outcome="{outcome}"}}'

    def shares(digest: str, decision: int, wrong: str) -> str:
        return f'feedback_requests_total{{model="m",digest="{digest}",decision="{decision}",wrong="{wrong}"}}'

    samples = {
        labelled(OWN, 3, "correct"): 8,
        labelled(OTHER, 3, "wrong"): 2,
        labelled(OTHER, 4, "correct"): 5,
        labelled(OTHER, 4, "wrong"): 1,
        shares(OWN, 3, "0"): 6,
        shares(OWN, 3, "0.125"): 1,
        shares(OTHER, 4, "1"): 2,
        'feedback_total{decision="3",outcome="correct"}': 100,
    }
    counted, dropped = read_samples(samples.items(), own=OWN)
    assert counted.own == {3: DecisionCounts(Arm(correct=108, judged=(6, 1, 0, 0, 0, 0, 0, 0, 0)))}
    assert counted.others == {
        OTHER: {
            3: DecisionCounts(Arm(wrong=2)),
            4: DecisionCounts(Arm(correct=5, wrong=1, judged=(0, 0, 0, 0, 0, 0, 0, 0, 2))),
        }
    }
    assert not dropped


def test_what_is_known_and_not_needed_is_no_loss() -> None:
    samples = {
        'requests_total{decision="none",outcome="ok"}': 1,
        'requests_total{decision="past",outcome="ok"}': 1,
        'rows_total{decision="shadow"}': 1,
        "feedback_unmatched_total": 3,
        "feedback_repeated_total": 3,
        "feedback_unpaired_total": 3,
        f'feedback_age_total{{model="m",digest="{OTHER}",le="60"}}': 3,
        f'feedback_classes_total{{model="m",digest="{OTHER}",decision="3",score="",predicted="0",true="1"}}': 3,
        f'feedback_errors_total{{model="m",digest="{OTHER}",decision="3",side="over",error="k1"}}': 3,
        'feedback_total{model="other",digest="",decision="3",outcome="wrong"}': 3,
        'shadow_feedback_classes_total{challenger="b",decision="3",predicted="0",challenger_predicted="1",true="1"}': 3,
        'shadow_slower_total{challenger="b",decision="3",side="champion"}': 1,
    }
    assert read_samples(samples.items()) == (Counted(), {})


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ('requests_total{decision="1",outcome="exploded"}', Dropped.LABEL),
        ('requests_total{decision="1"}', Dropped.LABEL),
        ('requests_total{outcome="ok"}', Dropped.LABEL),
        ('requests_total{decision="-1",outcome="ok"}', Dropped.LABEL),
        ('requests_total{decision="1234567890",outcome="ok"}', Dropped.LABEL),
        ('requests_total{decision="٣",outcome="ok"}', Dropped.LABEL),
        ('latency_total{decision="1",le="NaN"}', Dropped.LABEL),
        ('latency_total{decision="1",le="0.004"}', Dropped.LABEL),
        ('shadow_pairs_total{challenger="b",decision="1",result="perhaps"}', Dropped.LABEL),
        ('shadow_pairs_total{challenger="",decision="1",result="agree"}', Dropped.LABEL),
        ('shadow_feedback_total{challenger="b",decision="1",champion="wrong"}', Dropped.LABEL),
        ('shadow_failures_total{challenger="b",decision="1",side="champion"}', Dropped.LABEL),
        ('secrets_total{decision="1"}', Dropped.FAMILY),
        ("", Dropped.FAMILY),
        ("requests_total", Dropped.LABEL),
        ('feedback_requests_total{model="m",digest="0123456789abcdef",decision="1",wrong="0.3"}', Dropped.LABEL),
        ('feedback_total{model="m",digest="../../../../etc.",decision="1",outcome="wrong"}', Dropped.LABEL),
    ],
)
def test_what_is_not_known_is_dropped_and_told(key: str, reason: Dropped) -> None:
    assert read_samples([(key, 1)]) == (Counted(), {reason: 1})


def test_a_server_has_not_endless_decisions() -> None:
    counted, dropped = read_samples((f'rows_total{{decision="{n}"}}', 1) for n in range(1_500))
    assert (len(counted.own), dropped) == (1_000, {Dropped.LIMIT: 500})
