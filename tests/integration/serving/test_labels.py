"""Labels at real servers: judged by whatever pod they reach, once, however many pods came and went since."""

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker_serving.digest import sha256
from kingmaker_serving.labels.ids import Ids
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.protocol.signature import Task, TaskType
from support.listening import Listening
from support.requests import a_request
from support.servers import Server, an_address, eventually

CLASSES = Task(TaskType.CLASSIFICATION, "label")
WIDE = 300
"""Rows whose answers do not fit into an id."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with one key, as a Secret is mounted."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "2026-01-01").write_bytes(os.urandom(32))
    return folder


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


def an_id(keys: Path, address: str, *, rows: int = 1) -> str:
    """Forge an id with a stolen key: it says that the pod with this address remembers more of a request."""
    ids = Ids(Keys(keys), deployment="churn", model="churn-1", digest="sha256:00", task=CLASSES, address=address)
    return ids.make(1, np.ones(rows), is_copied=True).text


def judged(server: Server) -> dict[tuple[str, str, str], int]:
    """Rows by model, decision and outcome."""
    found: dict[tuple[str, str, str], int] = {}
    for key, count in server.counts().items():
        if key.startswith("feedback_total"):
            labels = dict(part.split("=") for part in key[len("feedback_total{") : -1].replace('"', "").split(","))
            found[labels["model"], labels["decision"], labels["outcome"]] = count
    return found


def test_labels_are_counted_by_the_bucket_that_the_request_had(
    serve: Any, packages: dict[str, Path], keys: Path, rows: np.ndarray
) -> None:
    first = serve(packages["churn-1"], keys=keys)
    stamps = {"kingmaker-bucket": "117"}
    answer = first.infer(a_request(rows), decision=3, headers=stamps)
    assert first.total('bucket_latency_total{decision="3",bucket="117"') == 1
    first.end()
    second = serve(packages["churn-2"], version="churn-2", keys=keys)
    assert second.feedback({"id": answer.id, "labels": [1, 1, 1]}).json == {"matched": 3}
    digest = sha256((packages["churn-1"] / "model.onnx").read_bytes())[7:23]
    about = f'model="churn-1",digest="{digest}",decision="3",bucket="117"'
    counts = second.counts()
    assert counts[f'bucket_feedback_total{{{about},count="requests"}}'] == 1
    assert second.total(f"bucket_classes_total{{{about}") == 1


def test_labels_judge_the_rows_once(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"])
    answer = server.infer(a_request(rows), decision=3)
    assert server.feedback({"id": answer.id, "labels": [1, 0]}).status == 400
    assert server.feedback({"id": answer.id, "labels": ["1", "0", "1"]}).status == 400
    assert server.feedback({"id": answer.id, "labels": [1, 1, 1]}).json == {"matched": 3}
    assert server.feedback({"id": answer.id, "labels": [1, 1, 1]}).status == 409
    assert server.feedback({"id": "nobody's", "labels": [1, 1, 1]}).status == 404
    assert judged(server) == {("churn-1", "3", "correct"): 2, ("churn-1", "3", "wrong"): 1}
    counts = server.counts()
    assert counts["feedback_unmatched_total"] == 1
    assert counts["feedback_repeated_total"] == 1
    assert server.total("feedback_requests_total") == server.total("feedback_classes_total") == 1


def test_the_score_and_both_classes_are_counted_per_request(
    serve: Any, packages: dict[str, Path], rows: np.ndarray
) -> None:
    server = serve(packages["churn-1"])
    for label in (1, 0):
        answer = server.infer(a_request(rows[:1]), decision=3)
        score = answer.json["outputs"][1]["data"][1]
        server.feedback({"id": answer.id, "label": label})
    cells = json.loads((packages["churn-1"] / "baseline.json").read_text())["score"]["cells"]
    place = next(i for i, cell in enumerate(cells) if score <= cell.get("upper", 9))
    digest = sha256((packages["churn-1"] / "model.onnx").read_bytes())[7:23]
    head = f'feedback_classes_total{{model="churn-1",digest="{digest}",decision="3",score="{place}",predicted="1"'
    counts = server.counts()
    assert counts[f'{head},true="1",outcome="correct"}}'] == 1
    assert counts[f'{head},true="0",outcome="wrong"}}'] == 1


def test_a_batch_of_ten_thousand_is_taken_line_by_line(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    server = serve(packages["churn-1"])
    ids = [server.infer(a_request(rows[:1])).id for _ in range(50)]
    lines = [{"id": ids[i] if i < 50 else f"no-{i}", "label": 1} for i in range(10_000)]
    body = gzip.compress("\n".join(map(json.dumps, lines)).encode())
    path = f"/v2/models/{server.model}/feedback"
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    answer = server.ask("POST", path, body, headers=headers)
    results = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert results[:50] == [{"matched": 1}] * 50
    assert {result["status"] for result in results[50:-1]} == {404}
    assert results[-1] == {"total": {"accepted": 50, "failed": 9950, "matched": 50}}
    answer = server.ask("POST", path, lines[:10])
    assert {result["status"] for result in answer.json["results"]} == {409}


def test_ids_of_the_client_s_own_are_found_at_other_pods(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, tmp_path: Path, keys: Path
) -> None:
    file = tmp_path / "targets.json"
    first, second = (serve(packages["churn-1"], "--shadow-targets", str(file), keys=keys) for _ in range(2))
    first.infer(a_request(rows[:1], id="order-17"))
    assert first.feedback({"id": "order-16", "label": 1}).status == 404
    assert second.feedback({"id": "order-17", "label": 1}).status == 404
    name_peers(file, first, second)
    assert second.feedback({"id": "order-17", "label": 1}).json == {"matched": 1}
    assert second.feedback({"id": "order-17", "label": 1}).status == 409
    first.end()
    assert second.feedback({"id": "order-18", "label": 1}).status == 404


def test_answers_of_very_many_rows_are_judged_at_their_pod(
    serve: Any, packages: dict[str, Path], tmp_path: Path, keys: Path
) -> None:
    file = tmp_path / "targets.json"
    first, second = (serve(packages["churn-1"], "--shadow-targets", str(file), keys=keys) for _ in range(2))
    many, labels = a_request(np.full((WIDE, 3), 2.0)), [1] * WIDE
    answer = first.infer(many, decision=3)
    early = second.feedback({"id": answer.id, "labels": labels})
    assert (early.status, early.headers["retry-after"]) == (503, "10")
    assert second.counts()["feedback_unmatched_total"] == 0

    name_peers(file, first, second)
    assert second.feedback({"id": answer.id, "labels": ["1"] * WIDE}).status == 400
    assert second.feedback({"id": answer.id, "labels": labels}).json == {"matched": WIDE}
    assert (judged(first), judged(second)) == ({("churn-1", "3", "correct"): WIDE}, {})
    assert second.feedback({"id": answer.id, "labels": labels}).status == 409

    late = first.infer(many)
    first.end()
    assert second.feedback({"id": late.id, "labels": labels}).status == 404
    assert second.counts()["feedback_unmatched_total"] == 1
    name_peers(file, second)
    assert second.feedback({"id": late.id, "labels": labels}).status == 404


def test_a_forged_id_sends_nothing_anywhere(serve: Any, packages: dict[str, Path], tmp_path: Path, keys: Path) -> None:
    """Who stole the key can write any address into an id: a server asks nobody that was not named to it."""
    file = tmp_path / "targets.json"
    server = serve(packages["churn-1"], "--shadow-targets", str(file), keys=keys)
    with Listening(an_address(), port=8082) as victim:
        name_peers(file, server)
        assert server.feedback({"id": an_id(keys, victim.address), "label": 1}).status == 200
        assert server.feedback({"id": an_id(keys, victim.address, rows=WIDE), "labels": [1] * WIDE}).status == 503
        assert server.counts()["feedback_unpaired_total"] == 1
        assert victim.asked == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ((200, b'{"secret": "of the network"}'), 503),
        ((200, b'[{"matched": 1}, {"matched": 1, "secret": "of the network"}]'), 503),
        ((200, b"<html>of the network</html>"), 503),
        ((200, b'[{"matched": 1}]' + b" " * 5_000_000), 503),
        ((302, b"of the network"), 503),
        ((500, b"of the network"), 503),
        ((409, b'{"error": "of the network"}'), 503),
        ((200, b'[{"status": 409, "error": "came before"}]'), 409),
        ((200, b'[{"status": 418, "error": "of the network"}]'), 503),
        ((200, b'[{"matched": 300}]'), 200),
    ],
)
def test_what_a_peer_says_is_not_handed_on_as_it_is(
    serve: Any, packages: dict[str, Path], tmp_path: Path, keys: Path, said: tuple[int, bytes], status: int
) -> None:
    file = tmp_path / "targets.json"
    server = serve(packages["churn-1"], "--shadow-targets", str(file), keys=keys)
    with Listening(an_address(), port=8082, said=said) as peer:
        content = {"decision": 1, "champion": "", "peers": {"churn-1": [server.address, peer.address]}}
        file.write_text(json.dumps(content))
        eventually(lambda: b"targets changed" in server.log.read_bytes())
        answer = server.feedback({"id": an_id(keys, peer.address, rows=WIDE), "labels": [1] * WIDE})
        assert answer.status == status
        assert b"network" not in answer.body
        assert peer.asked == 1


def test_ids_of_strangers_are_unknown(serve: Any, packages: dict[str, Path], rows: np.ndarray) -> None:
    first, second = serve(packages["churn-1"]), serve(packages["churn-1"])
    answer = first.infer(a_request(rows[:1]))
    assert second.feedback({"id": answer.id, "label": 1}).status == 404
    passed = second.ask("POST", "/feedback", [{"id": answer.id, "labels": [1]}], port=8082)
    assert passed.json[0]["status"] == 404
    assert judged(first) == judged(second) == {}


def test_a_key_is_changed_under_a_running_server(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, keys: Path
) -> None:
    old = serve(packages["churn-1"], keys=keys)
    before = old.infer(a_request(rows[:1])).id
    (keys / "2026-02-01").write_bytes(os.urandom(32))
    new = serve(packages["churn-1"], keys=keys)
    after = new.infer(a_request(rows[:1])).id
    assert before[:6] != after[:6]
    eventually(lambda: b"keys of the request ids changed" in old.log.read_bytes(), what="reading the keys")
    assert old.feedback({"id": after, "label": 1}).status == 200
    assert new.feedback({"id": before, "label": 1}).status == 200
    (keys / "2026-01-01").unlink()
    eventually(lambda: old.infer(a_request(rows[:1])).id[:6] == after[:6], what="making ids with the new key")
    assert old.feedback({"id": before, "label": 1}).status == 404


def test_a_server_without_a_key_in_its_folder_says_so(serve: Any, packages: dict[str, Path], tmp_path: Path) -> None:
    server = serve(packages["churn-1"], keys=tmp_path, ready=False)
    assert server.process.wait(timeout=30) == 1
    assert "holds no key" in json.loads(server.termination_log.read_text())["message"]


class Fleet:
    """The pods of a deployment over time, and what the operator sums up of all of them."""

    def __init__(self, start: Callable[[str], Server], digests: dict[str, str]) -> None:
        self._start = start
        self._reader = ExpositionReader()
        self._wanted = {digest: frozenset({3, 4}) for digest in digests.values()}
        self._names = {digest: name for name, digest in digests.items()}
        self._ledger = Ledger()
        self.pods: list[Server] = []

    def scale(self, **pods: int) -> None:
        """Replace all pods by this many per model; the old ones are killed, once they were looked at."""
        self.look()
        old, self.pods = self.pods, [self._start(f"churn-{m[1:]}") for m, n in pods.items() for _ in range(n)]
        for pod in old:
            pod.end(signal.SIGKILL)

    def look(self) -> None:
        looks = [self._reader.read(pod.address, pod.manage("/profile").body, {}).counts for pod in self.pods]
        uids = frozenset(pod.address for pod in self.pods)
        self._ledger = fold(self._ledger, looks, pods=uids, wanted=self._wanted, watched=None).ledger

    @property
    def judged(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        """Right and wrong rows, and requests, by model and decision."""
        self.look()
        return {
            (self._names[digest], decision): (counts.arm.correct, counts.arm.wrong, sum(counts.arm.judged))
            for digest, decisions in self._ledger.totals.items()
            for decision, counts in decisions.items()
            if counts.arm.labelled
        }


def test_every_label_counts_once_though_every_pod_was_replaced(
    serve: Any, packages: dict[str, Path], rows: np.ndarray, keys: Path
) -> None:
    """Predict; kill and replace every pod; scale 2 → 5 → 2; promote; the labels come at any time to any pod."""
    digests = {name: sha256((folder / "model.onnx").read_bytes()) for name, folder in packages.items()}
    fleet = Fleet(lambda version: serve(packages[version], version=version, keys=keys), digests)
    waiting: list[tuple[str, list[int]]] = []
    expected: dict[tuple[str, int], tuple[int, int, int]] = {}

    def predict(decision: int, labels: list[int]) -> None:
        for pod in fleet.pods:
            answer = pod.infer(a_request(rows), decision=decision)
            said = answer.json["outputs"][0]["data"]
            right = sum(a == b for a, b in zip(said, labels, strict=True))
            before = expected.get((pod.version, decision), (0, 0, 0))
            expected[pod.version, decision] = (before[0] + right, before[1] + len(labels) - right, before[2] + 1)
            waiting.append((answer.id, labels))

    def label(count: int) -> None:
        for number in range(count):
            text, labels = waiting.pop(0)
            pod = fleet.pods[number % len(fleet.pods)]
            assert pod.feedback({"id": text, "labels": labels}).json == {"matched": len(labels)}

    fleet.scale(m1=1, m2=1)
    predict(3, [1, 0, 0])
    predict(3, [0, 0, 0])
    label(1)
    fleet.scale(m1=2, m2=3)
    predict(3, [1, 1, 1])
    label(4)
    # Promoted: requests carry the next decision, and the old champion's pods go.
    fleet.scale(m2=2)
    predict(4, [0, 1, 0])
    label(len(waiting))
    assert fleet.judged == expected
    assert set(expected) == {("churn-1", 3), ("churn-2", 3), ("churn-2", 4)}
    assert sum(pod.counts()["feedback_unmatched_total"] for pod in fleet.pods) == 0
