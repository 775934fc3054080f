"""The Open Inference Protocol over HTTP, on a real process."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from support.onnx_models import echo, endless, expanding, two_inputs
from support.requests import a_request
from support.servers import CLASSES, Server, a_folder, a_server, eventually

LIMIT = 20_000


@pytest.fixture(scope="module")
def server(packages: dict[str, Path]) -> Iterator[Server]:
    options = ["--max-request-bytes", str(LIMIT), "--body-seconds", "0.5"]
    with a_server(packages["churn-1"], *options, task=CLASSES) as running:
        yield running


def test_an_answer_says_who_gave_it(server: Server, rows: np.ndarray) -> None:
    answer = server.infer(a_request(rows))
    body = answer.json
    assert answer.status == 200
    assert answer.headers["kingmaker-model"] == "churn-1"
    assert (body["model_name"], body["model_version"], body["id"]) == ("churn", "churn-1", answer.id)
    assert [output["name"] for output in body["outputs"]] == ["label", "probabilities"]
    assert body["outputs"][0]["data"] == [1, 0, 1]
    assert body["outputs"][1]["shape"] == [3, 2]
    assert 0 < float(answer.headers["kingmaker-execution-seconds"]) < 10


def test_the_client_keeps_its_own_id_and_gets_the_outputs_it_wants(server: Server, rows: np.ndarray) -> None:
    answer = server.infer(a_request(rows, id="mine", outputs=[{"name": "label"}]))
    assert answer.json["id"] == "mine"
    assert answer.id != "mine"
    assert [output["name"] for output in answer.json["outputs"]] == ["label"]


def test_metadata_and_health(server: Server) -> None:
    assert server.ask("GET", "/v2").json["name"] == "kingmaker-serving"
    assert server.ask("GET", "/v2/health/live").json == {"live": True}
    assert server.ask("GET", "/v2/health/ready").json == {"ready": True}
    assert server.ask("GET", "/v2/models/churn/ready").json == {"name": "churn", "ready": True}
    assert server.ask("GET", "/v2/models/churn").json == {
        "name": "churn",
        "versions": ["churn-1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }


def test_a_packed_request_and_missing_values_are_accepted(server: Server) -> None:
    body = a_request([[1, 2, 3]])
    body["inputs"][0]["data"][1] = None
    before = server.counts()['feature_total{feature="income",cell="missing"}']
    packed = gzip.compress(json.dumps(body).encode())
    answer = server.infer(packed, headers={"content-encoding": "gzip"})
    assert answer.status == 200
    assert answer.json["outputs"][1]["data"] == [None, None]
    assert server.counts()['feature_total{feature="income",cell="missing"}'] == before + 1


def test_what_curl_says_of_its_data_is_accepted(server: Server) -> None:
    assert server.infer(GOOD, headers={"content-type": "application/x-www-form-urlencoded"}).status == 200


def test_several_inputs_numeric_and_text(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, two_inputs())) as server:
        tensors = [
            {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["é", ""]},
            {"name": "b", "datatype": "FP32", "shape": [2], "data": [1, 2]},
            {"name": "a", "datatype": "FP32", "shape": [2], "data": [10, 20]},
        ]
        outputs = server.infer({"inputs": tensors}).json["outputs"]
        assert [output["data"] for output in outputs] == [[11.0, 22.0], ["é", ""]]
        tensors[1] |= {"shape": [3], "data": [1, 2, 3]}
        refused = server.infer({"inputs": tensors})
        assert refused.status == 400
        assert "'b' [3], 'a' [2]" in refused.json["error"]


def test_no_rows_are_rows_too(server: Server) -> None:
    answer = server.infer(a_request(np.zeros((0, 3))))
    assert answer.status == 200
    assert [(output["shape"], output["data"]) for output in answer.json["outputs"]] == [([0], []), ([0, 2], [])]


def test_an_image_fits_as_bytes(tmp_path: Path) -> None:
    image = np.random.default_rng(1).random((1, 3, 640, 640), dtype=np.float32)
    with a_server(a_folder(tmp_path, echo(TensorProto.FLOAT, shape=["n", 3, 640, 640]))) as server:
        text = json.dumps(a_request(image, name="x")).encode()
        assert len(text) > 20_000_000
        assert server.infer(text).status == 413
        tensor = {
            "name": "x",
            "datatype": "FP32",
            "shape": image.shape,
            "parameters": {"binary_data_size": image.nbytes},
        }
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        answer = server.infer(head + image.tobytes(), headers={"inference-header-content-length": str(len(head))})
        end = int(answer.headers["inference-header-content-length"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.body[end:] == image.tobytes()
        # The limit is the same for what was packed, and for numbers that need more room than their text.
        packed = gzip.compress(b" " * 17_000_000)
        assert server.infer(packed, headers={"content-encoding": "gzip"}).status == 413


def test_numbers_are_counted_as_they_are_held(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, echo(TensorProto.DOUBLE)), "--max-request-bytes", "100000") as server:
        body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [12_501], "data": [0] * 12_501}]}
        answer = server.infer(body)
        assert answer.status == 413
        assert "100008 bytes once decoded" in answer.json["error"]


def test_a_model_without_baseline_task_or_examples_serves(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, echo(TensorProto.INT64))) as server:
        body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [2], "data": [5, 2**62]}]}
        answer = server.infer(body, decision=4)
        assert answer.json["outputs"][0]["data"] == [5, 2**62]
        assert 'baseline_digest=""' in server.manage("/profile").body.decode()
        assert server.counts()['rows_total{decision="4"}'] == 2
        assert server.manage("/baseline").status == 404
        assert server.feedback({"id": answer.id, "labels": [5, 6]}).status == 400


def tensor(**fields: Any) -> bytes:
    base = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    return json.dumps({"inputs": [base | fields]}).encode()


def data(text: str) -> bytes:
    return tensor(data=[]).replace(b'"data": []', f'"data": {text}'.encode())


GOOD = tensor()
HUGE = GOOD.replace(b"[1, 3]", b"[" + b"9" * 1000 + b", 3]")
BINARY = tensor(data=None, parameters={"binary_data_size": 12}).replace(b'"data": null, ', b"")
BOMB = gzip.compress(bytes(10_000_000))
INFER = "/v2/models/churn/infer"
FEEDBACK = "/v2/models/churn/feedback"
BAD: list[tuple[str, str, str, bytes | None, dict[str, str], int, str]] = [
    ("empty body", "POST", INFER, b"", {}, 400, "truncated"),
    ("no JSON", "POST", INFER, b"hello", {}, 400, "malformed"),
    ("JSON that is cut off", "POST", INFER, GOOD[:-5], {}, 400, "truncated"),
    ("something after the end", "POST", INFER, GOOD + b"x", {}, 400, "malformed"),
    ("a list", "POST", INFER, b"[]", {}, 400, "expected object, got array"),
    ("null", "POST", INFER, b"null", {}, 400, "expected object, got null"),
    ("no inputs", "POST", INFER, b"{}", {}, 400, "inputs"),
    ("inputs of another type", "POST", INFER, b'{"inputs": 5}', {}, 400, "expected array, got int"),
    ("an input that is no object", "POST", INFER, b'{"inputs": [5]}', {}, 400, "expected object"),
    ("no tensors", "POST", INFER, b'{"inputs": []}', {}, 400, "features FP32 [-1, 3]"),
    ("65 tensors", "POST", INFER, b'{"inputs": [' + b",".join([GOOD[12:-2]] * 65) + b"]}", {}, 400, "there twice"),
    ("a number as id", "POST", INFER, GOOD[:-1] + b', "id": 5}', {}, 400, "expected str | null, got int"),
    ("unknown input", "POST", INFER, tensor(name="z"), {}, 400, "input 'z' is unknown; the model takes ['features']"),
    ("no name", "POST", INFER, b'{"inputs": [{"datatype": "FP32", "shape": [1, 3], "data": []}]}', {}, 400, "name"),
    ("input twice", "POST", INFER, b'{"inputs": [' + GOOD[12:-2] + b", " + GOOD[12:-2] + b"]}", {}, 400, "there twice"),
    ("unknown output", "POST", INFER, GOOD[:-1] + b', "outputs": [{"name": "z"}]}', {}, 400, "output 'z' is unknown"),
    ("another datatype", "POST", INFER, tensor(datatype="INT64"), {}, 400, "has datatype INT64, the model takes FP32"),
    ("no datatype at all", "POST", INFER, tensor(datatype="FLOAT"), {}, 400, "has datatype FLOAT"),
    ("half floats", "POST", INFER, tensor(datatype="FP16"), {}, 400, "FP16, the model takes FP32"),
    ("a rank too few", "POST", INFER, tensor(shape=[3]), {}, 400, "2 dimensions expected, got 1"),
    ("a rank too many", "POST", INFER, tensor(shape=[1, 3, 1]), {}, 400, "2 dimensions expected, got 3"),
    ("a wrong width", "POST", INFER, tensor(shape=[1, 4]), {}, 400, "dimension 1 must be 3, got 4"),
    ("rows that are not there", "POST", INFER, tensor(shape=[0, 3]), {}, 400, "3 elements do not fill shape [0, 3]"),
    ("a negative size", "POST", INFER, tensor(shape=[-1, 3]), {}, 400, "no dimension may be negative"),
    ("an overflowing product", "POST", INFER, tensor(shape=[2**62, 3]), {}, 400, "elements; send fewer rows"),
    ("a size of a thousand digits", "POST", INFER, HUGE, {}, 400, "elements; send fewer rows"),
    ("a size with a fraction", "POST", INFER, GOOD.replace(b"[1, 3]", b"[1.5, 3]"), {}, 400, "expected int, got float"),
    ("too few numbers", "POST", INFER, tensor(data=[1, 2]), {}, 400, "2 elements do not fill shape [1, 3]"),
    ("too many numbers", "POST", INFER, tensor(data=[1] * 4), {}, 400, "4 elements do not fill"),
    ("no data", "POST", INFER, b'{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3]}]}', {}, 400,
     "has no data"),
    ("text for a number", "POST", INFER, data('[1, "2", 3]'), {}, 400, "got str - at data[1]"),
    ("a truth value for a number", "POST", INFER, data("[1, true, 3]"), {}, 400, "got bool"),
    ("an object for a list", "POST", INFER, data('{"0": 1}'), {}, 400, "expected array, got object"),
    ("a word that is none", "POST", INFER, data("[1, Nan, 3]"), {}, 400, "malformed"),
    ("a number beyond doubles", "POST", INFER, data("[1, 1e400, 3]"), {}, 400, "out of range"),
    ("a number beyond floats", "POST", INFER, data("[1, 1e39, 3]"), {}, 400, "element 1 (1e+39) is beyond"),
    ("nesting that is ragged", "POST", INFER, data("[[1, 2], 3]"), {}, 400, "does not follow shape"),
    ("2,000 levels", "POST", INFER, data("[" * 2000 + "]" * 2000), {}, 400, "nested"),
    ("9,000 levels of something else", "POST", INFER, b'{"x": ' + b"[" * 9000 + b"]" * 9000 + b"}", {}, 400, "nested"),
    ("bytes that are no UTF-8", "POST", INFER, b'{"inputs": [{"name": "\xff"}]}', {}, 400, "utf-8"),
    ("another model", "POST", "/v2/models/other/infer", GOOD, {}, 404, "the models here are 'churn'"),
    ("another page", "GET", "/v3", None, {}, 404, "nothing at '/v3'"),
    ("health below the model", "GET", "/v2/models/churn/v2/health/live", None, {}, 404, "nothing at"),
    ("readiness without the model", "GET", "/ready", None, {}, 404, "nothing at"),
    ("a model whose name goes on", "GET", "/v2/models/churn/v2", None, {}, 404, "nothing at"),
    ("infer by GET", "GET", INFER, None, {}, 405, "use POST"),
    ("health by POST", "POST", "/v2/health/live", GOOD, {}, 405, "use GET"),
    ("infer by DELETE", "DELETE", INFER, None, {}, 405, "use POST"),
    ("too large", "POST", INFER, b" " * (LIMIT + 1), {}, 413, f"at most {LIMIT} are accepted"),
    ("a gzip bomb", "POST", INFER, BOMB, {"content-encoding": "gzip"}, 413, "once unpacked"),
    ("gzip that is none", "POST", INFER, GOOD, {"content-encoding": "gzip"}, 400, "is not gzip"),
    ("gzip that is cut off", "POST", INFER, gzip.compress(GOOD)[:-4], {"content-encoding": "gzip"}, 400, "cut off"),
    ("another encoding", "POST", INFER, GOOD, {"content-encoding": "br"}, 415, "use gzip, deflate or none"),
    ("another type", "POST", INFER, GOOD, {"content-type": "xml"}, 415, "content-type is 'xml'; send JSON"),
    ("binary tensors without bytes", "POST", INFER, BINARY, {"inference-header-content-length": str(len(BINARY))}, 400,
     "binary_data_size of 12, and 0 bytes follow"),
    ("JSON that ends in its middle", "POST", INFER, GOOD, {"inference-header-content-length": "9"}, 400, "truncated"),
    ("JSON longer than the body", "POST", INFER, GOOD, {"inference-header-content-length": "999"}, 400, "is 999, but"),
    ("a length that is none", "POST", INFER, GOOD, {"inference-header-content-length": "x"}, 400, "the length"),
    ("another version", "POST", "/v2/models/churn/versions/churn-2/infer", GOOD, {}, 404, "has version 'churn-1'"),
    ("loading a model", "POST", "/v2/repository/models/churn/load", b"", {}, 400, "not loaded or unloaded by requests"),
    ("feedback without id", "POST", FEEDBACK, b'{"labels": [1]}', {}, 400, "id"),
    ("feedback without labels", "POST", FEEDBACK, b'{"id": "x"}', {}, 400, 'either "labels"'),
    ("feedback with both forms", "POST", FEEDBACK, b'{"id": "x", "label": 1, "labels": [1]}', {}, 400,
     'either "labels"'),
    ("feedback for nobody", "POST", FEEDBACK, b'{"id": "x", "label": 1}', {}, 404, "remembered"),
    ("feedback with more", "POST", FEEDBACK, b'{"id": "x", "label": 1, "y": 2}', {}, 400, "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "words"), [case[1:] for case in BAD],
                         ids=[case[0] for case in BAD])  # fmt: skip
def test_bad_input_is_told_what_is_wrong(
    server: Server, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, words: str
) -> None:
    answer = server.ask(method, path, body, headers=headers)
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error"}
    assert words.lower() in answer.json["error"].lower()
    assert len(answer.json["error"]) < 500
    assert "Traceback" not in answer.json["error"]
    assert "/" not in answer.json["error"].replace("application/json", "").replace(
        "application/octet-stream", ""
    ).replace(path, "")


def test_after_all_of_that_the_server_answers_and_has_counted(server: Server, rows: np.ndarray) -> None:
    assert server.infer(a_request(rows)).status == 200
    counts = server.counts()
    assert counts['requests_total{decision="none",outcome="client_error"}'] >= 40
    assert 'requests_total{decision="none",outcome="server_error"}' not in counts


def test_a_body_that_comes_too_slowly_is_not_waited_for(server: Server) -> None:
    with socket.create_connection((server.address, 8080), timeout=10) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 s" in answer


def test_a_head_without_end_is_cut_off(server: Server) -> None:
    with socket.create_connection((server.address, 8080), timeout=10) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\n".encode())
        answer = b""
        try:
            for _ in range(200):
                connection.sendall(b"x-filler: " + b"y" * 1000 + b"\r\n")
            while chunk := connection.recv(4096):
                answer += chunk
        except ConnectionError:
            pass
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer
    assert server.is_ready()


def test_requests_one_behind_the_other_on_one_connection(server: Server) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(GOOD)}\r\n\r\n"
    with socket.create_connection((server.address, 8080), timeout=10) as connection:
        connection.sendall((head.encode() + GOOD) * 5)
        answer = b""
        while answer.count(b"HTTP/1.1 200 ") < 5 or not answer.endswith(b"}"):
            answer += connection.recv(65536)
    assert answer.count(b"model_version") == 5


def test_a_run_without_end_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, endless()), "--deadline-seconds", "0.5") as server:
        begin = time.monotonic()
        answer = server.infer({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]})
        assert answer.status == 504
        assert time.monotonic() - begin < 10
        assert server.counts()['requests_total{decision="none",outcome="server_error"}'] == 1


def test_the_routers_deadline_is_kept_when_it_is_nearer(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, endless())) as server:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
        assert server.infer(body, headers={"x-envoy-expected-rq-timeout-ms": "300"}).status == 504


def test_an_answer_larger_than_its_bound_is_not_sent(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, expanding()), "--max-response-bytes", "1000000") as server:
        body = {"inputs": [{"name": "shape", "datatype": "INT64", "shape": [1], "data": [300_000]}]}
        answer = server.infer(body)
        assert answer.status == 400
        assert "the answer has 1200000 bytes" in answer.json["error"]


def test_a_full_queue_refuses_at_once_and_recovers(tmp_path: Path) -> None:
    options = ["--workers", "1", "--queue", "1", "--deadline-seconds", "3"]
    with a_server(a_folder(tmp_path, endless()), *options) as server:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
        busy = [threading.Thread(target=server.infer, args=(body,)) for _ in range(2)]
        for thread in busy:
            thread.start()
        eventually(lambda: b"queue_waiting{model" in (found := server.manage("/metrics").body) and
                   b'kingmaker_queue_waiting{model="churn",model_version="churn-1"} 1.0' in found)  # fmt: skip
        begin = time.monotonic()
        refused = server.infer(body)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert "which is the limit" in refused.json["error"]
        assert time.monotonic() - begin < 1
        assert server.manage("/livez").status == 200
        for thread in busy:
            thread.join()
        metrics = server.manage("/metrics").body
        assert b'kingmaker_queue_refused_total{model="churn",model_version="churn-1"} 1.0' in metrics
