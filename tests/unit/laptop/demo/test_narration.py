"""Decisions in words: figures as they are in the record, on lines of a terminal."""

import io
from typing import Any

from kingmaker_laptop.demo.narration import decision_line, describe, evidence_lines, observed_errors, traffic_line
from kingmaker_laptop.demo.screen import WIDTH, Screen


def a_check(name: str = "wrongAnswers", **changes: Any) -> dict[str, Any]:
    figures = {"estimate": "0.031", "reference": "0.172", "eValue": "41.2", "threshold": "20", "verdict": "Pass"}
    return {"name": name, "n": 812} | figures | changes


def a_decision(action: str, *checks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    weights = [{"model": "a", "weight": 95}, {"model": "b", "weight": 5}]
    head = {"action": action, "reason": "StagePassed", "message": "in words", "to": {"name": "b"}, "weights": weights}
    return head | {"evidence": list(checks)} | changes


def test_a_check_shows_rates_counts_and_the_e_value_with_its_threshold() -> None:
    assert describe(a_check()) == "wrong answers 3.1% vs 17.2%, n=812, e=41 > 20"


def test_evidence_below_the_threshold_reads_so() -> None:
    assert describe(a_check(eValue="3.4")).endswith("e=3.4 < 20")


def test_a_huge_e_value_stays_short() -> None:
    assert describe(a_check(eValue="1.234e+120")).endswith("e=1.2e+120 > 20")


def test_a_decision_names_the_model_and_the_traffic_that_follows() -> None:
    assert decision_line(a_decision("StartStage")) == "StartStage b (StagePassed): a 95%, b 5%"


def test_a_shadow_is_not_shown_as_traffic() -> None:
    weights = [{"model": "a", "weight": 100}, {"model": "b", "weight": 0, "shadowPercent": 100}]
    assert decision_line(a_decision("StartStage", weights=weights)).endswith("a 100%, b shadow 100%")


def test_a_rollback_is_about_whom_it_takes_out() -> None:
    decision = a_decision("Rollback", **{"from": {"name": "bad"}, "to": {"name": "good"}})
    assert decision_line(decision).startswith("Rollback bad")


def test_a_rollback_shows_the_check_that_failed() -> None:
    passed = a_check("errors", verdict="Pass")
    failed = a_check("moreWrongAnswers", verdict="Fail", estimate="0.2", eValue="130", threshold="100")
    assert evidence_lines(a_decision("Rollback", passed, failed)) == [
        "wrong answers 20.0% vs 17.2%, n=812, e=130 > 100"
    ]


def test_a_stage_shows_its_sentence_and_the_figures() -> None:
    lines = evidence_lines(a_decision("StartStage", a_check(), message="b goes from stage shadow to canary"))
    assert lines == ["b goes from stage shadow to canary", "wrong answers 3.1% vs 17.2%, n=812, e=41 > 20"]


def test_a_decision_without_figures_shows_its_sentence() -> None:
    assert evidence_lines(a_decision("SkipRetraining")) == ["in words"]


def test_observed_errors_are_those_since_the_earlier_report() -> None:
    before = {"labelledRows": {"m": 100}, "wrongRows": {"m": 50}}
    now = {"labelledRows": {"m": 300}, "wrongRows": {"m": 60}}
    assert observed_errors(now, before, "m") == "5.0% of 200 labelled rows wrong"
    assert observed_errors(now, before, "other") == "no labelled rows yet"


def test_the_line_at_the_bottom_says_requests_failures_latency_and_traffic() -> None:
    report = {"sent": 12345, "failed": 0, "p99Milliseconds": 7.5}
    variants = [{"name": "a", "weight": 95}, {"name": "b", "weight": 5}]
    assert traffic_line(report, variants) == "12,345 requests, 0 failed, p99 7.5 ms | a 95%, b 5%"


def test_a_pipe_gets_no_control_codes_and_no_live_line() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.heading("1  A step")
    screen.live("12 requests")
    screen.event(12.3, "promoted", good=True)
    assert "\x1b" not in stream.getvalue()
    assert "12 requests" not in stream.getvalue()
    assert "  12.3s  promoted\n" in stream.getvalue()


def test_no_line_is_wider_than_the_terminal() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.event(1.0, "word " * 60)
    screen.evidence("word " * 60)
    screen.note("word " * 60)
    screen.heading("word " * 60)
    assert max(map(len, stream.getvalue().splitlines())) <= WIDTH
