"""The best classes instead of the numbers."""

from math import inf, nan

import msgspec
import numpy as np
import pytest

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol.classification import classify
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import TensorSpec
from kingmaker_serving.protocol.values import InferenceRequest, Wanted
from support.tensors import a_reply, a_signature

SPEC = TensorSpec("y", "FP32", (-1, 3), classes=("low", "middle", "high"))
BARE = TensorSpec("y", "FP32", (-1, 3))


def test_each_row_has_its_best_classes_first() -> None:
    array = np.array([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]], np.float32)
    assert classify(array, "FP32", 2, SPEC).tolist() == [
        ["0.500000:1:middle", "0.250000:0:low"],
        ["0.750000:2:high", "0.125000:0:low"],
    ]


def test_without_names_there_are_none_and_more_than_there_is_can_not_be_had() -> None:
    assert classify(np.array([[1, 2, 3]], np.float64), "FP64", 9, BARE).tolist() == [
        ["3.000000:2", "2.000000:1", "1.000000:0"]
    ]


@pytest.mark.parametrize(
    ("array", "datatype", "expected"),
    [
        (np.array([1, 5, 10, 4], np.uint32), "UINT32", ["10:2", "5:1"]),
        (np.array([-1, -5, 0], np.int8), "INT8", ["0:2", "-1:0"]),
        (np.array([2**64 - 1, 0], np.uint64), "UINT64", ["18446744073709551615:0", "0:1"]),
        (np.array([nan, -inf, inf], np.float32), "FP32", ["inf:2", "nan:0"]),
        (np.array([0.5, 2], np.float16), "FP16", ["2.000000:1", "0.500000:0"]),
        (np.array([0x3F00, 0x4000], np.uint16), "BF16", ["2.000000:1", "0.500000:0"]),
        (np.array(3, np.int64), "INT64", ["3:0"]),
        (np.array([], np.float32), "FP32", []),
    ],
)
def test_numbers_of_every_kind_are_ordered(array: np.ndarray, datatype: str, expected: list[str]) -> None:
    assert classify(array, datatype, 2, BARE).tolist() == expected


@pytest.mark.parametrize(("shape", "expected"), [((0, 3), (0, 0)), ((2, 0), (2, 0)), ((2, 2, 2), (2, 3))])
def test_rows_are_the_first_dimension(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert classify(np.zeros(shape, np.float32), "FP32", 3, BARE).shape == expected


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL"])
def test_only_numbers_are_ordered(datatype: str) -> None:
    with pytest.raises(ServingError, match=f'output "y": classification needs numbers, and it is {datatype}'):
        classify(np.array(["a"], object), datatype, 1, BARE)


def test_a_million_elements_are_enough() -> None:
    with pytest.raises(ServingError, match="it orders 1000000 at most"):
        classify(np.zeros((1001, 1000), np.uint8), "UINT8", 1, BARE)


@pytest.mark.parametrize("binary", [False, True])
def test_a_reply_has_classes_where_they_are_asked_for(binary: bool) -> None:
    signature = a_signature(shape=(-1, 3), classes=SPEC.classes)
    reply = a_reply(signature, y=np.array([[0, 1, 0]], np.float32))
    request = InferenceRequest({}, [Wanted("y", binary=binary, classification=1)])
    body, length = RestCodec(signature).write(reply, request, max_bytes=1000)
    output = msgspec.json.decode(body[:length])["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 1])
    if binary:
        assert body[length:] == b"\x11\x00\x00\x001.000000:1:middle"
    else:
        assert output["data"] == ["1.000000:1:middle"]
