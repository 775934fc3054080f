"""Tensors between JSON and numpy."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol.messages import read_infer
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.tensors import read_inputs, requested_outputs, write_outputs


def a_signature(datatype: str = "FP32", shape: tuple[int, ...] = (-1, 2)) -> Signature:
    spec = TensorSpec("x", datatype, shape)
    return Signature(inputs=(spec,), outputs=(TensorSpec("y", datatype, shape),))


def read(body: str | dict[str, Any], signature: Signature, **symbols: Any) -> dict[str, np.ndarray]:
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return read_inputs(read_infer(raw), signature, **symbols)


def with_data(text: str) -> str:
    return f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,2],"data":{text}}}]}}'


def tensor(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]} | fields]}


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("BOOL", [True, False], [True, False]),
        ("UINT8", [0, 255], [0, 255]),
        ("UINT16", [0, 65535], [0, 65535]),
        ("UINT32", [0, 2**32 - 1], [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1], [0, 2**64 - 1]),
        ("INT8", [-128, 127], [-128, 127]),
        ("INT16", [-32768, 32767], [-32768, 32767]),
        ("INT32", [-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("FP32", [1.5, -2], [1.5, -2.0]),
        ("FP64", [1e300, 5e-324], [1e300, 5e-324]),
        ("BYTES", ["", "Zürich"], ["", "Zürich"]),
    ],
)
def test_every_datatype_is_read_and_written(datatype: str, data: list[Any], expected: list[Any]) -> None:
    signature = a_signature(datatype)
    array = read(tensor(datatype=datatype, data=data), signature)["x"]
    assert array.dtype == NUMPY[datatype]
    assert array.tolist() == [expected]
    written = write_outputs({"y": array}, ["y"], signature.outputs, max_bytes=1000)
    assert [(t.datatype, t.shape, t.data) for t in written] == [(datatype, [1, 2], expected)]


def test_null_is_a_missing_value_both_ways() -> None:
    array = read(tensor(data=[None, 1]), a_signature())["x"]
    assert np.isnan(array[0, 0])
    written = write_outputs({"y": array}, ["y"], a_signature().outputs, max_bytes=100)
    assert msgspec.json.encode(written[0].data) == b"[null,1.0]"


def test_nested_data_follow_the_shape() -> None:
    array = read(tensor(shape=[2, 2], data=[[1, 2], [3, None]]), a_signature())["x"]
    assert array.shape == (2, 2)
    assert array[1, 0] == 3


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(width=32, allow_infinity=False))
)
def test_floats_survive_the_way_through_json(array: np.ndarray) -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1, -1)),), (TensorSpec("x", "FP32", (-1, -1)),))
    body = {"inputs": write_outputs({"x": array}, ["x"], signature.outputs, max_bytes=10**6)}
    np.testing.assert_array_equal(read(body, signature)["x"], array)


BAD = [
    ("another datatype", tensor(datatype="INT64"), 'input "x" has datatype INT64, the model takes FP32'),
    ("half floats", tensor(datatype="FP16"), "FP16 (FP16 has no JSON form)"),
    ("a rank too few", tensor(shape=[2]), "(2 dimensions expected, got 1)"),
    ("a wrong dimension", tensor(shape=[1, 3], data=[1, 2, 3]), "(dimension 1 must be 2, got 3)"),
    ("no rows", tensor(shape=[0, 2], data=[]), "every dimension must be at least 1"),
    ("a negative dimension", tensor(shape=[-1, 2]), "every dimension must be at least 1"),
    ("a product beyond 64 bits", tensor(shape=[2**40, 2]), "elements; send fewer rows"),
    ("too few elements", tensor(data=[1]), "1 elements do not fill shape [1, 2] (2 expected)"),
    ("too many elements", tensor(data=[1, 2, 3]), "3 elements do not fill shape"),
    ("text in a number's place", tensor(data=[1, "2"]), "expected float | null, got str - at data[1]"),
    ("a truth value", tensor(data=[1, True]), "got bool"),
    ("an object", tensor(data={"a": 1}), "expected array, got object"),
    ("no data", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]}, "has no data"),
    ("null data", tensor(data=None), "expected array, got null"),
    ("nesting that is ragged", tensor(shape=[2, 2], data=[[1, 2], [3]]), "found a list of 1 where a list of 2"),
    ("nesting too deep", tensor(data=[[[1, 2]]]), "found a list of 1 where a list of 2"),
    ("beyond FP32", tensor(data=[1, 1e39]), "element 1 (1e+39) is beyond the range of FP32"),
    (
        "an unknown input",
        {"inputs": [tensor()["inputs"][0] | {"name": "z"}]},
        "input 'z' is unknown; the model takes ['x']",
    ),
    ("an input twice", {"inputs": tensor()["inputs"] * 2}, "input 'x' is there twice"),
    ("no inputs", {"inputs": []}, "is missing; the request has []"),
    ("65 inputs", {"inputs": tensor()["inputs"] * 65}, "64 inputs and outputs at most"),
    ("no field inputs", {}, "missing required field inputs"),
    ("a list", "[]", "expected object, got array"),
    ("no JSON", "{", "request can't be read"),
    ("nothing", "", "request can't be read"),
    ("the word NaN", with_data("[NaN,1]"), "malformed"),
    ("the word Infinity", with_data("[Infinity,1]"), "malformed"),
    ("beyond all floats", with_data("[1e400,1]"), "out of range"),
    (
        "5,000 digits",
        with_data("[" + "9" * 5000 + ",1]"),
        "out of range",
    ),
    ("deep nesting", '{"inputs":' + "[" * 5000 + "]" * 5000 + "}", "got array"),
    ("deep nesting aside", '{"a":' + "[" * 50000 + "]" * 50000 + "}", "nested too deeply"),
    (
        "deep data",
        with_data("[" * 50000 + "]" * 50000),
        "nested",
    ),
]


@pytest.mark.parametrize(("body", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_request_is_told_what_is_wrong(body: str | dict[str, Any], words: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(body, a_signature())
    assert caught.value.code.status == 400
    assert words.lower() in caught.value.message.lower()
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(("datatype", "data"), [("INT8", [300, 0]), ("UINT64", [-1, 0]), ("INT64", [2**64, 0])])
def test_an_integer_out_of_range_is_refused(datatype: str, data: list[int]) -> None:
    with pytest.raises(ServingError, match=f"the model takes {datatype}"):
        read(tensor(datatype=datatype, data=data), a_signature(datatype))


def test_inputs_must_agree_about_a_named_dimension() -> None:
    specs = (TensorSpec("a", "FP32", (-1,)), TensorSpec("b", "FP32", (-1,)))
    body = {
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [2], "data": [1, 2]},
            {"name": "b", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]},
        ]
    }
    with pytest.raises(ServingError, match=r"""input "b" has 3 for dimension 'rows', but input "a" has 2"""):
        read(body, Signature(specs, specs), symbols={"a": ("rows",), "b": ("rows",)})


@pytest.mark.parametrize(
    ("outputs", "words"), [(["z"], "output 'z' is unknown; the model gives ['y']"), (["y", "y"], "asked for twice")]
)
def test_outputs_that_can_not_be_given_are_refused(outputs: list[str], words: str) -> None:
    request = read_infer(msgspec.json.encode({"inputs": [], "outputs": [{"name": name} for name in outputs]}))
    with pytest.raises(ServingError) as caught:
        requested_outputs(request, a_signature())
    assert words in caught.value.message


def test_an_answer_over_its_bound_is_not_written() -> None:
    with pytest.raises(ServingError, match="the answer has 400 bytes, at most 399 are sent"):
        write_outputs({"y": np.zeros((50, 2), np.float32)}, ["y"], a_signature().outputs, max_bytes=399)
