"""Calls and time: deadlines, overload, answers of any size, and servers that end."""

import json
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
from onnx import TensorProto
from tritonclient.grpc import service_pb2

from kingmaker_serving.grpc import messages
from support.grpcclient import INFER, Called, a_message, ask, target
from support.onnx_models import echo, endless, expanding
from support.requests import a_request
from support.servers import a_folder, a_server, eventually

# -- time


def test_a_deadline_ends_the_run(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, endless()), "--workers", "1") as server:
        began = time.monotonic()
        late = ask(server, a_message([1.0], name="x"), seconds=0.7)
        assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - began < 5
        eventually(lambda: server.total('requests_total{decision="none",outcome="server_error"') == 1, what="the count")
        # The only worker is free again.
        again = ask(server, a_message([1.0], name="x"), seconds=0.5)
        assert again.code is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: server.total('requests_total{decision="none",outcome="server_error"') == 2, what="both")


def test_the_servers_own_deadline(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, endless()), "--deadline-seconds", "0.5") as server:
        found = ask(server, a_message([1.0], name="x"))
        assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not answer in time" in found.message


def test_overload_is_said_at_once_and_may_be_tried_again(tmp_path: Path) -> None:
    options = ("--workers", "1", "--queue", "1", "--deadline-seconds", "4")
    with a_server(a_folder(tmp_path, endless()), *options) as server:
        found: list[Called] = []
        threads = [
            threading.Thread(target=lambda: found.append(ask(server, a_message([1.0], name="x")))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: len(found) == 4, what="the refusals")
        assert {answer.code for answer in found} == {grpc.StatusCode.UNAVAILABLE}
        assert {answer.metadata["grpc-retry-pushback-ms"] for answer in found} == {"1000"}
        for thread in threads:
            thread.join()
        assert [answer.code for answer in found[4:]] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 2


def test_answers_larger_than_every_window(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, expanding())) as server:
        message = service_pb2.ModelInferRequest(model_name="churn")
        message.inputs.add(name="shape", datatype="INT64", shape=[1])
        message.raw_input_contents.append(np.array([3_000_000]).tobytes())
        found = ask(server, message, options={"grpc.max_receive_message_length": -1})
        assert found.code is grpc.StatusCode.OK, found.message
        assert sum(map(len, found.response.raw_output_contents)) == 12_000_000


def test_answers_over_the_limit(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, expanding()), "--max-response-bytes", "1000000") as server:
        message = service_pb2.ModelInferRequest(model_name="churn")
        message.inputs.add(name="shape", datatype="INT64", shape=[1])
        message.raw_input_contents.append(np.array([3_000_000]).tobytes())
        found = ask(server, message)
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_large_messages_of_texts(tmp_path: Path) -> None:
    """Read and written on a thread, packed both ways."""
    with a_server(a_folder(tmp_path, echo(TensorProto.STRING))) as server:
        texts = [f"text {number} ü" for number in range(50_000)]
        message = service_pb2.ModelInferRequest(model_name="churn")
        tensor = message.inputs.add(name="x", datatype="BYTES", shape=[len(texts)])
        tensor.contents.bytes_contents.extend(text.encode() for text in texts)
        found = ask(server, message, compression=grpc.Compression.Gzip)
        assert found.code is grpc.StatusCode.OK, found.message
        assert [text.decode() for text in found.response.outputs[0].contents.bytes_contents] == texts


# -- the end


def test_a_server_that_ends_says_so_and_answers_what_it_has(packages: dict[str, Path], rows: np.ndarray) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(a_server(packages["churn-1"], "--drain-seconds", "20"))
        channel = stack.enter_context(grpc.insecure_channel(target(server)))
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", None, messages.HealthCheckResponse.FromString)
        statuses = iter(watch(b"", timeout=60))
        assert next(statuses).status == 1
        # Somebody else keeps asking, so it goes on however long this client takes to connect anew.
        enough = threading.Event()
        others = threading.Thread(target=lambda: [server.infer(a_request(rows)) for _ in iter(enough.is_set, True)])
        others.start()
        stack.callback(others.join)
        stack.callback(enough.set)
        server.process.send_signal(signal.SIGTERM)
        assert next(statuses).status == 2
        # Whoever has not heard of it yet is answered.
        infer = channel.unary_unary(INFER)
        assert infer(a_message(rows).SerializeToString(), timeout=10)
        enough.set()
        assert server.process.wait(timeout=30) == 0
        assert "Traceback" not in server.log.read_text()


def test_calls_that_last_longer_than_the_drain_are_unavailable(tmp_path: Path) -> None:
    with a_server(a_folder(tmp_path, endless()), "--drain-seconds", "0.5") as server:
        found: list[Called] = []
        thread = threading.Thread(target=lambda: found.append(ask(server, a_message([1.0], name="x"))))
        thread.start()
        taken = b'kingmaker_requests_in_flight{model="churn",model_version="churn-1"} 1.0'
        eventually(lambda: taken in server.manage("/metrics").body, what="the call")
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert found[0].code is grpc.StatusCode.UNAVAILABLE
        assert "the server ends" in found[0].message
        assert server.process.wait(timeout=30) == 0


def test_no_port_for_grpc_where_none_is_wanted(packages: dict[str, Path], rows: np.ndarray) -> None:
    with a_server(packages["churn-1"], "--grpc-port", "0") as server:
        assert ask(server, a_message(rows), seconds=3).code is grpc.StatusCode.UNAVAILABLE


def test_a_port_that_is_taken_is_a_failure_that_is_explained(packages: dict[str, Path]) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(a_server(packages["churn-1"]))
        ports = ("--port", "9090", "--management-port", "9092")
        second = stack.enter_context(a_server(packages["churn-1"], *ports, address=first.address, ready=False))
        assert second.process.wait(timeout=30) == 1
        assert "port 8081" in json.loads(second.termination_log.read_text())["message"]
