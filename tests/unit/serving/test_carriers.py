"""What is no plain tensor in a model: carried by tensors, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper

from kingmaker_serving.errors import ErrorCode, ServingError, VerbError
from kingmaker_serving.models.carriers import Sequence
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.bfloat16 import from_float32, to_float32
from kingmaker_serving.protocol.signature import TensorSpec
from support.onnx_models import a_model, echo

FLOAT = TensorProto.FLOAT
TENSOR = helper.make_tensor_type_proto(FLOAT, None)
SEQUENCE = helper.make_sequence_type_proto(TENSOR)


def passing_on(type_: TypeProto) -> bytes:
    """`y = x` of any type."""
    model = a_model([helper.make_node("Identity", ["x"], ["y"])], [], [])
    model.graph.input.append(ValueInfoProto(name="x", type=type_))
    model.graph.output.append(ValueInfoProto(name="y", type=type_))
    return model.SerializeToString()


SEQUENCES = ModelSession(passing_on(SEQUENCE))
ARRAYS = st.lists(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), elements=st.floats(width=32)
    ),
    max_size=4,
)


@given(ARRAYS)
def test_a_sequence_goes_through_a_model_as_it_was(arrays: list[np.ndarray]) -> None:
    carrier = Sequence("x", "FP32", optional=False)
    given = SEQUENCES.run(carrier.write(arrays), [], Stop()).outputs
    back = Sequence("y", "FP32", optional=False).read(given)
    assert [array.shape for array in back] == [array.shape for array in arrays]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, back, strict=True))


def test_a_sequence_is_its_elements_and_its_shapes() -> None:
    assert SEQUENCES.signature.outputs == (TensorSpec("y", "FP32", (-1,)), TensorSpec("y.shapes", "INT64", (-1, -1)))
    written = Sequence("s", "FP32", optional=False).write([np.zeros((2, 3), np.float32), np.ones(2, np.float32)])
    assert written["s"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert written["s.shapes"].tolist() == [[2, 3], [2, -1]]


@pytest.mark.parametrize(
    ("elements", "shapes", "words"),
    [
        ([1, 2, 3], [[2]], '"x" has 3 elements, but "x.shapes" is of 2'),
        ([1, 2], [[-2, 1]], "negative size"),
        ([1, 2], [[2**62, 4], [2, 1]], "has 2 elements"),
        ([1], None, "send both, or neither"),
    ],
)
def test_a_sequence_that_does_not_fit_its_shapes_is_refused(elements: list, shapes: list | None, words: str) -> None:
    feeds = {"x": np.array(elements, np.float32)}
    if shapes is not None:
        feeds["x.shapes"] = np.array(shapes, np.int64)
    with pytest.raises(ServingError) as caught:
        SEQUENCES.run(feeds, [], Stop())
    assert caught.value.code is ErrorCode.INVALID_TENSOR
    assert words in caught.value.message


def test_an_optional_tensor_may_be_left_out_and_is_then_not_answered() -> None:
    session = ModelSession(passing_on(helper.make_optional_type_proto(SEQUENCE)))
    assert [(s.name, s.optional) for s in session.signature.outputs] == [("y", True), ("y.shapes", True)]
    assert session.signature.required == frozenset()
    assert session.run({}, [], Stop()).outputs == {}
    some = {"x": np.ones(2, np.float32), "x.shapes": np.array([[2]])}
    assert session.run(some, [], Stop()).outputs["y"].tolist() == [1, 1]
    assert list(session.run(some, ["y.shapes"], Stop()).outputs) == ["y.shapes"]


def test_a_value_that_the_file_gives_may_be_replaced_by_a_request() -> None:
    amount = numpy_helper.from_array(np.array([1], np.float32), "amount")
    inputs = [("x", FLOAT, ["n"]), ("amount", FLOAT, [1])]
    model = a_model([helper.make_node("Add", ["x", "amount"], ["y"])], inputs, [("y", FLOAT, ["n"])],
                    initializers=[amount])  # fmt: skip
    session = ModelSession(model.SerializeToString())
    assert session.signature.required == {"x"}
    x = np.zeros(2, np.float32)
    assert session.run({"x": x}, [], Stop()).outputs["y"].tolist() == [1, 1]
    assert session.run({"x": x, "amount": np.array([5], np.float32)}, [], Stop()).outputs["y"].tolist() == [5, 5]


def dictionary() -> ModelSession:
    """`y` is the values of the keys a, b, c."""
    node = helper.make_node("DictVectorizer", ["d"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b", "c"])
    model = a_model([node], [], [("y", FLOAT, None)], domains=[("ai.onnx.ml", 1)])
    type_ = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, None))
    model.graph.input.append(ValueInfoProto(name="d", type=type_))
    return ModelSession(model.SerializeToString())


def test_a_dictionary_is_its_keys_and_its_values() -> None:
    session = dictionary()
    assert session.signature.inputs == (TensorSpec("d.keys", "BYTES", (-1,)), TensorSpec("d.values", "FP32", (-1,)))
    feeds = {"d.keys": np.array(["c", "a"], object), "d.values": np.array([3, 1], np.float32)}
    assert session.run(feeds, [], Stop()).outputs["y"].tolist() == [[1, 0, 3]]
    feeds["d.keys"][0] = "a"
    with pytest.raises(ServingError, match="has 2 keys, 1 different ones, for 2 values"):
        session.run(feeds, [], Stop())


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=0, min_side=0)))
def test_sixteen_bits_go_through_a_model_as_they_were(bits: np.ndarray) -> None:
    shape = tuple(f"d{index}" for index in range(bits.ndim))
    session = ModelSession(echo(TensorProto.BFLOAT16, shape=shape))
    given = session.run({"x": bits}, [], Stop()).outputs["y"]
    assert (given.dtype, given.shape) == (np.uint16, bits.shape)
    assert np.array_equal(given, bits)


def casting(before: int, after: int) -> ModelSession:
    node = helper.make_node("Cast", ["x"], ["y"], to=after)
    return ModelSession(a_model([node], [("x", before, ["n"])], [("y", after, ["n"])]).SerializeToString())


@given(hnp.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False)))
def test_numbers_become_the_sixteen_bits_that_onnx_runtime_makes_of_them(numbers: np.ndarray) -> None:
    bits = casting(FLOAT, TensorProto.BFLOAT16).run({"x": numbers}, [], Stop()).outputs["y"]
    assert np.array_equal(bits, from_float32(numbers))
    back = casting(TensorProto.BFLOAT16, FLOAT).run({"x": bits}, [], Stop()).outputs["y"]
    assert np.array_equal(back, to_float32(bits))


HALVES = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.BFLOAT16, None))


@pytest.mark.parametrize("type_", [helper.make_sparse_tensor_type_proto(FLOAT, [3]), HALVES], ids=["sparse", "halves"])
def test_what_nothing_carries_is_refused(type_: TypeProto) -> None:
    with pytest.raises(VerbError) as caught:
        ModelSession(passing_on(type_))
    assert "which the protocol has no form for" in caught.value.message or "can't load" in caught.value.message


def test_tensors_that_come_to_one_name_are_refused() -> None:
    model = ModelProto.FromString(passing_on(SEQUENCE))
    model.graph.input.append(helper.make_tensor_value_info("x.shapes", FLOAT, [1]))
    with pytest.raises(VerbError, match="two inputs of the model come to the same names"):
        ModelSession(model.SerializeToString())
