"""Counts of a process and their exposition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kingmaker_serving.counts.baseline import FORMAT, Baseline
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.counts.profile import LATENCY_EDGES, Identity, Profile
from kingmaker_serving.counts.series import PAST, sample
from support.columns import build_column

IDENTITY = Identity(
    model="churn-2", model_digest="sha256:a", baseline_digest="sha256:b", pod="pod-1", started=1234.5678
)


def lines(profile: Profile) -> list[str]:
    return profile.render().decode().splitlines()


def test_an_empty_profile_says_whose_it_is() -> None:
    info = 'kingmaker_profile_info{model="churn-2",model_digest="sha256:a",baseline_digest="sha256:b",pod="pod-1"} 1'
    assert lines(Profile(IDENTITY)) == [
        info,
        "kingmaker_profile_start_time_seconds 1234.568",
        "kingmaker_profile_feedback_unmatched_total 0",
        "kingmaker_profile_feedback_repeated_total 0",
        "kingmaker_profile_feedback_unpaired_total 0",
    ]


def test_an_answer_is_counted_under_its_decision() -> None:
    profile = Profile(IDENTITY)
    profile.count_answers([("12", "", 3, 0.0021)])
    profile.count_request("12", "client_error")
    assert lines(profile)[2:-3] == [
        'kingmaker_profile_requests_total{decision="12",outcome="ok"} 1',
        'kingmaker_profile_requests_total{decision="12",outcome="client_error"} 1',
        'kingmaker_profile_rows_total{decision="12"} 3',
        'kingmaker_profile_latency_total{decision="12",le="0.003"} 1',
    ]


def test_a_latency_on_an_edge_is_within_it() -> None:
    profile = Profile(IDENTITY)
    for edge in LATENCY_EDGES:
        profile.count_answers([("none", "", 1, edge)])
    profile.count_answers([("none", "", 1, 10.1)])
    assert list(profile.latency.counts.values()) == [1] * (len(LATENCY_EDGES) + 1)
    assert profile.latency.sum(le="+Inf") == 1


def test_only_the_newest_decisions_are_kept_apart() -> None:
    profile = Profile(IDENTITY)
    for decision in range(1, 11):
        profile.count_answers([(profile.admit(str(decision)), "", 1, 0.1)])
    assert {key[0] for key in profile.rows.counts} == {PAST, *map(str, range(3, 11))}
    assert profile.rows.sum(decision=PAST) == 2
    assert profile.admit("2") == PAST
    assert profile.admit("007") == "7"
    assert profile.admit("none") == "none"


@given(st.lists(st.integers(0, 30), max_size=60))
def test_folding_decisions_loses_no_count(decisions: list[int]) -> None:
    profile = Profile(IDENTITY)
    for decision in decisions:
        profile.count_answers([(profile.admit(str(decision)), "", 1, 0.1)])
    assert profile.rows.sum() == profile.requests.sum() == profile.latency.sum() == len(decisions)
    assert len(profile.rows.counts) <= 9


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.just("\n")))
def test_labels_are_escaped_so_that_a_parser_reads_them_back(text: str) -> None:
    line = sample("feature_total", {"feature": text, "cell": 'a"b\\c\nd'}) + "7\n"
    (family,) = text_string_to_metric_families(line)
    assert family.samples[0].labels == {"feature": text, "cell": 'a"b\\c\nd'}


def test_every_cell_is_shown_in_the_order_of_the_baseline() -> None:
    values = np.arange(100, dtype=np.float32)
    feature = build_column(values, datatype="FP32", name="age", input="x", cells=2, is_category=False)
    prediction = build_column(np.array([0, 1]), datatype="INT64", output="label", is_category=True)
    score = build_column(values / 100, datatype="FP32", output="p", cells=2, is_category=False)
    profile = Profile(
        IDENTITY,
        baseline=Baseline(FORMAT, 100, [feature], prediction, score),
        features=CellCounts([feature], {"x": "FP32"}),
        answers=CellCounts([prediction, score], {"label": "INT64", "p": "FP32"}),
    )
    profile.count_cells(
        {"x": np.array([-1, 5, 500, np.nan], dtype=np.float32)},
        {"label": np.array([1, 1, 0, 7]), "p": np.array([0.1, 0.9, 0.9, 0.2], dtype=np.float32)},
    )
    shown = [line.removeprefix("kingmaker_profile_") for line in lines(profile)[5:]]
    assert shown == [
        *(f'feature_total{{feature="age",cell="{cell}"}} {n}' for cell, n in zip(
            ["below", "0", "1", "above", "missing", "infinite"], [1, 1, 0, 1, 1, 0], strict=True)),
        *(f'prediction_total{{cell="{cell}"}} {n}' for cell, n in zip(
            ["c0", "c1", "unseen", "missing"], [1, 2, 1, 0], strict=True)),
        *(f'score_total{{cell="{cell}"}} {n}' for cell, n in zip(
            ["below", "0", "1", "above", "missing", "infinite"], [0, 2, 2, 0, 0, 0], strict=True)),
    ]  # fmt: skip
