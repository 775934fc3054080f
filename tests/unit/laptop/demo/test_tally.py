"""The generator's accounts: every request is answered or failed, and only a complete answer is an answer."""

from typing import Any

import pytest

from kingmaker_laptop.demo.tally import MOST_REASONS, AnswerError, Latencies, Tally, read_answer


def an_answer(rows: int = 2, **changes: Any) -> dict[str, Any]:
    label = {"name": "label", "shape": [rows], "datatype": "INT64", "data": [0] * rows}
    scores = {"name": "probabilities", "shape": [rows, 2], "datatype": "FP32", "data": [0.5] * (2 * rows)}
    return {"model_name": "m", "model_version": "m-1", "outputs": [label, scores]} | changes


def test_a_complete_answer_gives_its_labels() -> None:
    assert read_answer(an_answer(), model="m", version="m-1", rows=2) == [0, 0]


@pytest.mark.parametrize(
    ("body", "version", "complaint"),
    [
        (an_answer(model_name="other"), "m-1", "model_name is 'other'"),
        (an_answer(), "m-2", "is not header kingmaker-model 'm-2'"),
        (an_answer(), "", "is not header"),
        (an_answer(outputs=[]), "m-1", "no output 'label'"),
        (an_answer(rows=3), "m-1", r"'label' has shape \[3\], expected \[2\]"),
        (an_answer(outputs=an_answer()["outputs"][:1]), "m-1", "no output 'probabilities'"),
        (an_answer(outputs=[{"name": "label", "shape": [2], "data": [0]}]), "m-1", "'label' has shape"),
        (
            an_answer(outputs=[{"name": "label", "shape": [2], "data": [0, 7]}, an_answer()["outputs"][1]]),
            "m-1",
            "expected only 0 and 1",
        ),
    ],
    ids=["name", "version", "no header", "empty", "rows", "no scores", "short", "impossible label"],
)
def test_an_incomplete_answer_is_refused_with_what_was_found(
    body: dict[str, Any], version: str, complaint: str
) -> None:
    with pytest.raises(AnswerError, match=complaint):
        read_answer(body, model="m", version=version, rows=2)


def test_answers_and_failures_add_up() -> None:
    tally = Tally(sent=4)
    tally.answer("m-1", 3, 0.002)
    tally.answer("m-2", 1, 0.004)
    tally.fail("503: draining")
    tally.fail("503: draining")
    report = tally.report()
    assert (report["answered"], report["failed"], report["rows"]) == (2, 2, 4)
    assert report["byModel"] == {"m-1": 1, "m-2": 1}
    assert report["failures"] == {"503: draining": 2}


def test_late_labels_are_judged_per_model() -> None:
    tally = Tally()
    tally.judge("m-1", [0, 1, 1], [0, 1, 0])
    tally.judge("m-1", [1], [1])
    assert (tally.labelled_rows["m-1"], tally.wrong_labels["m-1"]) == (4, 1)


def test_reasons_of_failures_are_bounded_and_none_is_lost() -> None:
    tally = Tally()
    for number in range(MOST_REASONS + 50):
        tally.fail(f"reason {number}")
    assert len(tally.failures) == MOST_REASONS + 1
    assert tally.failed == MOST_REASONS + 50


def test_percentiles_are_within_a_cell_of_the_truth() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    assert 0.5 <= latencies.percentile(0.5) <= 0.5 * 1.1
    assert 0.99 <= latencies.percentile(0.99) <= 0.99 * 1.1


def test_nothing_counted_has_no_percentile() -> None:
    assert Latencies().percentile(0.99) == 0.0


def test_absurd_latencies_have_a_cell() -> None:
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(1e9)
    assert latencies.percentile(0.0) > 0
