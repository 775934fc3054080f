"""What was written is read again, for any signature and any values."""

from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker_serving.protocol.client import read_reply, write_request
from kingmaker_serving.protocol.jsonwrite import write_json
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceRequest, Wanted
from support.tensors import HALVES, a_reply, arrays

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
Sent = dict[str, tuple[TensorSpec, np.ndarray]]
_SHAPES = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def tensors(draw: st.DrawFn) -> Sent:
    """Arrays by name, with specs that they fit: some dimensions are free, some shapes are not told."""
    found = {}
    for name in draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True)):
        datatype = draw(st.sampled_from(list(NUMPY)))
        shape = draw(_SHAPES)
        told = [draw(st.sampled_from([-1, size])) for size in shape] if draw(st.booleans()) else []
        found[name] = (TensorSpec(name, datatype, tuple(told)), draw(arrays(datatype, shape)))
    return found


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == object or one.dtype.kind in "fc":
        return one.shape == other.shape and all(
            left == right or (left != left and right != right)  # noqa: PLR0124  # NaN
            for left, right in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)
        )
    return np.array_equal(one, other)


def _nested(array: np.ndarray, text: bytes) -> Any:
    flat = msgspec.json.decode(text)
    return np.array(flat, dtype=object).reshape(array.shape).tolist() if array.size else array.tolist()


@settings(max_examples=300, deadline=None)
@given(tensors(), st.data())
def test_a_request_is_read_as_it_was_written(
    sent: dict[str, tuple[TensorSpec, np.ndarray]], data: st.DataObject
) -> None:
    signature = Signature(tuple(spec for spec, _ in sent.values()), ())
    inputs, tail = [], b""
    for spec, array in data.draw(st.permutations(list(sent.values()))):
        tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": array.shape}
        if spec.datatype in HALVES or data.draw(st.booleans()):
            body, length = write_request({spec.name: array}, {spec.name: spec.datatype})
            tensor["parameters"] = {"binary_data_size": len(body) - length}
            tail += body[length:]
        else:
            text = write_json(array, spec.datatype, max_bytes=10**6)
            nested = array.ndim and data.draw(st.booleans())
            tensor["data"] = _nested(array, text) if nested else msgspec.Raw(text)
        inputs.append(tensor)
    raw = msgspec.json.encode({"inputs": inputs})
    read = RestCodec(signature).read(raw + tail, len(raw)).inputs
    assert list(read) == [tensor["name"] for tensor in inputs]
    for name, (spec, array) in sent.items():
        assert read[name].dtype == NUMPY[spec.datatype]
        assert read[name].flags.c_contiguous
        assert _equal(read[name], array)


@settings(max_examples=300, deadline=None)
@given(tensors(), st.data())
def test_a_reply_is_read_as_it_was_written(sent: Sent, data: st.DataObject) -> None:
    signature = Signature((), tuple(spec for spec, _ in sent.values()))
    names = data.draw(st.permutations(list(sent)))
    wanted = [Wanted(name, binary=sent[name][0].datatype in HALVES or data.draw(st.booleans())) for name in names]
    reply = a_reply(signature)
    reply.outputs = {name: sent[name][1] for name in names}
    body, length = RestCodec(signature).write(reply, InferenceRequest({}, wanted), max_bytes=10**6)
    read = read_reply(body, length, max_bytes=10**6)
    assert list(read) == names
    for name, (_, array) in sent.items():
        assert _equal(read[name], array)


@settings(max_examples=100, deadline=None)
@given(tensors())
def test_what_a_shadow_sends_is_what_was_sent(sent: Sent) -> None:
    signature = Signature(tuple(spec for spec, _ in sent.values()), ())
    arrays_ = {name: array for name, (_, array) in sent.items()}
    body, length = write_request(arrays_, {spec.name: spec.datatype for spec in signature.inputs})
    request = RestCodec(signature).read(body, length)
    assert request.binary_outputs
    assert all(_equal(request.inputs[name], array) for name, array in arrays_.items())
