"""What a server counts, as others read it."""

import hashlib
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kingmaker_serving.labels.tokens import Tokens
from support.requests import a_request
from support.servers import Server, an_address, eventually


class Listening:
    """Something that answers HTTP and counts who asks."""

    def __init__(self, address: str, *, port: int = 0, said: tuple[int, bytes] = (200, b"{}")) -> None:
        self.asked = 0
        listening = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listening.asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(said[0])
                self.send_header("content-length", str(len(said[1])))
                self.end_headers()
                self.wfile.write(said[1])

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        self.address, self.port = address, self._server.server_port

    def __enter__(self) -> "Listening":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


KEY = "a key that the pods of a deployment share"


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


def test_feedback_judges_the_rows_once(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"])
    answer = server.infer(a_request(rows, id="the client's own"), decision=3)
    assert server.feedback({"id": answer.id, "labels": [1, 0]}).status == 400
    assert server.feedback({"id": answer.id, "labels": ["1", "0", "1"]}).status == 400
    assert server.feedback({"id": answer.id, "labels": [1, 1, 1]}).json == {"matched": 3}
    assert server.feedback({"id": answer.id, "labels": [1, 1, 1]}).status == 409
    assert server.feedback({"id": "the client's own", "labels": [1, 1, 1]}).status == 404
    counts = server.counts()
    assert counts['feedback_total{decision="3",outcome="correct"}'] == 2
    assert counts['feedback_total{decision="3",outcome="wrong"}'] == 1
    assert counts["feedback_unmatched_total"] == 1


def name_peers(path: Path, *servers: Server) -> None:
    """Name the servers to each other, as the operator does, and wait until they read it."""
    content = {"decision": 1, "champion": "", "peers": {"churn-1": [server.address for server in servers]}}
    before = {server.address: server.log.read_bytes().count(b"targets changed") for server in servers}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)
    for server in servers:
        eventually(
            lambda server=server: server.log.read_bytes().count(b"targets changed") > before[server.address],
            what="reading the names",
        )


def test_feedback_finds_the_pod_that_answered(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    first, second = (serve(packages["churn-1"], "--shadow-targets", str(file), key=KEY) for _ in range(2))
    answer = first.infer(a_request(rows[:1]), decision=3)
    early = second.feedback({"id": answer.id, "label": 1})
    assert (early.status, early.headers["retry-after"]) == (503, "10")
    assert second.counts()["feedback_unmatched_total"] == 0

    name_peers(file, first, second)
    assert second.feedback({"id": answer.id, "label": "1"}).status == 400
    assert second.feedback({"id": answer.id, "label": 1}).json == {"matched": 1}
    assert first.counts()['feedback_total{decision="3",outcome="correct"}'] == 1
    assert second.total("feedback_total") == 0
    assert second.feedback({"id": answer.id, "label": 1}).status == 409

    late = first.infer(a_request(rows[:1]))
    first.end()
    assert second.feedback({"id": late.id, "label": 1}).status == 404
    assert second.counts()["feedback_unmatched_total"] == 1
    name_peers(file, second)
    assert second.feedback({"id": late.id, "label": 1}).status == 404


def test_a_forged_id_sends_nothing_anywhere(serve: Any, packages: dict[str, Path], tmp_path: Path) -> None:
    """Who knows the key can write any address into an id: the server must ask nobody that was not named to it."""
    file = tmp_path / "targets.json"
    lonely = serve(packages["churn-1"], key=KEY)
    server = serve(packages["churn-1"], "--shadow-targets", str(file), key=KEY)
    with Listening(an_address()) as victim:
        name_peers(file, server)
        for port, status in ((victim.port, 404), (8082, 503)):
            forged = Tokens(key=KEY.encode(), address=victim.address, port=port).make(1)
            assert server.feedback({"id": forged, "label": 1}).status == status
            assert lonely.feedback({"id": forged, "label": 1}).status == 404
        assert victim.asked == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ((200, b'{"secret": "of the network"}'), 503),
        ((200, b'{"matched": 1, "secret": "of the network"}'), 503),
        ((200, b"<html>of the network</html>"), 503),
        ((200, b'{"matched": 1}' + b" " * 5000), 503),
        ((302, b"of the network"), 503),
        ((500, b"of the network"), 503),
        ((409, b'{"error": "came before"}'), 409),
        ((404, b"of the network"), 503),
        ((200, b'{"matched": 1}'), 200),
    ],
)
def test_what_a_peer_says_is_not_handed_on_as_it_is(
    serve: Any, packages: dict[str, Path], tmp_path: Path, said: tuple[int, bytes], status: int
) -> None:
    file = tmp_path / "targets.json"
    server = serve(packages["churn-1"], "--shadow-targets", str(file), key=KEY)
    with Listening(an_address(), port=8082, said=said) as peer:
        content = {"decision": 1, "champion": "", "peers": {"churn-1": [server.address, peer.address]}}
        file.write_text(json.dumps(content))
        eventually(lambda: b"targets changed" in server.log.read_bytes())
        answer = server.feedback({"id": Tokens(key=KEY.encode(), address=peer.address, port=8082).make(1), "label": 1})
        assert answer.status == status
        assert b"network" not in answer.body
        assert peer.asked == 1


def test_feedback_with_an_id_of_strangers_is_not_passed_on(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    first = serve(packages["churn-1"], key="one key")
    second = serve(packages["churn-1"], key="another key")
    answer = first.infer(a_request(rows[:1]))
    assert second.feedback({"id": answer.id, "label": 1}).status == 404
    refused = second.ask("POST", "/feedback", {"id": answer.id, "label": 1}, port=8082)
    assert refused.status == 404
    assert first.total("feedback_total") == 0


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
