"""Texts that are not UTF-8: they can only be the model's own, and are answered as they are."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import ModelSession, Stop
from support.onnx_models import a_model, echo

STRING = TensorProto.STRING
LATIN = "café".encode("latin-1")


def encoder(*labels: bytes) -> bytes:
    """Class names by number."""
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_int64s=[0, 1, 2],
                            values_strings=list(labels), default_string=LATIN)  # fmt: skip
    x, y = ("x", TensorProto.INT64, ["n"]), ("y", STRING, ["n"])
    return a_model([node], [x], [y], domains=[("ai.onnx.ml", 2)]).SerializeToString()


def from_text() -> bytes:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=["a"],
                            values_strings=[LATIN])  # fmt: skip
    return a_model(
        [node], [("x", STRING, ["n"])], [("y", STRING, ["n"])], domains=[("ai.onnx.ml", 2)]
    ).SerializeToString()


def constant() -> bytes:
    tensor = TensorProto(name="c", data_type=STRING, dims=[2, 1], string_data=[LATIN, b"ok"])
    return a_model([helper.make_node("Identity", ["c"], ["y"])], [], [("y", STRING, [2, 1])],
                   initializers=[tensor]).SerializeToString()  # fmt: skip


def answer(content: bytes, **feeds: np.ndarray) -> list:
    return ModelSession(content).run(feeds, [], Stop()).outputs["y"].tolist()


def test_a_class_name_in_another_encoding_is_answered_as_its_bytes() -> None:
    rows = np.array([0, 1, 2, 9])
    assert answer(encoder(b"plain", LATIN, b"\xff\xfe"), x=rows) == ["plain", LATIN, b"\xff\xfe", LATIN]


def test_it_may_also_come_of_a_text_or_stand_in_a_tensor() -> None:
    assert answer(from_text(), x=np.array(["a"], object)) == [LATIN]
    assert answer(constant()) == [[LATIN], ["ok"]]


def test_what_is_utf_8_is_left_alone() -> None:
    assert answer(encoder("ü".encode(), b"", "日本".encode()), x=np.arange(3)) == ["ü", "", "日本"]


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ServingError) as caught:
        ModelSession(echo(STRING)).run({"x": np.array(["a", "\udcff"], object)}, [], Stop())
    assert caught.value.code is ErrorCode.INVALID_TENSOR
    assert "half a surrogate pair" in caught.value.message
