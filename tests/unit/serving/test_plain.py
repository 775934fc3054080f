"""The reader of the commonest request says what the reader of everything says, or nothing."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol.inputs import Inputs
from kingmaker_serving.protocol.messages import read_infer
from kingmaker_serving.protocol.plain import MOST_BYTES, PlainReader
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import Signature, TensorSpec

FLOATS = Signature((TensorSpec("x", "FP32", (-1, 3)),), ())
NUMBERS = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70))


def body(**fields: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2.5, -3]}
    return json.dumps({"inputs": [tensor | fields]}).encode()


@given(st.integers(1, 4), st.data(), st.sampled_from(["FP32", "FP64"]), st.none() | st.text())
def test_what_it_reads_is_what_the_other_reads(rows: int, drawn: st.DataObject, datatype: str, own: str | None) -> None:
    data = drawn.draw(st.lists(NUMBERS, min_size=rows * 3, max_size=rows * 3))
    signature = Signature((TensorSpec("x", datatype, (-1, 3)),), ())
    message = json.loads(body(shape=[rows, 3], data=data, datatype=datatype)) | ({} if own is None else {"id": own})
    text = json.dumps(message).encode()
    found = PlainReader(signature, max_bytes=2**20).read(text)
    if found is None:
        # Only what FP32 can't hold is left to the other, which says so.
        with pytest.raises(ServingError, match="beyond the range"):
            RestCodec(signature).read(text)
        return
    outline = read_infer(text, max_inputs=1, max_outputs=1)
    other = Inputs(signature, max_bytes=2**20).read(outline.inputs, memoryview(b""))
    assert found.id == (own or "")
    assert found.inputs["x"].dtype == other["x"].dtype
    assert found.inputs["x"].tobytes() == other["x"].tobytes()
    assert found.inputs["x"].shape == other["x"].shape


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        body(name="y"),
        body(datatype="FP64"),
        body(shape=[3]),
        body(shape=[]),
        body(shape=[0, 3], data=[]),
        body(shape=[-1, 3]),
        body(shape=[1, 4]),
        body(shape=[2**62, 3]),
        body(data=[1, 2]),
        body(data=[1, None, 3]),
        body(data=[[1, 2, 3]]),
        body(data=[1, "2", 3]),
        body(data=[1, True, 3]),
        body(data=[1, 1e39, 3]),
        body(data=[1, float("nan"), 3]),
        body(parameters={"binary_data_size": 12}),
        body()[:-1] + b', "outputs": [{"name": "y"}]}',
        body()[:-1] + b', "parameters": {"binary_data_output": true}}',
        body()[:-1] + b', "id": null}',
        b'{"inputs": []}',
        b'{"inputs": [' + b",".join([body()[12:-2]] * 2) + b"]}",
        b"[" * 5000,
        body() + b" " * MOST_BYTES,
        b'{"id": "\xff"}',
    ],
)
def test_what_is_not_plain_is_left_to_the_other(text: bytes) -> None:
    assert PlainReader(FLOATS, max_bytes=2**20).read(text) is None


def test_what_is_too_large_or_has_no_json_form_is_left_to_the_other() -> None:
    assert PlainReader(FLOATS, max_bytes=11).read(body()) is None
    halves = Signature(FLOATS.inputs, (TensorSpec("y", "FP16", (-1,)),))
    assert PlainReader(halves, max_bytes=2**20).read(body()) is None
    assert PlainReader(FLOATS, max_bytes=2**20).read(body()[:-1] + b', "id": "' + b"x" * 1025 + b'"}') is None


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (TensorSpec("x", "INT64", (-1, 3)),),
        (TensorSpec("x", "FP16", (-1, 3)),),
        (TensorSpec("x", "FP32", ()),),
        (TensorSpec("x", "FP32", (-1, 3)), TensorSpec("y", "FP32", (-1,))),
    ],
)
def test_other_models_have_no_plain_requests(inputs: tuple[TensorSpec, ...]) -> None:
    assert PlainReader(Signature(inputs, ()), max_bytes=2**20).read(body()) is None


def test_one_dimension_is_plain_too() -> None:
    found = PlainReader(Signature((TensorSpec("x", "FP32", (-1,)),), ()), max_bytes=2**20).read(body(shape=[3]))
    assert found is not None
    assert found.inputs["x"].tolist() == np.array([1, 2.5, -3], np.float32).tolist()
