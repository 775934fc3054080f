"""Clients of gRPC for tests: a call with its metadata and status, and messages of the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from kingmaker_serving.grpc.contents import FIELDS
from kingmaker_serving.protocol.signature import NUMPY
from support.servers import Server

DEADLINE_SECONDS = 30.0
GRPC = 8081
"""Port of gRPC."""
INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Called:
    """What came of a call."""

    code: grpc.StatusCode
    message: str
    metadata: Mapping[str, str]
    response: Any = None

    @property
    def id(self) -> str:
        return self.metadata["kingmaker-request-id"]

    def array(self, name: str) -> np.ndarray:
        """Give an output of numbers, raw or typed."""
        index, output = next((i, o) for i, o in enumerate(self.response.outputs) if o.name == name)
        dtype = NUMPY[output.datatype]
        if self.response.raw_output_contents:
            return np.frombuffer(self.response.raw_output_contents[index], dtype).reshape(output.shape)
        return np.array(getattr(output.contents, FIELDS[output.datatype]), dtype).reshape(output.shape)


def a_message(rows: Any, *, name: str = "features", model: str = "churn", typed: bool = False, **fields: Any) -> Any:
    """A request of one FP32 tensor."""
    array = np.asarray(rows, dtype=np.float32)
    message = service_pb2.ModelInferRequest(model_name=model, **fields)
    tensor = message.inputs.add(name=name, datatype="FP32", shape=array.shape)
    if typed:
        tensor.contents.fp32_contents.extend(array.ravel().tolist())
    else:
        message.raw_input_contents.append(array.tobytes())
    return message


def call(
    target: str,
    message: Any,
    *,
    method: str = INFER,
    answer: Any = service_pb2.ModelInferResponse,
    metadata: Mapping[str, str] | None = None,
    seconds: float = DEADLINE_SECONDS,
    compression: grpc.Compression | None = None,
    options: Mapping[str, Any] | None = None,
) -> Called:
    """One call on a channel of its own; a message that is not bytes is serialised."""
    with grpc.insecure_channel(target, options=list({"grpc.enable_retries": 0, **(options or {})}.items())) as channel:
        ask = channel.unary_unary(method, None, answer.FromString)
        content = message if isinstance(message, bytes) else message.SerializeToString()
        pairs = list((metadata or {}).items())
        try:
            response, done = ask.with_call(content, timeout=seconds, metadata=pairs, compression=compression)
        except grpc.RpcError as error:
            return Called(error.code(), error.details(), _pairs(error.initial_metadata(), error.trailing_metadata()))
        return Called(grpc.StatusCode.OK, "", _pairs(done.initial_metadata(), done.trailing_metadata()), response)


def _pairs(*many: Any) -> dict[str, str]:
    return {key: value for pairs in many for key, value in pairs or ()}


def target(server: Server) -> str:
    """Where a server answers gRPC."""
    return f"{server.address}:{GRPC}"


def ask(server: Server, message: Any, **options: Any) -> Called:
    """Call a server, with the options of `call`."""
    return call(target(server), message, **options)
