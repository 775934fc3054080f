"""What is asked, in the protocol's three forms (JSON, binary tensors, gRPC), and whether an answer is right."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.serving.model import INPUT, NAME, Model

_JSON_LENGTH: Final = "inference-header-content-length"
_TOLERANCE: Final = 1e-5
_DTYPES: Final = {"INT64": np.int64, "FP32": np.float32}
_VARIETY: Final = 64
"""Rows that are asked in turn, so that nobody answers from a cache and counts have something to count."""


@dataclass(frozen=True, slots=True)
class Question:
    """An HTTP request, and what is right: label [n], probabilities [n, 2]."""

    body: bytes
    headers: Mapping[str, str]
    label: np.ndarray
    probabilities: np.ndarray
    model: str = NAME

    @property
    def path(self) -> str:
        """Of the protocol."""
        return f"/v2/models/{self.model}/infer"

    def raw(self, address: str) -> bytes:
        """Give the request as it goes over the wire."""
        headers = {"host": address, **self.headers, "content-length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body

    def wrong(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Say what is wrong with an answer, if anything. Servers differ in shapes; what counts is the numbers."""
        found = read_outputs(body, headers.get(_JSON_LENGTH))
        for name, right in (("label", self.label), ("probabilities", self.probabilities)):
            if name not in found:
                return f"there is no output {name} among {sorted(found)}"
            values = found[name]
            if values.size != right.size or not np.allclose(values.ravel(), right.ravel(), atol=_TOLERANCE):
                return f"{name} is {values.ravel()[:4]}…, and ONNX Runtime says {right.ravel()[:4]}…"
        return ""


def read_outputs(body: bytes, json_length: str | None) -> dict[str, np.ndarray]:
    """Read an answer in JSON, or in binary when the header tells how long its JSON is."""
    length = len(body) if json_length is None else int(json_length)
    outputs, at = {}, length
    for output in json.loads(body[:length])["outputs"]:
        size = output.get("parameters") and output["parameters"].get("binary_data_size")
        if size:
            outputs[output["name"]] = np.frombuffer(body[at : at + size], dtype=_DTYPES[output["datatype"]])
            at += size
        else:
            outputs[output["name"]] = np.asarray(output["data"])
    return outputs


def as_json(model: Model, at: int = 0, *, rows: int = 1, name: str = NAME) -> Question:
    """Ask rows in JSON, written as short as FP32 can be."""
    taken, right = _take(model, at, rows)
    data = [float(str(value)) for value in taken.ravel()]
    body = json.dumps({"inputs": [{**_tensor(taken), "data": data}]}, separators=(",", ":")).encode()
    return Question(body, {"content-type": "application/json"}, *right, name)


def as_binary(model: Model, *, rows: int) -> Question:
    """Ask rows as a binary tensor, and for binary outputs."""
    taken, right = _take(model, 0, rows)
    tensor: dict[str, Any] = {**_tensor(taken), "parameters": {"binary_data_size": taken.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
    headers = {"content-type": "application/octet-stream", _JSON_LENGTH: str(len(head))}
    return Question(head + taken.tobytes(), headers, *right)


def one_row(model: Model) -> list[Question]:
    """Give questions of one row each, to be asked in turn."""
    return [as_json(model, at) for at in range(_VARIETY)]


def as_message(model: Model, *, rows: int) -> Any:
    """Give a ModelInferRequest. Many rows are raw contents; one is in the form that the peers read faster: a list."""
    from tritonclient.grpc import service_pb2  # noqa: PLC0415  # slow, and not every step needs it

    taken, _ = _take(model, 0, rows)
    message = service_pb2.ModelInferRequest(model_name=NAME)
    message.inputs.add(name=INPUT, datatype="FP32", shape=taken.shape)
    if rows == 1:
        message.inputs[0].contents.fp32_contents.extend(taken.ravel().tolist())
    else:
        message.raw_input_contents.append(taken.tobytes())
    return message


def wrong_message(model: Model, reply: Any, *, rows: int) -> str:
    """Say what is wrong with a ModelInferResponse, if anything."""
    _, right = _take(model, 0, rows)
    for place, output in enumerate(reply.outputs):
        if output.name != "probabilities":
            continue
        if reply.raw_output_contents:
            values = np.frombuffer(reply.raw_output_contents[place], dtype=np.float32)
        else:
            values = np.array(output.contents.fp32_contents)
        is_right = values.size == right[1].size and np.allclose(values, right[1].ravel(), atol=_TOLERANCE)
        return "" if is_right else f"probabilities are {values[:4]}…"
    return "there are no probabilities"


def wire(questions: list[Question], address: str) -> bytes:
    """Give requests as the loader reads them: each after its length."""
    raws = [question.raw(address) for question in questions]
    return b"".join(struct.pack("<I", len(raw)) + raw for raw in raws)


def _take(model: Model, at: int, rows: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    places = np.arange(at, at + rows) % len(model.rows)
    label, probabilities = model.answers
    return model.rows[places], (label[places], probabilities[places])


def _tensor(taken: np.ndarray) -> dict[str, Any]:
    return {"name": INPUT, "datatype": "FP32", "shape": list(taken.shape)}
