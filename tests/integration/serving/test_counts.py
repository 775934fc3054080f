"""What a server counts, as others read it."""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.requests import a_request
from support.servers import Server, eventually


def targets(path: Path, *servers: Server, champion: str = "churn-1", decision: int = 12, percent: int = 100) -> None:
    content = {
        "decision": decision,
        "champion": champion,
        "targets": [
            {"model": s.version, "digest": "sha256:0", "url": f"http://{s.address}:8080", "percent": percent}
            for s in servers
        ],
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)


def test_requests_and_rows_are_counted_per_decision(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"])
    server.infer(a_request(rows), decision=7)
    server.infer(a_request(rows[:1]), decision=8)
    server.infer(a_request(rows[:1]))
    server.infer(a_request(rows[:1]), headers={"kingmaker-decision": "8; drop"})
    server.infer(a_request(rows[:1]), headers={"kingmaker-decision": "1234567890"})
    server.infer(b"{", decision=8)
    counts = server.counts()
    assert {key: n for key, n in counts.items() if key.startswith(("requests", "rows"))} == {
        'requests_total{decision="7",outcome="ok"}': 1,
        'requests_total{decision="8",outcome="ok"}': 1,
        'requests_total{decision="8",outcome="client_error"}': 1,
        'requests_total{decision="none",outcome="ok"}': 3,
        'rows_total{decision="7"}': 3,
        'rows_total{decision="8"}': 1,
        'rows_total{decision="none"}': 3,
    }
    assert sum(n for key, n in counts.items() if key.startswith("latency")) == 5
    assert sum(n for key, n in counts.items() if key.startswith('feature_total{feature="age"')) == 7
    assert (counts['prediction_total{cell="c0"}'], counts['prediction_total{cell="c1"}']) == (1, 6)
    assert sum(n for key, n in counts.items() if key.startswith("score_total")) == 7


def test_metrics_are_prometheus_text_and_tell_the_same(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"])
    for _ in range(3):
        server.infer(a_request(rows), decision=1)
    found = {s.name: s for family in text_string_to_metric_families(server.manage("/metrics").body.decode())
             for s in family.samples}  # fmt: skip
    assert found["kingmaker_requests_total"].value == 3
    assert found["kingmaker_request_duration_seconds_count"].value == 3
    assert found["kingmaker_request_duration_seconds_sum"].value > 0
    assert found["process_resident_memory_bytes"].value > 0
    assert "kingmaker_predictions_total" in found


def test_the_baseline_is_given_as_it_was_verified(serve: Any, packages: dict[str, Path]) -> None:
    server = serve(packages["churn-1"])
    content = server.manage("/baseline").body
    assert content == (packages["churn-1"] / "baseline.json").read_bytes()
    assert f'baseline_digest="sha256:{hashlib.sha256(content).hexdigest()}"' in server.manage("/profile").body.decode()
    assert f'pod="pod-{server.version}"' in server.manage("/profile").body.decode()


def test_pairs_are_compared_and_judged_on_both_sides(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    challenger = serve(packages["churn-2"], version="churn-2")
    champion = serve(packages["churn-1"], "--shadow-targets", str(file), version="churn-1")
    champion.infer(a_request(rows), decision=11)
    targets(file, challenger)
    eventually(lambda: b"targets changed" in champion.log.read_bytes())
    answers = [champion.infer(a_request(rows, outputs=[{"name": "label"}]), decision=12) for _ in range(20)]
    prefix = 'shadow_pairs_total{challenger="churn-2",decision="12"'
    eventually(lambda: champion.total(prefix) == 60)
    assert champion.counts()[f'{prefix},result="disagree"}}'] == 60
    champion.feedback({"id": answers[0].id, "labels": [1, 0, 0]})
    judged = 'shadow_feedback_total{challenger="churn-2",decision="12",champion='
    assert champion.counts()[f'{judged}"correct",challenger_outcome="wrong"}}'] == 2
    assert champion.counts()[f'{judged}"wrong",challenger_outcome="correct"}}'] == 1
    assert challenger.counts()['rows_total{decision="shadow"}'] == 60
    assert challenger.total("feature_total") == 180
    assert challenger.feedback({"id": answers[1].id, "labels": [1, 0, 0]}).status == 404


def test_a_server_that_is_not_the_champion_copies_nothing(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    other = serve(packages["churn-1"], version="churn-1")
    server = serve(packages["churn-2"], "--shadow-targets", str(file), version="churn-2")
    targets(file, other, champion="churn-2", decision=1)
    eventually(lambda: server.infer(a_request(rows)).status == 200 and server.total("shadow_pairs") > 0)
    targets(file, other, champion="churn-1", decision=2)
    eventually(lambda: server.log.read_bytes().count(b"targets changed") == 2)
    before = other.total("rows_total")
    assert server.infer(a_request(rows)).status == 200
    assert server.total('shadow_pairs_total{challenger="churn-1",decision="2"') == 0
    assert other.total("rows_total") == before


def test_a_challenger_that_is_gone_costs_the_champion_nothing(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    challenger = serve(packages["churn-2"], version="churn-2")
    champion = serve(packages["churn-1"], "--shadow-targets", str(file))
    targets(file, challenger)
    challenger.end()
    eventually(lambda: b"targets changed" in champion.log.read_bytes())
    assert all(champion.infer(a_request(rows)).status == 200 for _ in range(10))
    failed = 'shadow_failures_total{challenger="churn-2",decision="12",side="challenger"}'
    eventually(lambda: champion.counts().get(failed) == 10)


@pytest.mark.parametrize("percent", [0, 30])
def test_a_part_of_the_requests_is_copied(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path, percent: int
) -> None:
    file = tmp_path / "targets.json"
    challenger = serve(packages["churn-2"], version="churn-2")
    targets(file, challenger, percent=percent)
    champion = serve(packages["churn-1"], "--shadow-targets", str(file))
    eventually(lambda: b"targets changed" in champion.log.read_bytes())
    tokens = [champion.infer(a_request(rows[:1])).id for _ in range(200)]
    expected = sum(zlib.crc32(token.encode()) % 100 < percent for token in tokens)
    eventually(lambda: champion.total("shadow_pairs") == expected)
    assert (expected == 0) == (percent == 0)
