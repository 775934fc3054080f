"""Small ONNX models, made without training: what they answer is known beforehand."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 18


def a_model(
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
    *,
    initializers: Sequence[TensorProto] = (),
    domains: Sequence[tuple[str, int]] = (),
    functions: Sequence[Any] = (),
) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        initializer=list(initializers),
    )
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(*domain) for domain in domains)]
    return helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=10,
        producer_name="test",
        producer_version="1",
        functions=list(functions),
    )


def adding(amount: float = 1.0, *, width: int = 3) -> bytes:
    """`y = x + amount` over FP32 [-1, width]."""
    constant = numpy_helper.from_array(np.array([amount], dtype=np.float32), "amount")
    return a_model(
        [helper.make_node("Add", ["x", "amount"], ["y"])],
        [("x", TensorProto.FLOAT, ["n", width])],
        [("y", TensorProto.FLOAT, ["n", width])],
        initializers=[constant],
    ).SerializeToString()


def echo(datatype: int, *, shape: Sequence[int | str | None] = ("n",)) -> bytes:
    """`y = x` of any datatype."""
    return a_model(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", datatype, shape)], [("y", datatype, shape)]
    ).SerializeToString()


def two_inputs() -> bytes:
    """`sum = a + b` and `text = t`: two FP32 [rows], one BYTES [rows], the free dimension has a name."""
    return a_model(
        [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Identity", ["t"], ["text"])],
        [("a", TensorProto.FLOAT, ["rows"]), ("b", TensorProto.FLOAT, ["rows"]), ("t", TensorProto.STRING, ["rows"])],
        [("sum", TensorProto.FLOAT, ["rows"]), ("text", TensorProto.STRING, ["rows"])],
    ).SerializeToString()


def expanding() -> bytes:
    """A few bytes of input decide how many gigabytes come out."""
    one = numpy_helper.from_array(np.array([1.0], dtype=np.float32), "one")
    return a_model(
        [helper.make_node("Expand", ["one", "shape"], ["y"])],
        [("shape", TensorProto.INT64, [1])],
        [("y", TensorProto.FLOAT, [None])],
        initializers=[one],
    ).SerializeToString()


def endless() -> bytes:
    """Loops 2^62 times, whatever comes in."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["n"]),
        ],
    )
    constants = [
        numpy_helper.from_array(np.array(2**62, dtype=np.int64), "times"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    return a_model(
        [helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)],
        [("x", TensorProto.FLOAT, ["n"])],
        [("y", TensorProto.FLOAT, ["n"])],
        initializers=constants,
    ).SerializeToString()


def regression() -> bytes:
    """`price = x0 + x1 + x2` over FP32 [-1, 3], answer of shape [-1, 1]."""
    return a_model(
        [helper.make_node("ReduceSum", ["x", "axes"], ["price"], keepdims=1)],
        [("x", TensorProto.FLOAT, ["n", 3])],
        [("price", TensorProto.FLOAT, ["n", 1])],
        initializers=[numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")],
    ).SerializeToString()


def a_classifier(*, seed: int, flipped: bool = False, zipmap: bool = False) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A trained classifier of three features, with its training rows and labels. `flipped` learns the opposite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.linear_model import LogisticRegression

        rows = np.random.default_rng(seed).normal(size=(400, 3)).astype(np.float32)
        labels = (rows[:, 0] + 0.5 * rows[:, 1] > 0).astype(np.int64)
        model = LogisticRegression().fit(rows, 1 - labels if flipped else labels)
        options = {id(model): {"zipmap": zipmap}}
        made = to_onnx(
            model, initial_types=[("features", FloatTensorType([None, 3]))], options=options, target_opset=OPSET
        )
    return made.SerializeToString(), rows, labels


def moved_out(content: bytes, folder: Path, *, name: str = "weights.bin") -> Path:
    """Save a model with all its weights in another file, as exporters of large models do; give the model's path."""
    import onnx

    model = onnx.load_from_string(content)
    folder.mkdir(parents=True, exist_ok=True)
    form: dict[str, Any] = {"save_as_external_data": True, "size_threshold": 0, "convert_attribute": True}
    onnx.save_model(model, folder / "model.onnx", location=name, **form)
    return folder / "model.onnx"
