"""Whatever a client sends as a message: an answer that can be given, or an error that says why not."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc import messages
from kingmaker_serving.grpc.codec import read_request
from kingmaker_serving.grpc.packing import unpack
from support.tensors import a_signature

LIMIT = 1 << 16
_REFUSED = {ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_TENSOR, ErrorCode.TOO_LARGE}


def a_message() -> bytes:
    message = messages.ModelInferRequest(model_name="m", id="mine")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    message.raw_input_contents.append(np.ones(2, np.float32).tobytes())
    message.outputs.add(name="y").parameters["classification"].int64_param = 2
    content: bytes = message.SerializeToString()
    return content


def read(content: bytes) -> None:
    try:
        request = read_request(messages.parse(messages.ModelInferRequest, content), a_signature(), max_bytes=LIMIT)
    except ServingError as error:
        if error.code not in _REFUSED:
            raise
        return
    (array,) = request.inputs.values()
    assert (array.dtype, array.ndim, array.shape[1]) == (np.float32, 2, 2)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_noise(content: bytes) -> None:
    read(content)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_messages_with_a_few_wrong_bytes(data: st.DataObject) -> None:
    content = bytearray(a_message())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    read(bytes(content[: data.draw(st.integers(0, len(content)))]) + data.draw(st.binary(max_size=8)))


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate"]))
@settings(deadline=None)
def test_noise_that_claims_to_be_packed(content: bytes, encoding: bytes) -> None:
    with contextlib.suppress(ServingError):
        assert len(unpack(content, encoding, max_bytes=LIMIT)) <= LIMIT


def test_a_message_of_a_million_inputs_is_refused_early() -> None:
    one = messages.ModelInferRequest()
    one.inputs.add(name="x", datatype="FP32", shape=[0, 2])
    with pytest.raises(ServingError, match="there twice"):
        read_request(
            messages.parse(messages.ModelInferRequest, one.SerializeToString() * 100_000),
            a_signature(),
            max_bytes=LIMIT,
        )
