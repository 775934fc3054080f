"""What is read of an ONNX file before ONNX Runtime sees it, and what ONNX Runtime then finds."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.models.onnxfile import inspect
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.signature import TensorSpec
from support.onnx_models import a_classifier, a_model, adding, echo, endless, two_inputs


def external(tensor: TensorProto) -> TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    tensor.ClearField("raw_data")
    return tensor


def weights() -> TensorProto:
    return external(numpy_helper.from_array(np.zeros(3, np.float32), "w"))


def with_external_weights() -> ModelProto:
    x = ("x", TensorProto.FLOAT, [3])
    return a_model([helper.make_node("Add", ["x", "w"], ["y"])], [x], [("y", TensorProto.FLOAT, [3])],
                   initializers=[weights()])  # fmt: skip


def with_external_constant() -> ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], value=weights()), helper.make_node("Add", ["x", "w"], ["y"])]
    return a_model(nodes, [("x", TensorProto.FLOAT, [3])], [("y", TensorProto.FLOAT, [3])])


def with_external_branch() -> ModelProto:
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [3])
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "b", [], [out], initializer=[weights()])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return a_model([node], [("c", TensorProto.BOOL, [])], [("y", TensorProto.FLOAT, [3])])


def with_a_domain(domain: str, *, is_local: bool = False) -> ModelProto:
    functions = []
    if is_local:
        body = [helper.make_node("Identity", ["a"], ["b"])]
        functions = [helper.make_function(domain, "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 18)])]
    x, y = ("x", TensorProto.FLOAT, [3]), ("y", TensorProto.FLOAT, [3])
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain=domain)]
    return a_model(nodes, [x], [y], domains=[(domain, 1)], functions=functions)


def test_opset_and_producer_are_read() -> None:
    found = inspect(adding())
    assert (found.opset, found.producer) == (18, "test 1")


def test_a_converted_classifier_is_accepted() -> None:
    session = ModelSession(a_classifier(seed=1)[0])
    assert session.signature.inputs == (TensorSpec("features", "FP32", (-1, 3)),)
    assert [spec.datatype for spec in session.signature.outputs] == ["INT64", "FP32"]


def test_millions_of_numbers_in_an_attribute_are_skipped_quickly() -> None:
    node = helper.make_node("Constant", [], ["y"], value_ints=list(range(500_000)))
    model = a_model([node], [], [("y", TensorProto.INT64, [None])])
    assert inspect(model.SerializeToString()).opset == 18


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (with_external_weights(), "external data"),
        (with_external_constant(), "external data"),
        (with_external_branch(), "external data"),
        (with_a_domain("my.company"), "operators that are not built into ONNX Runtime: my.company.Twice"),
        (with_a_domain("ai.onnx.contrib"), "ai.onnx.contrib.Twice"),
        (with_a_domain("com.microsoft.extensions"), "com.microsoft.extensions.Twice"),
        (with_a_domain("ai.onnx.preview.training"), "ai.onnx.preview.training.Twice"),
        (with_a_domain("com.microsoft"), "com.microsoft:Twice(-1) is not a registered function/op"),
        (ModelProto(ir_version=10), "holds no graph"),
    ],
    ids=[
        "initializer",
        "attribute",
        "subgraph",
        "foreign operator",
        "a library of operators",
        "another library of operators",
        "operators that train",
        "none of the contributed operators",
        "no graph",
    ],
)
def test_a_model_that_must_not_be_loaded_is_refused(model: ModelProto, words: str) -> None:
    with pytest.raises(VerbError) as caught:
        ModelSession(model.SerializeToString())
    assert caught.value.reason is Reason.INVALID_MODEL
    assert words in caught.value.message


def test_functions_that_the_file_brings_along_are_accepted() -> None:
    session = ModelSession(with_a_domain("my.company", is_local=True).SerializeToString())
    feeds = {"x": np.ones(3, np.float32)}
    assert session.run(feeds, [], Stop()).outputs["y"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100, b"\xff" * 100, adding()[:-7]])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(VerbError) as caught:
        ModelSession(content)
    assert caught.value.reason is Reason.INVALID_MODEL


def test_no_cut_of_a_model_breaks_the_reader() -> None:
    content = two_inputs()
    for end in range(len(content)):
        try:
            inspect(content[:end])
        except VerbError as error:
            assert error.reason is Reason.INVALID_MODEL  # noqa: PT017  # most cuts, not all


def test_half_floats_are_run() -> None:
    halves = np.array([0.1, np.inf], np.float16)
    given = ModelSession(echo(TensorProto.FLOAT16)).run({"x": halves}, [], Stop()).outputs["y"]
    assert (given.dtype, given.tolist()) == (np.float16, halves.tolist())


def test_a_run_without_end_is_stopped_from_outside() -> None:
    import threading

    session, stop = ModelSession(endless()), Stop()
    timer = threading.Timer(0.2, stop.ask)
    timer.start()
    with pytest.raises(ServingError) as caught:
        session.run({"x": np.ones(1, np.float32)}, [], stop)
    timer.join()
    assert caught.value.code is ErrorCode.DEADLINE


def test_a_run_that_was_stopped_before_does_not_begin() -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(ServingError, match="did not answer in time"):
        ModelSession(adding()).run({"x": np.ones((1, 3), np.float32)}, [], stop)
