"""gRPC on a real process: what clients of others get, and what a client can not do to it."""

import gzip
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from benchmarks.serving.programs import PEERS
from kingmaker_laptop.binary import cache_folder
from kingmaker_serving.grpc import messages
from kingmaker_serving.grpc.packing import PREFIX, PREFIX_BYTES, pack, unpack
from support.goprogram import ensure_program
from support.grpcclient import GRPC, INFER, a_message, ask, target
from support.http2 import converse
from support.servers import CLASSES, Server, a_server, eventually

ROOT = Path(__file__).parents[3]
LIMIT = 20_000
PACKINGS = {
    grpc.Compression.NoCompression: "identity",
    grpc.Compression.Gzip: "gzip",
    grpc.Compression.Deflate: "deflate",
}


@pytest.fixture(scope="module")
def server(packages: dict[str, Path]) -> Iterator[Server]:
    options = ["--max-request-bytes", str(LIMIT), "--body-seconds", "1"]
    with a_server(packages["churn-1"], *options, task=CLASSES) as running:
        yield running


# -- clients of others


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(target(server)) as client:
        yield client


def the_input(rows: np.ndarray) -> triton.InferInput:
    tensor = triton.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return tensor


def test_tritons_client_finds_everything(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn")
    assert client.is_model_ready("churn", "churn-1")
    assert client.get_server_metadata().name == "kingmaker-serving"
    model = client.get_model_metadata("churn", as_json=True)
    assert (model["name"], model["versions"], model["platform"]) == ("churn", ["churn-1"], "onnxruntime_onnx")
    assert [(t["name"], t["datatype"], t["shape"]) for t in model["inputs"]] == [("features", "FP32", ["-1", "3"])]
    assert [tensor["name"] for tensor in model["outputs"]] == ["label", "probabilities"]
    (entry,) = client.get_model_repository_index().models
    assert (entry.name, entry.version, entry.state) == ("churn", "churn-1", "READY")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model_version": "churn-1"},
        {"request_id": "mine"},
        {"client_timeout": 5.0},
        {"compression_algorithm": "gzip"},
        {"compression_algorithm": "deflate"},
        {"headers": {"kingmaker-decision": "7"}},
        {"parameters": {"note": "hello"}},
        {"priority": 1},
    ],
    ids=str,
)
def test_tritons_client_is_answered(
    client: triton.InferenceServerClient, server: Server, rows: np.ndarray, options: dict[str, Any]
) -> None:
    result = client.infer("churn", [the_input(rows)], **options)
    rest = server.infer({"inputs": [{"name": "features", "datatype": "FP32", "shape": [3, 3], "data": rows.tolist()}]})
    assert result.as_numpy("label").tolist() == [1, 0, 1]
    np.testing.assert_allclose(result.as_numpy("probabilities").ravel(), rest.json["outputs"][1]["data"], rtol=1e-6)
    assert result.get_response().id == options.get("request_id", result.get_response().id) != ""


def test_tritons_client_gets_what_it_asks_for(client: triton.InferenceServerClient, rows: np.ndarray) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=1)]
    result = client.infer("churn", [the_input(rows)], outputs=wanted)
    assert result.as_numpy("label") is None
    assert [text.decode().split(":")[1] for text in result.as_numpy("probabilities").ravel()] == ["1", "0", "1"]


def test_tritons_client_asks_much_at_once(client: triton.InferenceServerClient, rows: np.ndarray) -> None:
    found: list[Any] = []
    for number in range(50):
        client.async_infer(
            "churn", [the_input(rows)], lambda result, error: found.append((result, error)), request_id=str(number)
        )
    eventually(lambda: len(found) == 50, what="all answers")
    assert [error for _, error in found if error] == []
    assert {result.get_response().id for result, _ in found} == {str(number) for number in range(50)}


@pytest.mark.parametrize(
    ("model", "version", "words"),
    [("nobody", "", "StatusCode.NOT_FOUND"), ("churn", "churn-9", "StatusCode.NOT_FOUND")],
)
def test_models_that_are_not_here(
    client: triton.InferenceServerClient, rows: np.ndarray, model: str, version: str, words: str
) -> None:
    with pytest.raises(triton.InferenceServerException, match=model) as caught:
        client.infer(model, [the_input(rows)], model_version=version)
    assert caught.value.status() == words
    with pytest.raises(triton.InferenceServerException):
        client.is_model_ready(model, version)


def test_what_is_not_offered_is_said_so(client: triton.InferenceServerClient, rows: np.ndarray) -> None:
    with pytest.raises(triton.InferenceServerException, match="ModelConfig is not answered here"):
        client.get_model_config("churn")
    failures: list[Any] = []
    client.start_stream(lambda result, error: failures.append(error or result))
    # The refusal may be there before the first message.
    with suppress(triton.InferenceServerException):
        client.async_stream_infer("churn", [the_input(rows)])
    eventually(lambda: failures, what="the refusal")
    client.stop_stream()
    assert "ModelStreamInfer is not answered here" in failures[0].message()


def test_grpcurl_learns_by_reflection(server: Server) -> None:
    """A client in Go that knows nothing of the protocol before it asks."""
    grpcurl = [str(ensure_program("grpcurl")), "-plaintext"]

    def run(*arguments: str, before: tuple[str, ...] = ()) -> str:
        command = [*grpcurl, *before, target(server), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    services = run("list").split()
    assert "inference.GRPCInferenceService" in services
    assert "grpc.health.v1.Health" in services
    assert "rpc ModelInfer" in run("describe", "inference.GRPCInferenceService")
    assert json.loads(run("grpc.health.v1.Health/Check")) == {"status": "SERVING"}
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 3], "contents": {"fp32_contents": [2, 0, 0]}}
    body = json.dumps({"model_name": "churn", "inputs": [tensor]})
    answer = json.loads(run("inference.GRPCInferenceService/ModelInfer", before=("-d", body)))
    assert answer["outputs"][0]["contents"] == {"int64Contents": ["1"]}


def test_kserves_client_is_answered(server: Server) -> None:
    """In the environment of the benchmark's peer, where that is installed: it takes minutes."""
    lock = PEERS / "kserve" / "requirements.lock"
    made = f"kserve-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    places = [folder / made for folder in (cache_folder() / "python", ROOT / "build" / "bench")]
    place = next((place for place in places if (place / ".installed").exists()), None)
    if place is None:
        pytest.skip("KServe is not installed; `make bench-serving` does")
    script = ROOT / "tests" / "support" / "kserve_grpc_client.py"
    # -P: what is beside the script are our modules, one of them called like a library.
    command = [str(place / "bin" / "python"), "-P", str(script), target(server)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert [line for line in done.stdout.splitlines() if not line.startswith("ok ")] == [], done.stderr[-3000:]
    assert done.stdout.count("ok ") == 8, done.stderr[-3000:]


def test_h2spec_finds_nothing(server: Server, tmp_path: Path) -> None:
    """146 cases of HTTP/2 and header compression."""
    command = [str(ensure_program("h2spec")), "--host", server.address, "--port", str(GRPC), "--strict"]
    done = subprocess.run([*command, "--timeout", "5"], capture_output=True, text=True, check=False)
    assert "146 tests, 146 passed, 0 skipped, 0 failed" in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0


def test_every_version_of_reflection(server: Server) -> None:
    for version in ("v1", "v1alpha"):
        request = messages.class_of(f"grpc.reflection.{version}.ServerReflectionRequest")
        response = messages.class_of(f"grpc.reflection.{version}.ServerReflectionResponse")
        questions = [
            request(list_services=""),
            request(file_by_filename="open_inference.proto"),
            request(file_containing_symbol="grpc.health.v1.HealthCheckRequest"),
            request(file_containing_symbol="nobody.Knows"),
            request(all_extension_numbers_of_type="inference.ModelInferRequest"),
        ]
        with grpc.insecure_channel(target(server)) as channel:
            path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
            asked = channel.stream_stream(path, request.SerializeToString, response.FromString)
            answers = list(asked(iter(questions), timeout=10))
        assert [answer.WhichOneof("message_response") for answer in answers] == [
            "list_services_response",
            *["file_descriptor_response"] * 2,
            *["error_response"] * 2,
        ]
        assert answers[3].error_response.error_code == 5
        assert [answer.original_request for answer in answers] == questions


# -- forms, headers, counts


@pytest.mark.parametrize("compression", list(PACKINGS), ids=PACKINGS.values())
@pytest.mark.parametrize("typed", [False, True])
def test_answers_come_as_requests_did(server: Server, compression: grpc.Compression, typed: bool) -> None:
    rows = np.tile(np.array([[2, 0, 0]], np.float32), (100, 1))
    found = ask(server, a_message(rows, typed=typed), compression=compression)
    assert found.code is grpc.StatusCode.OK
    assert bool(found.response.raw_output_contents) != typed
    assert found.array("label").tolist() == [1] * 100


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_answers_are_packed_as_requests_were(server: Server, packing: str) -> None:
    """Clients unpack in silence, so this one looks at what is on the wire."""
    content = pack(a_message(np.zeros((100, 3))).SerializeToString(), packing.encode())
    told = [(b"grpc-encoding", packing.encode()), (b"grpc-accept-encoding", b"identity,gzip,deflate")]
    fields, body = converse(server.address, GRPC, INFER, content, told)
    is_packed, size = PREFIX.unpack_from(body)
    assert (is_packed, size) == (1, len(body) - PREFIX_BYTES)
    assert (b"grpc-encoding", packing.encode()) in fields
    response = service_pb2.ModelInferResponse.FromString(unpack(body[PREFIX_BYTES:], packing.encode(), max_bytes=LIMIT))
    assert response.outputs[0].shape == [100]
    plain, _ = converse(server.address, GRPC, INFER, content, told[:1])
    assert b"grpc-encoding" not in dict(plain)


def test_an_answer_says_who_gave_it(server: Server, rows: np.ndarray) -> None:
    found = ask(server, a_message(rows))
    assert found.metadata["kingmaker-model"] == "churn-1"
    assert found.response.id == found.id
    assert 0 < float(found.metadata["kingmaker-execution-seconds"]) < 10
    mine = ask(server, a_message(rows, id="mine"))
    assert (mine.response.id, mine.id != "mine") == ("mine", True)


def test_calls_are_counted_like_requests(server: Server, rows: np.ndarray) -> None:
    stamp = {"kingmaker-decision": "41"}
    before = server.counts()
    ask(server, a_message(rows), metadata=stamp)
    ask(server, a_message(np.ones((1, 4), np.float32)), metadata=stamp)
    ask(server, a_message(rows), metadata={"kingmaker-shadow": "1"})
    after = server.counts()
    grown = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert grown['requests_total{decision="41",outcome="ok"}'] == 1
    assert grown['requests_total{decision="41",outcome="client_error"}'] == 1
    assert grown['rows_total{decision="41"}'] == 3
    assert grown['requests_total{decision="shadow",outcome="ok"}'] == 1


def test_labels_find_calls(server: Server, rows: np.ndarray) -> None:
    found = ask(server, a_message(rows), metadata={"kingmaker-decision": "42"})
    assert server.feedback({"id": found.id, "labels": [1, 0, 0]}).json == {"matched": 3}
    counts = server.counts().items()
    judged = {
        key.partition("outcome=")[2]: n for key, n in counts if key.startswith("feedback_total") and '"42"' in key
    }
    assert judged == {'"correct"}': 2, '"wrong"}': 1}


# -- what is refused


def a_wrong(**changes: Any) -> Any:
    message = a_message([[1, 2, 3]])
    for name, value in changes.items():
        setattr(message.inputs[0], name, value)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (a_wrong(name="wrong"), "input 'wrong' is unknown"),
        (a_wrong(datatype="FP64"), "the model takes FP32"),
        (a_message([[1, 2]]), "dimension 1 must be 3"),
        (a_message([1, 2, 3]), "2 dimensions expected"),
        (b"\xff\xff\xff", "no inference.ModelInferRequest"),
        (b"", "there is no model ''"),
    ],
)
def test_messages_that_do_not_fit(server: Server, message: Any, words: str) -> None:
    found = ask(server, message)
    assert found.code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert words in found.message
    assert ask(server, a_message([[1, 2, 3]])).code is grpc.StatusCode.OK


def test_messages_over_the_limit(server: Server) -> None:
    found = ask(server, a_message(np.zeros((LIMIT, 3))))
    assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"at most {LIMIT} are accepted" in found.message


def test_messages_over_the_limit_once_unpacked(server: Server) -> None:
    found = ask(server, a_message(np.zeros((LIMIT, 3))), compression=grpc.Compression.Gzip)
    assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "once unpacked" in found.message
    content = a_message(np.zeros((LIMIT, 3))).SerializeToString()
    assert len(gzip.compress(content)) < LIMIT / 10


def test_a_message_that_comes_too_slowly(server: Server) -> None:
    with grpc.insecure_channel(target(server)) as channel:
        asked = channel.stream_unary(INFER)

        def nothing() -> Iterator[bytes]:
            eventually(asked_once.is_set, what="the refusal")
            yield from ()

        asked_once = threading.Event()
        future = asked.future(nothing(), timeout=20)
        future.add_done_callback(lambda _: asked_once.set())
        error = future.exception(timeout=20)
    assert (error.code(), "did not arrive within 1 s" in error.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)


def test_two_messages_where_there_is_one(server: Server) -> None:
    content = a_message([[1, 2, 3]]).SerializeToString()
    with grpc.insecure_channel(target(server)) as channel:
        asked = channel.stream_unary(INFER)
        with pytest.raises(grpc.RpcError, match="takes one message") as caught:
            asked(iter([content, content]), timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as none:
            asked(iter([]), timeout=10)
        assert none.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_other_ports_and_protocols_are_told_apart(server: Server) -> None:
    answer = server.ask("GET", "/v2", port=GRPC)
    assert (answer.status, "gRPC" in answer.json["error"]) == (400, True)
