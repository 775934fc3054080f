"""Examples: written from what a model answers, passed by it, failed by another one."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.examples import read_examples, run_examples, write_examples
from kingmaker_serving.models.session import ModelSession
from kingmaker_serving.protocol.bfloat16 import from_float32
from kingmaker_serving.protocol.signature import NUMPY
from support.onnx_models import a_model, echo

TYPES = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING,
}  # fmt: skip


def values(datatype: str) -> np.ndarray:
    if datatype == "BYTES":
        return np.array([["a"], ["ü"], [""]], dtype=object)
    if datatype == "BF16":
        return from_float32(np.array([[0.1], [-2], [np.nan]], np.float32))
    return np.array([[0.1], [1], [0]]).astype(NUMPY[datatype])


@pytest.mark.parametrize("datatype", NUMPY)
@pytest.mark.parametrize("rows", [3, 0])
def test_what_a_model_answered_it_answers_again(datatype: str, rows: int) -> None:
    session = ModelSession(echo(TYPES[datatype], shape=["n", 1]))
    feeds = {"x": values(datatype)[:rows]}
    document = write_examples(session, [feeds])
    (read,) = run_examples(session, read_examples(document))
    assert np.array_equal(read["x"], feeds["x"], equal_nan=feeds["x"].dtype.kind == "f")


def scaled(by: float, kind: int) -> ModelSession:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "by"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=kind),
    ]
    factor = helper.make_tensor("by", TensorProto.FLOAT, [1], [by])
    return ModelSession(
        a_model(nodes, [("x", kind, ["n"])], [("y", kind, ["n"])], initializers=[factor]).SerializeToString()
    )


@pytest.mark.parametrize(("datatype", "near"), [("FP16", 1.001), ("BF16", 1.008)])
def test_halves_may_differ_in_their_last_place(datatype: str, near: float) -> None:
    kind = TYPES[datatype]
    feeds = {"x": values(datatype)[:2, 0]}
    document = read_examples(write_examples(scaled(1.0, kind), [feeds]))
    run_examples(scaled(near, kind), document)
    with pytest.raises(VerbError, match="element") as caught:
        run_examples(scaled(1.05, kind), document)
    assert caught.value.reason is Reason.EXAMPLE_MISMATCH


def test_a_text_that_is_not_utf_8_is_compared_as_json_has_it() -> None:
    node = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_int64s=[0], values_strings=[b"caf\xe9"]
    )
    model = a_model([node], [("x", TensorProto.INT64, ["n"])], [("y", TensorProto.STRING, ["n"])],
                    domains=[("ai.onnx.ml", 2)])  # fmt: skip
    session = ModelSession(model.SerializeToString())
    document = write_examples(session, [{"x": np.array([0])}])
    assert json.loads(document)["examples"][0]["outputs"][0]["data"] == ["caf\ufffd"]
    assert len(run_examples(session, read_examples(document))) == 1
