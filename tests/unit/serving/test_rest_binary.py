"""Tensors as bytes after the JSON: the binary tensor extension."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceRequest, Wanted
from support.tensors import a_reply, a_signature, a_tensor, read


def binary(size: int, **fields: Any) -> dict[str, Any]:
    return a_tensor(data=None, parameters={"binary_data_size": size}, **fields)


def a_body(tail: bytes, **fields: Any) -> dict[str, Any]:
    return {"inputs": [binary(len(tail), **fields)], "parameters": {"binary_data_output": True}}


def texts(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


@pytest.mark.parametrize(
    ("datatype", "tail", "expected"),
    [
        ("BOOL", b"\x01\x00", [True, False]),
        ("UINT8", b"\x01\xff", [1, 255]),
        ("INT16", b"\x01\x00\xfe\xff", [1, -2]),
        ("UINT32", b"\x00\x00\x00\x80\x01\x00\x00\x00", [2**31, 1]),
        ("INT64", b"\xff" * 8 + b"\x02" + b"\x00" * 7, [-1, 2]),
        ("UINT64", b"\xff" * 8 + b"\x02" + b"\x00" * 7, [2**64 - 1, 2]),
        ("FP16", b"\x00\x3c\x00\xc0", [1, -2]),
        ("BF16", b"\x80\x3f\x00\xc0", [0x3F80, 0xC000]),
        ("FP32", b"\x00\x00\x80\x3f\x00\x00\x80\x7f", [1, np.inf]),
        ("FP64", b"\x00" * 6 + b"\xf0\x3f" + b"\x00" * 8, [1, 0]),
        ("BYTES", texts(b"", "Zürich".encode()), ["", "Zürich"]),
    ],
)
def test_every_datatype_is_read_and_written(datatype: str, tail: bytes, expected: list[Any]) -> None:
    signature = a_signature(datatype)
    request = read(a_body(tail, datatype=datatype), signature, tail=tail)
    array = request.inputs["x"]
    assert array.dtype == NUMPY[datatype]
    assert array.tolist() == [expected]
    body, length = RestCodec(signature).write(a_reply(signature, y=array), request, max_bytes=1000)
    assert body[length:] == tail
    output = {"name": "y", "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": len(tail)}}
    assert msgspec.json.decode(body[:length])["outputs"] == [output]


def test_any_byte_but_zero_is_true() -> None:
    array = read(a_body(b"\x02\x00", datatype="BOOL"), a_signature("BOOL"), tail=b"\x02\x00").inputs["x"]
    assert array.view(np.uint8).tolist() == [[1, 0]]


def test_an_array_does_not_hold_on_to_the_body() -> None:
    array = read(a_body(bytes(8)), tail=bytes(8)).inputs["x"]
    assert array.base is None or array.base.base is None
    assert array.flags.aligned


def mixed() -> Signature:
    inputs = tuple(TensorSpec(name, "FP32", (-1,)) for name in "abc")
    outputs = tuple(TensorSpec(name, "FP32", (-1,)) for name in "xyz")
    return Signature(inputs, outputs)


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def test_json_and_binary_tensors_mix_in_their_order() -> None:
    body = {
        "inputs": [
            binary(8, name="c", shape=[2]),
            a_tensor(name="a", shape=[1], data=[5]),
            binary(4, name="b", shape=[1]),
        ]
    }
    inputs = read(body, mixed(), tail=floats(1, 2) + floats(3)).inputs
    assert {name: array.tolist() for name, array in inputs.items()} == {"c": [1, 2], "a": [5], "b": [3]}


@pytest.mark.parametrize("default", [True, False])
def test_each_output_comes_as_it_is_asked_for(default: bool) -> None:
    asked = [
        {"name": "z", "parameters": {"binary_data": True}},
        {"name": "x"},
        {"name": "y", "parameters": {"binary_data": False}},
    ]
    tensors = [a_tensor(name=name, shape=[1], data=[1]) for name in "abc"]
    signature = mixed()
    request = read({"inputs": tensors, "outputs": asked, "parameters": {"binary_data_output": default}}, signature)
    assert request.outputs == [Wanted("z", binary=True), Wanted("x", binary=default), Wanted("y")]
    reply = a_reply(signature, z=np.float32([1, 2]), x=np.float32([3]), y=np.float32([4]))
    body, length = RestCodec(signature).write(reply, request, max_bytes=1000)
    assert body[length:] == floats(1, 2) + (floats(3) if default else b"")
    outputs = msgspec.json.decode(body[:length])["outputs"]
    assert [output["name"] for output in outputs] == ["z", "x", "y"]
    assert ["data" in output for output in outputs] == [False, not default, True]


def test_texts_that_are_not_utf8_are_answered_as_they_are() -> None:
    signature = a_signature("BYTES", (-1,))
    array = np.array([b"Z\xfcrich", "é"], object)
    body, length = RestCodec(signature).write(
        a_reply(signature, y=array), InferenceRequest({}, binary_outputs=True), max_bytes=100
    )
    assert body[length:] == texts(b"Z\xfcrich", "é".encode())


def test_an_empty_output_has_no_bytes() -> None:
    signature = a_signature()
    reply = a_reply(signature, y=np.zeros((0, 2), np.float32))
    body, length = RestCodec(signature).write(reply, InferenceRequest({}, binary_outputs=True), max_bytes=100)
    assert length == len(body)


@pytest.mark.parametrize(
    ("spec", "body", "shape"),
    [
        (("FP32", (-1, 2)), bytes(24), (3, 2)),
        (("FP32", (1, 2)), bytes(8), (1, 2)),
        (("UINT8", (2, -1)), bytes(10), (2, 5)),
        (("BYTES", (-1,)), b"hello", (1,)),
    ],
)
def test_a_body_without_json_is_the_only_input(
    spec: tuple[str, tuple[int, ...]], body: bytes, shape: Sequence[int]
) -> None:
    request = RestCodec(a_signature(*spec)).read(body, 0)
    assert request.inputs["x"].shape == shape
    assert request.binary_outputs
    if spec[0] == "BYTES":
        assert request.inputs["x"].tolist() == ["hello"]


@pytest.mark.parametrize(
    ("signature", "size", "words"),
    [
        (mixed(), 8, "for models of one input; this one has 3"),
        (a_signature(shape=(-1, -1)), 8, "one free dimension; this model takes x FP32 [-1, -1]"),
        (a_signature(shape=()), 8, "one free dimension"),
        (a_signature(), 0, "the body is empty; send the bytes of x FP32 [-1, 2]"),
        (a_signature(), 9, "9 bytes of data, but 2 elements of FP32 have 8"),
        (a_signature(shape=(1, 2)), 4, "4 bytes of data, but 2 elements"),
    ],
)
def test_a_body_without_json_must_leave_no_doubt(signature: Signature, size: int, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        RestCodec(signature).read(bytes(size), 0)
    assert words in caught.value.message


BAD: list[tuple[str, dict[str, Any], bytes, str, str]] = [
    ("too few bytes", {"inputs": [binary(8)]}, bytes(7), "FP32", "binary_data_size of 8, and 7 bytes follow the JSON"),
    ("bytes left over", {"inputs": [binary(8)]}, bytes(9), "FP32", "1 bytes are left after the last input"),
    ("bytes that nobody named", {"inputs": [a_tensor()]}, bytes(3), "FP32", "3 bytes are left"),
    ("a size that does not fit", {"inputs": [binary(12)]}, bytes(12), "FP32", "12 bytes of data, but 2 elements"),
    ("a size below zero", {"inputs": [binary(-8)]}, bytes(8), "FP32", "binary_data_size is -8"),
    ("a size that is a text", {"inputs": [a_tensor(data=None, parameters={"binary_data_size": "8"})]}, bytes(8), "FP32",
     "binary_data_size is '8'"),
    ("a size that is true", {"inputs": [a_tensor(data=None, parameters={"binary_data_size": True})]}, bytes(1), "FP32",
     "binary_data_size is True"),
    ("a size beyond 64 bits", {"inputs": [binary(2**70)]}, bytes(8), "FP32", "and 8 bytes follow"),
    ("data twice", {"inputs": [a_tensor(parameters={"binary_data_size": 8})]}, bytes(8), "FP32",
     "has data and a binary_data_size"),
    ("a shape without bound", {"inputs": [binary(8, shape=[2**39, 2])]}, bytes(8), "FP32",
     "8 bytes of data, but 1099511627776 elements"),
    ("a text that is no UTF-8", {"inputs": [binary(10, datatype="BYTES")]}, texts(b"", b"\xfc\xfc"), "BYTES",
     "element 1 is not UTF-8"),
    ("half a surrogate pair", {"inputs": [binary(11, datatype="BYTES")]}, texts(b"", b"\xed\xa0\x80"), "BYTES",
     "element 1 is not UTF-8"),
    ("texts that are cut off", {"inputs": [binary(9, datatype="BYTES")]}, texts(b"", b"ab")[:-1], "BYTES",
     "element 1 of BYTES needs 2 bytes, and 1 are left"),
    ("a length that is cut off", {"inputs": [binary(9, datatype="BYTES")]}, texts(b"abc", b"")[:-2], "BYTES",
     "element 1 of BYTES needs 4 bytes, and 2 are left"),
    ("a length without end", {"inputs": [binary(8, datatype="BYTES")]}, b"\xff" * 8, "BYTES", "needs 4294967295 bytes"),
    ("too many texts", {"inputs": [binary(12, datatype="BYTES")]}, bytes(12), "BYTES", "4 bytes are left after 2"),
    ("too few texts", {"inputs": [binary(4, datatype="BYTES")]}, bytes(4), "BYTES", "1 elements do not fill"),
    ("a billion texts", {"inputs": [binary(4, datatype="BYTES", shape=[10**9, 2])]}, bytes(4), "BYTES",
     "1 elements do not fill"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "tail", "datatype", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_bad_request_is_told_what_is_wrong(body: dict[str, Any], tail: bytes, datatype: str, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(body, a_signature(datatype), tail=tail)
    assert caught.value.code.status == 400
    assert words in caught.value.message


def test_the_json_can_not_be_longer_than_the_body() -> None:
    with pytest.raises(ServingError, match="is 100, but the body has 2 bytes"):
        RestCodec(a_signature()).read(b"{}", 100)


@pytest.mark.parametrize("datatype", ["FP64", "BYTES"])
def test_a_limit_counts_all_tensors_together(datatype: str) -> None:
    specs = tuple(TensorSpec(name, datatype, (-1,)) for name in "ab")
    tail = texts(*[b"four"] * 10) if datatype == "BYTES" else bytes(200)
    count, size = (10, 400) if datatype == "BYTES" else (25, 400)
    body = {"inputs": [binary(len(tail), name=name, datatype=datatype, shape=[count]) for name in "ab"]}
    assert len(read(body, Signature(specs, ()), tail=tail * 2, max_bytes=size).inputs) == 2
    with pytest.raises(ServingError, match='input "b" has 200 bytes once decoded, 199 are left') as caught:
        read(body, Signature(specs, ()), tail=tail * 2, max_bytes=size - 1)
    assert caught.value.code.status == 413


def test_any_kind_of_buffer_is_read() -> None:
    body = msgspec.json.encode(a_body(bytes(8)))
    for kind in (bytes, bytearray, memoryview):
        assert RestCodec(a_signature()).read(kind(body + bytes(8)), len(body)).inputs["x"].tolist() == [[0, 0]]
