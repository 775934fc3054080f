"""Clients of all kinds, as their users have them, against real processes. `-s` shows the checks per client."""

import gzip
import json
import shutil
import subprocess
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto
from tritonclient.utils import InferenceServerException

from support.clientprograms import run_go, run_java, run_kserve
from support.frontrouter import a_router
from support.onnx_models import echo, two_inputs
from support.requests import a_request
from support.servers import CLASSES, PORT, Server, a_server

ROW = [[2, 0, 0]]
INFER = "/v2/models/churn/infer"
TOO_LARGE = bytes(24_000_000)


def url(server: Server) -> str:
    return f"http://{server.address}:{PORT}"


@pytest.fixture(scope="module", params=["", " by way of the router"], ids=["server", "router"])
def way(request: pytest.FixtureRequest) -> str:
    """Whether clients ask the server, or a router in front of it."""
    return str(request.param)


@pytest.fixture(scope="module")
def servers(processes: list[Server], way: str) -> Iterator[list[Server]]:
    """Where clients ask: at the processes, or at a router for each of them."""
    with ExitStack() as stack:
        yield [replace(s, address=stack.enter_context(a_router(s))) for s in processes] if way else processes


@pytest.fixture(scope="module")
def processes(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A classifier, a model of numbers and texts, one of half floats."""
    with ExitStack() as stack:
        running = [stack.enter_context(a_server(packages["churn-1"], task=CLASSES))]
        for onnx in (two_inputs(), echo(TensorProto.FLOAT16, shape=["n", 2])):
            folder = tmp_path_factory.mktemp("clients") / "model"
            folder.mkdir()
            (folder / "model.onnx").write_bytes(onnx)
            running.append(stack.enter_context(a_server(folder)))
        yield running


@pytest.fixture(scope="module")
def churn(servers: list[Server]) -> Server:
    return servers[0]


@pytest.fixture(scope="module")
def client(churn: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"{churn.address}:{PORT}", concurrency=8) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[dict[str, list[bool]]]:
    """Whether each check of a client held, by client."""
    checks: dict[str, list[bool]] = {}
    yield checks
    print("\n| client | checks | held |\n|---|---|---|")
    for client_name, held in checks.items():
        print(f"| {client_name} | {len(held)} | {sum(held)} |")


@pytest.fixture(autouse=True)
def noted(request: pytest.FixtureRequest, table: dict[str, list[bool]], way: str) -> Iterator[None]:
    """Note a test of a client that is asked here, in this process."""
    before = request.session.testsfailed
    yield
    if request.cls is not None:
        table.setdefault(f"{request.cls.CLIENT}{way}", []).append(request.session.testsfailed == before)


@pytest.mark.parametrize(
    ("name", "run"),
    [("Java 17 HttpClient", run_java), ("Go net/http", run_go), ("KServe InferenceRESTClient", run_kserve)],
)
@pytest.mark.timeout(600)
def test_programs(
    name: str, run: Callable[..., dict[str, str]], servers: list[Server], table: dict[str, list[bool]], way: str
) -> None:
    checks = run(*map(url, servers))
    table[f"{name}{way}"] = [not why for why in checks.values()]
    assert {check: why for check, why in checks.items() if why} == {}


def an_input(array: np.ndarray, *, name: str = "features", datatype: str = "FP32", **options: Any) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **options)
    return tensor


def rows(count: int = 1) -> np.ndarray:
    return np.array(ROW * count, np.float32)


class TestTriton:
    CLIENT = "tritonclient.http"

    def test_health_and_metadata(self, client: triton.InferenceServerClient) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("churn")
        assert client.is_model_ready("churn", "churn-1")
        assert not client.is_model_ready("churn", "churn-2")
        assert not client.is_model_ready("other")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata("churn", "churn-1")["versions"] == ["churn-1"]
        index = [{"name": "churn", "version": "churn-1", "state": "READY", "reason": ""}]
        assert client.get_model_repository_index() == index

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("outputs", [None, True, False])
    def test_binary_and_json_both_ways(
        self, client: triton.InferenceServerClient, binary: bool, outputs: bool | None
    ) -> None:
        asked = [triton.InferRequestedOutput(name, binary_data=bool(outputs)) for name in ("probabilities", "label")]
        result = client.infer(
            "churn",
            [an_input(rows(3), binary_data=binary)],
            outputs=None if outputs is None else asked,
            request_id="mine",
            parameters={"of my own": 5},
        )
        response = result.get_response()
        assert (response["id"], response["model_version"]) == ("mine", "churn-1")
        assert ("data" in response["outputs"][0]) is (outputs is False)
        assert result.as_numpy("label").tolist() == [1, 1, 1]
        np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
    @pytest.mark.parametrize("binary", [True, False])
    def test_packed_both_ways(self, client: triton.InferenceServerClient, algorithm: str | None, binary: bool) -> None:
        result = client.infer(
            "churn",
            [an_input(rows(500), binary_data=binary)],
            outputs=[triton.InferRequestedOutput("label", binary_data=binary)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert result.as_numpy("label").tolist() == [1] * 500

    def test_only_the_own_version_answers(self, client: triton.InferenceServerClient) -> None:
        assert client.infer("churn", [an_input(rows())], model_version="churn-1").as_numpy("label").tolist() == [1]
        with pytest.raises(InferenceServerException, match="has version 'churn-1', not 'churn-2'"):
            client.infer("churn", [an_input(rows())], model_version="churn-2")

    def test_only_what_is_asked_for_comes(self, client: triton.InferenceServerClient) -> None:
        result = client.infer("churn", [an_input(rows())], outputs=[triton.InferRequestedOutput("probabilities")])
        assert [output["name"] for output in result.get_response()["outputs"]] == ["probabilities"]
        assert result.as_numpy("label") is None

    @pytest.mark.parametrize("binary", [True, False])
    def test_the_best_classes(self, client: triton.InferenceServerClient, binary: bool) -> None:
        asked = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=1)]
        best = client.infer("churn", [an_input(rows(2))], outputs=asked).as_numpy("probabilities")
        assert best.shape == (2, 1)
        value, index, *_ = (best[0][0] if isinstance(best[0][0], str) else best[0][0].decode()).split(":")
        assert float(value) > 0.5
        assert index == "1"

    def test_many_at_a_time(self, client: triton.InferenceServerClient) -> None:
        sent = [client.async_infer("churn", [an_input(rows(number % 7 + 1))]) for number in range(64)]
        assert [len(request.get_result().as_numpy("label")) for request in sent] == [n % 7 + 1 for n in range(64)]

    def test_an_error_says_what_is_wrong(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="dimension 1 must be 3, got 2") as caught:
            client.infer("churn", [an_input(np.zeros((1, 2), np.float32))])
        assert caught.value.status() == "400"

    @pytest.mark.parametrize("binary", [True, False])
    def test_texts_and_numbers_that_are_none(self, servers: list[Server], binary: bool) -> None:
        texts, numbers = np.array(["Zürich", ""], object), np.array([np.nan, -np.inf], np.float32)
        inputs = [
            an_input(texts, name="t", datatype="BYTES", binary_data=binary),
            an_input(numbers, name="a", binary_data=binary),
            an_input(np.zeros(2, np.float32), name="b", binary_data=binary),
        ]
        asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("sum", "text")]
        with triton.InferenceServerClient(f"{servers[1].address}:{PORT}") as opened:
            result = opened.infer("churn", inputs, outputs=asked)
        np.testing.assert_array_equal(result.as_numpy("sum"), numbers)
        found = result.as_numpy("text").tolist()
        assert [text.decode() if isinstance(text, bytes) else text for text in found] == ["Zürich", ""]

    def test_half_floats(self, servers: list[Server]) -> None:
        array = np.array([[1.5, -2], [np.inf, 6e-8]], np.float16)
        with triton.InferenceServerClient(f"{servers[2].address}:{PORT}") as opened:
            result = opened.infer("churn", [an_input(array, name="x", datatype="FP16")])
            asked = [triton.InferRequestedOutput("y", binary_data=False)]
            with pytest.raises(InferenceServerException, match="FP16 has no JSON form"):
                opened.infer("churn", [an_input(array, name="x", datatype="FP16")], outputs=asked)
        np.testing.assert_array_equal(result.as_numpy("y"), array)

    def test_a_body_that_was_made_beforehand(self, churn: Server) -> None:
        body, length = triton.InferenceServerClient.generate_request_body([an_input(rows())])
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
        answer = churn.infer(body, headers=headers)
        end = int(answer.headers["inference-header-content-length"])
        parsed = triton.InferenceServerClient.parse_response_body(answer.body, header_length=end)
        assert parsed.as_numpy("label").tolist() == [1]


class TestUrllib:
    CLIENT = "urllib"

    def ask(self, server: Server, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(url(server) + INFER, body, named)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def test_json_without_a_word_of_what_it_is(self, churn: Server) -> None:
        status, headers, body = self.ask(churn, json.dumps(a_request(ROW)).encode())
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["outputs"][0]["data"] == [1]

    def test_what_python_writes_for_nan(self, servers: list[Server]) -> None:
        tensors = [
            {"name": name, "datatype": "FP32", "shape": [3], "data": data}
            for name, data in (("a", [float("nan"), float("inf"), -float("inf")]), ("b", [0, 0, 0]))
        ]
        tensors.append({"name": "t", "datatype": "BYTES", "shape": [3], "data": ["NaN", "Infinity", ""]})
        status, _, body = self.ask(servers[1], json.dumps({"inputs": tensors}).encode())
        assert status == 200
        outputs = json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["outputs"]
        assert outputs[0]["data"] == [None, "Infinity", "-Infinity"]
        assert [float("nan" if value is None else value) for value in outputs[0]["data"]][1:] == [np.inf, -np.inf]
        assert outputs[1]["data"] == ["NaN", "Infinity", ""]

    def test_a_body_over_the_limit_is_answered(self, churn: Server) -> None:
        status, _, body = self.ask(churn, TOO_LARGE)
        assert status == 413
        assert "are accepted" in json.loads(body)["error"]

    @pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
    def test_packed_answers(self, churn: Server, encoding: str, unpack: Callable[[bytes], bytes]) -> None:
        body = json.dumps(a_request(ROW * 500)).encode()
        _, headers, packed = self.ask(churn, body, accept_encoding=encoding)
        assert headers["content-encoding"] == encoding
        assert json.loads(unpack(packed))["outputs"][0]["data"] == [1] * 500


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
class TestCurl:
    CLIENT = "curl"

    def curl(self, *arguments: str) -> str:
        command = ["curl", "--silent", "--show-error", "--max-time", "30", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_the_request_of_the_readme(self, churn: Server) -> None:
        answer = self.curl(f"{url(churn)}{INFER}", "-d", json.dumps(a_request(ROW)))
        assert json.loads(answer)["outputs"][0]["data"] == [1]

    def test_a_packed_answer(self, churn: Server, tmp_path: Path) -> None:
        body = tmp_path / "body"
        body.write_text(json.dumps(a_request(ROW * 500)))
        answer = self.curl(f"{url(churn)}{INFER}", "--compressed", "-d", f"@{body}")
        assert json.loads(answer)["outputs"][0]["data"] == [1] * 500

    def test_the_bytes_of_the_only_input(self, churn: Server, tmp_path: Path) -> None:
        body = tmp_path / "body"
        body.write_bytes(rows(5).tobytes())
        arguments = ["-H", "inference-header-content-length: 0", "--data-binary", f"@{body}", "-D", "-", "-o", "-"]
        command = ["curl", "--silent", f"{url(churn)}{INFER}", *arguments]
        head, _, answer = subprocess.run(command, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
        (length,) = [int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"inference-header")]
        outputs = json.loads(answer[:length])["outputs"]
        assert outputs[0]["shape"] == [5]
        assert np.frombuffer(answer[length : length + 40], np.int64).tolist() == [1] * 5

    def test_health_without_a_body(self, churn: Server) -> None:
        assert self.curl("--head", f"{url(churn)}/v2/health/ready").startswith("HTTP/1.1 200")
        assert "allow: POST" in self.curl("--head", f"{url(churn)}{INFER}")

    def test_a_body_over_the_limit_is_answered(self, churn: Server, tmp_path: Path) -> None:
        body = tmp_path / "body"
        body.write_bytes(TOO_LARGE)
        answer = self.curl(f"{url(churn)}{INFER}", "--data-binary", f"@{body}", "-w", " %{http_code}")
        assert answer.endswith(" 413")
