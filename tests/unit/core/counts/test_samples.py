"""What samples of decisions mean, and what is made of those that mean nothing."""

import pytest

from kingmaker.core.counts.labelled import ClassCell, LossCell, PairCell, PairClassCell, PairLossCell
from kingmaker.core.counts.process import LATENCY_EDGES, Arm, DecisionCounts, Shadow
from kingmaker.core.counts.samples import Counted, Dropped, read_samples

OWN, OTHER = "0123456789abcdef", "fedcba9876543210"


def latency(**counts: int) -> tuple[int, ...]:
    return tuple(counts.get(f"cell{i}", 0) for i in range(len(LATENCY_EDGES)))


def classes(score: str, predicted: str, true: str, outcome: str, *, decision: int = 3, digest: str = OWN) -> str:
    cell = f'score="{score}",predicted="{predicted}",true="{true}",outcome="{outcome}"'
    return f'feedback_classes_total{{model="m",digest="{digest}",decision="{decision}",{cell}}}'


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


def test_requests_are_counted_by_the_class_and_the_error_of_a_drawn_row() -> None:
    errors = f'feedback_errors_total{{model="m",digest="{OTHER}",decision="3",side="over",error='
    samples = {
        classes("4", "yes", "no", "wrong"): 5,
        classes("", "other", "other", "correct"): 7,
        classes("", "other", "other", "wrong"): 1,
        classes("", r"say \"no\"", "", "wrong"): 2,
        classes("4", "yes", "no", "wrong", digest=OTHER): 9,
        f'{errors}"k-12"}}': 3,
        f'{errors}"nan"}}': 1,
    }
    counted, dropped = read_samples(samples.items(), own=OWN)
    assert counted.own[3].arm.classes == {
        ClassCell("4", "yes", "no", wrong=True): 5,
        ClassCell("", "other", "other", wrong=False): 7,
        ClassCell("", "other", "other", wrong=True): 1,
        ClassCell("", 'say "no"', "", wrong=True): 2,
    }
    theirs = counted.others[OTHER][3].arm
    assert theirs.classes == {ClassCell("4", "yes", "no", wrong=True): 9}
    assert theirs.losses == {LossCell("over", "k-12"): 3, LossCell("over", "nan"): 1}
    assert not dropped


def test_pairs_are_counted_by_what_labels_said_of_both() -> None:
    pair = 'challenger="b",decision="3"'
    samples = {
        f'shadow_feedback_requests_total{{{pair},wrong="0.125",challenger_wrong="1"}}': 4,
        f'shadow_feedback_classes_total{{{pair},predicted="0",challenger_predicted="1",true="1"}}': 3,
        f'shadow_feedback_errors_total{{{pair},error="k1",challenger_error="0"}}': 2,
    }
    counted, dropped = read_samples(samples.items())
    shadow = counted.own[3].shadows["b"]
    assert shadow.judged == {PairCell(0.125, 1.0): 4}
    assert shadow.classes == {PairClassCell("0", "1", "1"): 3}
    assert shadow.losses == {PairLossCell("k1", "0"): 2}
    assert not dropped


def test_a_server_has_not_endless_cells() -> None:
    samples = [(classes("", f"{n}", "0", "wrong", decision=n % 7), 1) for n in range(7_000)]
    counted, dropped = read_samples(samples, own=OWN)
    read = sum(len(counts.arm.classes) for counts in counted.own.values())
    assert (read, dropped) == (6_144, {Dropped.LIMIT: 856})


def test_what_is_known_and_not_needed_is_no_loss() -> None:
    samples = {
        'requests_total{decision="none",outcome="ok"}': 1,
        'requests_total{decision="past",outcome="ok"}': 1,
        'rows_total{decision="shadow"}': 1,
        "feedback_unmatched_total": 3,
        "feedback_repeated_total": 3,
        "feedback_unpaired_total": 3,
        f'feedback_age_total{{model="m",digest="{OTHER}",le="60"}}': 3,
        'feedback_errors_total{model="other",digest="",decision="3",side="over",error="k1"}': 3,
        'feedback_total{model="other",digest="",decision="3",outcome="wrong"}': 3,
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
        (classes("", "x" * 65, "0", "wrong"), Dropped.LABEL),
        (classes("1e3", "0", "0", "wrong"), Dropped.LABEL),
        (classes("٣", "0", "0", "wrong"), Dropped.LABEL),
        (classes("", "0", "0", "perhaps"), Dropped.LABEL),
        (classes("", "0", "0", "wrong", digest="../../etc/passwd"), Dropped.LABEL),
        ('feedback_classes_total{decision="1",score="",predicted="0",true="1",outcome="wrong"}', Dropped.LABEL),
        ('feedback_classes_total{model="m",digest="",decision="1",predicted="0",true="1"}', Dropped.LABEL),
        (f'feedback_errors_total{{model="m",digest="{OTHER}",decision="1",side="over",error="k161"}}', Dropped.LABEL),
        (f'feedback_errors_total{{model="m",digest="{OTHER}",decision="1",side="over",error="k-0"}}', Dropped.LABEL),
        (f'feedback_errors_total{{model="m",digest="{OTHER}",decision="1",side="up",error="k1"}}', Dropped.LABEL),
        ('shadow_feedback_classes_total{challenger="b",decision="1",predicted="0",true="1"}', Dropped.LABEL),
        (
            'shadow_feedback_requests_total{challenger="b",decision="1",wrong="0.3",challenger_wrong="0"}',
            Dropped.LABEL,
        ),
    ],
)
def test_what_is_not_known_is_dropped_and_told(key: str, reason: Dropped) -> None:
    assert read_samples([(key, 1)]) == (Counted(), {reason: 1})


def test_a_server_has_not_endless_decisions() -> None:
    counted, dropped = read_samples((f'rows_total{{decision="{n}"}}', 1) for n in range(1_500))
    assert (len(counted.own), dropped) == (1_000, {Dropped.LIMIT: 500})
