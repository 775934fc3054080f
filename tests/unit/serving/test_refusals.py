"""What ONNX Runtime refuses while it runs: the client's fault with shapes named, or the model's."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import ModelSession, Stop
from support.onnx_models import a_model, echo, two_inputs

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def refused(session: ModelSession, **feeds: np.ndarray) -> ServingError:
    with pytest.raises(ServingError) as caught:
        session.run(feeds, [], Stop())
    return caught.value


def test_a_wrong_number_of_dimensions_names_the_shapes() -> None:
    error = refused(ModelSession(echo(FLOAT, shape=["n", 3])), x=np.zeros(3, np.float32))
    assert error.code is ErrorCode.INVALID_TENSOR
    assert error.message == "the model refuses these inputs: 'x' [3]; it takes x FP32 [-1, 3]"


def test_inputs_of_different_rows_are_the_clients_fault() -> None:
    feeds = {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32), "t": np.array(["x"] * 2, object)}
    error = refused(ModelSession(two_inputs()), **feeds)
    assert error.code is ErrorCode.INVALID_TENSOR
    assert "'a' [2], 'b' [3], 't' [2]" in error.message
    assert "expected the same number of rows in each" in error.message


def test_a_batch_that_the_graph_does_not_take_is_the_clients_fault() -> None:
    shape = numpy_helper.from_array(np.array([1, 6]), "shape")
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = a_model([node], [("x", FLOAT, ["n", 3])], [("y", FLOAT, None)], initializers=[shape])
    session = ModelSession(model.SerializeToString())
    assert session.run({"x": np.zeros((2, 3), np.float32)}, [], Stop()).outputs["y"].shape == (1, 6)
    assert refused(session, x=np.zeros((3, 3), np.float32)).code is ErrorCode.INVALID_TENSOR


def test_an_index_out_of_range_is_the_clients_fault() -> None:
    table = numpy_helper.from_array(np.zeros(3, np.float32), "table")
    model = a_model([helper.make_node("Gather", ["table", "x"], ["y"])], [("x", INT64, ["n"])], [("y", FLOAT, ["n"])],
                    initializers=[table])  # fmt: skip
    assert refused(ModelSession(model.SerializeToString()), x=np.array([7])).code is ErrorCode.INVALID_TENSOR


def test_dimensions_of_one_name_may_differ_where_onnx_runtime_answers() -> None:
    session = ModelSession(echo(FLOAT, shape=["?", 3, "?", "?"]))
    image = np.zeros((1, 3, 48, 192), np.float32)
    assert session.run({"x": image}, [], Stop()).outputs["y"].shape == image.shape


@pytest.mark.parametrize("shape", [(0, 3), (0, 0)])
def test_no_rows_are_answered_with_none(shape: tuple[int, ...]) -> None:
    session = ModelSession(echo(FLOAT, shape=["n", None]))
    assert session.run({"x": np.zeros(shape, np.float32)}, [], Stop()).outputs["y"].shape == shape


def test_three_hundred_inputs_are_asked_and_an_error_names_a_few() -> None:
    names = [f"column_{n}" for n in range(300)]
    model = a_model([helper.make_node("Sum", names, ["y"])], [(name, FLOAT, ["n", 1]) for name in names],
                    [("y", FLOAT, ["n", 1])])  # fmt: skip
    session = ModelSession(model.SerializeToString())
    feeds = {name: np.ones((2, 1), np.float32) for name in names}
    assert session.run(feeds, [], Stop()).outputs["y"].tolist() == [[300], [300]]
    message = refused(session, **(feeds | {"column_3": np.ones((5, 1), np.float32)})).message
    assert "and 292 more" in message
    assert len(message) < 1000
