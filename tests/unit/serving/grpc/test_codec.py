"""Messages and the values that they stand for."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc.codec import read_request, write_reply
from kingmaker_serving.grpc.contents import FIELDS, write_contents
from kingmaker_serving.grpc.messages import ModelInferRequest, ModelInferResponse
from kingmaker_serving.protocol.binarydata import write_binary
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest
from support.tensors import a_signature

LIMIT = 1024**2
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)


@st.composite
def tensors(draw: st.DrawFn, datatypes: list[str]) -> tuple[str, np.ndarray]:
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    if datatype == "BYTES":
        array = np.empty(shape, dtype=object)
        array[...] = np.array(draw(st.lists(_TEXTS, min_size=array.size, max_size=array.size)), object).reshape(shape)
        return datatype, array
    return datatype, draw(hnp.arrays(NUMPY[datatype], shape))


def a_message(datatype: str, array: np.ndarray, *, raw: bool) -> Any:
    message = ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name="x", datatype=datatype, shape=array.shape)
    if raw:
        message.raw_input_contents.append(write_binary(array))
    else:
        write_contents(tensor.contents, array, datatype)
    return message


def read(message: Any, signature: Signature) -> InferenceRequest:
    # By way of bytes, as it comes.
    return read_request(ModelInferRequest.FromString(message.SerializeToString()), signature, max_bytes=LIMIT)


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    same = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one.dtype == other.dtype and one.shape == other.shape and same


@given(tensors(list(NUMPY)))
def test_raw_contents_of_all_datatypes(tensor: tuple[str, np.ndarray]) -> None:
    datatype, array = tensor
    request = read(a_message(datatype, array, raw=True), a_signature(datatype, [-1] * array.ndim))
    assert equal(request.inputs["x"], array)
    assert request.binary_outputs


@given(tensors(list(FIELDS)))
def test_typed_contents_of_all_datatypes_that_have_a_list(tensor: tuple[str, np.ndarray]) -> None:
    datatype, array = tensor
    request = read(a_message(datatype, array, raw=False), a_signature(datatype, [-1] * array.ndim))
    assert equal(request.inputs["x"], array)
    assert not request.binary_outputs


@given(tensors(list(NUMPY)), st.booleans())
def test_answers_say_what_the_model_gave(tensor: tuple[str, np.ndarray], raw: bool) -> None:
    datatype, array = tensor
    signature = a_signature(datatype, [-1] * array.ndim)
    reply = InferenceReply("m", "m-1", "id", {"y": array}, {"y": datatype}, {"note": "n", "count": 3, "ok": True})
    content = write_reply(reply, InferenceRequest({}, binary_outputs=raw), signature, max_bytes=LIMIT)
    response = ModelInferResponse.FromString(content)
    assert (response.model_name, response.model_version, response.id) == ("m", "m-1", "id")
    (output,) = response.outputs
    assert (output.name, output.datatype, tuple(output.shape)) == ("y", datatype, array.shape)
    is_raw = raw or datatype not in FIELDS
    assert (len(response.raw_output_contents), output.HasField("contents")) == (int(is_raw), not is_raw)
    again = ModelInferRequest()
    again.inputs.add(name="x", datatype=datatype, shape=array.shape, contents=output.contents if not is_raw else None)
    again.raw_input_contents.extend(response.raw_output_contents)
    assert equal(read(again, signature).inputs["x"], array)
    assert response.parameters["note"].string_param == "n"
    assert response.parameters["count"].int64_param == 3
    assert response.parameters["ok"].bool_param is True


def test_what_a_client_says_beside_its_tensors() -> None:
    message = a_message("FP32", np.ones((1, 2), np.float32), raw=True)
    message.id = "mine"
    message.parameters["priority"].uint64_param = 2**63
    message.parameters["binary_data_output"].bool_param = False
    message.outputs.add(name="y").parameters["classification"].int64_param = 2
    request = read(message, a_signature())
    assert (request.id, request.binary_outputs) == ("mine", False)
    assert request.parameters == {"priority": 2**63, "binary_data_output": False}
    assert [(output.name, output.classification) for output in request.outputs] == [("y", 2)]


def _changed(**changes: Any) -> Any:
    message = a_message("FP32", np.ones((1, 2), np.float32), raw=True)
    tensor = message.inputs[0]
    for name, value in changes.items():
        if name == "shape":
            del tensor.shape[:]
            tensor.shape.extend(value)
        elif name == "raw":
            del message.raw_input_contents[:]
            message.raw_input_contents.extend(value)
        elif name == "typed":
            tensor.contents.fp32_contents.extend(value)
        elif name == "integers":
            tensor.contents.int_contents.extend(value)
        else:
            setattr(tensor, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (_changed(name="z"), "'z' is unknown"),
        (_changed(datatype="FP64"), "FP64, the model takes FP32"),
        (_changed(datatype=""), "the model takes FP32"),
        (_changed(shape=[1, 3]), "dimension 1 must be 2"),
        (_changed(shape=[2]), "2 dimensions expected, got 1"),
        (_changed(shape=[-1, 2]), "negative"),
        (_changed(shape=[2**62, 2]), "bytes of data|too many elements"),
        (_changed(shape=[2**63 - 1, 2]), "too many elements"),
        (_changed(raw=[b"1234567"]), "7 bytes of data"),
        (_changed(raw=[b""]), "0 bytes of data"),
        (_changed(raw=[bytes(8), bytes(8)]), "2 raw_input_contents for 1 inputs"),
        (_changed(typed=[1, 2]), "contents beside raw_input_contents"),
        (_changed(raw=[]), "0 elements do not fill"),
        (_changed(raw=[], typed=[1]), "1 elements do not fill"),
        (_changed(raw=[], integers=[1, 2]), "int_contents; FP32 belongs into fp32_contents"),
    ],
)
def test_tensors_that_do_not_fit(message: Any, words: str) -> None:
    with pytest.raises(ServingError, match=words) as caught:
        read(message, a_signature())
    assert caught.value.code in {ErrorCode.INVALID_TENSOR, ErrorCode.INVALID_REQUEST}


def test_an_input_sent_twice_or_not_at_all() -> None:
    twice = a_message("FP32", np.ones((1, 2), np.float32), raw=False)
    twice.inputs.append(twice.inputs[0])
    with pytest.raises(ServingError, match="there twice"):
        read(twice, a_signature())
    with pytest.raises(ServingError, match="missing"):
        read(ModelInferRequest(), a_signature())


def test_optional_inputs_may_be_left_out() -> None:
    specs = (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("more", "FP32", (-1,), optional=True))
    signature = Signature(specs, a_signature().outputs)
    assert list(read(a_message("FP32", np.ones((1, 2), np.float32), raw=True), signature).inputs) == ["x"]


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("INT16", -32769), ("UINT8", 256), ("UINT16", 65536)])
def test_numbers_beyond_their_datatype(datatype: str, value: int) -> None:
    message = ModelInferRequest()
    tensor = message.inputs.add(name="x", datatype=datatype, shape=[1, 2])
    getattr(tensor.contents, FIELDS[datatype]).extend([0, value])
    with pytest.raises(ServingError, match=f"the model takes {datatype}"):
        read(message, a_signature(datatype))


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_halves_are_raw(datatype: str) -> None:
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype=datatype, shape=[1, 2])
    with pytest.raises(ServingError, match="raw_input_contents"):
        read(message, a_signature(datatype))


def test_texts_that_are_not_utf8() -> None:
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype="BYTES", shape=[1, 2]).contents.bytes_contents.extend([b"ok", b"\xff"])
    with pytest.raises(ServingError, match="element 1 is not UTF-8"):
        read(message, a_signature("BYTES"))


def test_there_is_no_shared_memory() -> None:
    message = a_message("FP32", np.ones((1, 2), np.float32), raw=True)
    message.inputs[0].parameters["shared_memory_region"].string_param = "r"
    with pytest.raises(ServingError, match="no shared memory"):
        read(message, a_signature())


def test_bounds_of_what_is_beside_tensors() -> None:
    message = a_message("FP32", np.ones((1, 2), np.float32), raw=True)
    message.id = "x" * 1025
    with pytest.raises(ServingError, match="1025 characters"):
        read(message, a_signature())
    message.id = ""
    for index in range(65):
        message.parameters[f"p{index}"].bool_param = True
    with pytest.raises(ServingError, match="65 parameters"):
        read(message, a_signature())


def test_tensors_over_the_limit() -> None:
    message = a_message("FP32", np.ones((200_000, 2), np.float32), raw=True)
    with pytest.raises(ServingError, match="1600000 bytes") as caught:
        read(message, a_signature())
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_answers_over_the_limit() -> None:
    reply = InferenceReply("m", "m-1", "", {"y": np.ones((100, 2), np.float32)}, {"y": "FP32"})
    with pytest.raises(ServingError, match="800 bytes, at most 100") as caught:
        write_reply(reply, InferenceRequest({}), a_signature(), max_bytes=100)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("wanted", [["z"], ["y", "y"]])
def test_outputs_that_can_not_be_asked_for(wanted: list[str]) -> None:
    message = a_message("FP32", np.ones((1, 2), np.float32), raw=True)
    for name in wanted:
        message.outputs.add(name=name)
    with pytest.raises(ServingError, match=r"is unknown|asked for twice"):
        read(message, a_signature())


def test_a_text_that_the_model_gave_and_is_none_goes_out_as_it_is() -> None:
    reply = InferenceReply("m", "m-1", "", {"y": np.array([b"\xff", "ü"], object)}, {"y": "BYTES"})
    content = write_reply(reply, InferenceRequest({}), a_signature("BYTES"), max_bytes=LIMIT)
    assert list(ModelInferResponse.FromString(content).outputs[0].contents.bytes_contents) == [b"\xff", b"\xc3\xbc"]
