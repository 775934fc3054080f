"""Models that answer with sequences and dictionaries, as exporters write them, answer with tensors."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto, helper

from kingmaker_serving.models.plain import make_plain
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.models.wire import edited, written
from kingmaker_serving.protocol.signature import TensorSpec
from support.onnx_models import a_classifier, a_model

FLOAT = TensorProto.FLOAT
X = ("x", FLOAT, ["n", 3])
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def with_output(nodes: list, name: str, type_: TypeProto, **options: list) -> bytes:
    """A model of one output that is no tensor."""
    model = a_model(nodes, [X], [], domains=[("ai.onnx.ml", 3)], **options)
    model.graph.output.append(ValueInfoProto(name=name, type=type_))
    return model.SerializeToString()


def zipped(**labels: list) -> bytes:
    key = TensorProto.INT64 if "classlabels_int64s" in labels else TensorProto.STRING
    map_ = helper.make_map_type_proto(key, helper.make_tensor_type_proto(FLOAT, ()))
    nodes = [
        helper.make_node("Neg", ["x"], ["chances"]),
        helper.make_node("ZipMap", ["chances"], ["zipped"], domain="ai.onnx.ml", **labels),
    ]
    return with_output(nodes, "zipped", helper.make_sequence_type_proto(map_))


def parts(*more: object, name: str = "parts") -> bytes:
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Add", ["x", "x"], ["b"]),
        helper.make_node("SequenceConstruct", ["a", "b"], [name]),
        *more,
    ]
    return with_output(nodes, name, helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None)))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"classlabels_strings": ["a", "b", "ü"]}, ("a", "b", "ü")),
        ({"classlabels_int64s": [7, -1, 2**63 - 1]}, (7, -1, 2**63 - 1)),
    ],
)
def test_a_dictionary_per_row_becomes_a_matrix_with_named_columns(labels: dict, names: tuple) -> None:
    session = ModelSession(zipped(**labels))
    assert session.signature.outputs == (TensorSpec("zipped", "FP32", (-1, 3), classes=names),)
    assert session.run({"x": ROWS}, [], Stop()).outputs["zipped"].tolist() == (-ROWS).tolist()


def test_labels_that_are_packed_are_read_too() -> None:
    name = b"classlabels_int64s"
    content = zipped(classlabels_int64s=[5, 300, -2])
    # A key and a length of one byte each stand before the attribute, and before its name.
    key = content.index(written(1, name)) - 2
    assert content[key] == 5 << 3 | 2
    labels = b"\x05" + b"\xac\x02" + b"\xfe" + b"\xff" * 8 + b"\x01"
    packed = edited(content, {key: written(5, written(1, name) + written(8, labels) + b"\xa0\x01\x07")})
    assert ModelProto.FromString(packed) == ModelProto.FromString(content)
    assert make_plain(packed).classes["zipped"] == (5, 300, -2)


def test_a_trained_classifier_answers_the_same_with_and_without_dictionaries() -> None:
    with_maps, rows, _ = a_classifier(seed=1, zipmap=True)
    names = [spec.name for spec in ModelSession(with_maps).signature.outputs]
    given = ModelSession(with_maps).run({"features": rows}, [], Stop()).outputs
    options = onnxruntime.SessionOptions()
    label, maps = onnxruntime.InferenceSession(with_maps, options).run(names, {"features": rows})
    assert given[names[0]].tolist() == label.tolist()
    assert given[names[1]].tolist() == [[row[0], row[1]] for row in maps]


def test_a_sequence_of_known_parts_becomes_a_tensor_per_part() -> None:
    session = ModelSession(parts())
    assert [(s.name, s.datatype, s.shape) for s in session.signature.outputs] == [
        ("parts.0", "FP32", (-1, 3)), ("parts.1", "FP32", (-1, 3))]  # fmt: skip
    outputs = session.run({"x": ROWS}, [], Stop()).outputs
    assert {name: array.tolist() for name, array in outputs.items()} == {
        "parts.0": (-ROWS).tolist(), "parts.1": (ROWS + ROWS).tolist()}  # fmt: skip
    assert list(session.run({"x": ROWS}, ["parts.1"], Stop()).outputs) == ["parts.1"]


def test_a_sequence_that_another_operator_reads_stays_for_it() -> None:
    model = ModelProto.FromString(parts(helper.make_node("ConcatFromSequence", ["parts"], ["all"], axis=0)))
    model.graph.output.append(helper.make_tensor_value_info("all", FLOAT, None))
    given = ModelSession(model.SerializeToString()).run({"x": ROWS}, [], Stop()).outputs
    assert list(given) == ["parts.0", "parts.1", "all"]
    assert given["all"].tolist() == [*(-ROWS).tolist(), *(ROWS + ROWS).tolist()]


def test_a_sequence_whose_parts_would_take_a_name_in_use_is_carried_as_one() -> None:
    session = ModelSession(parts(helper.make_node("Neg", ["x"], ["parts.0"])))
    assert [spec.name for spec in session.signature.outputs] == ["parts", "parts.shapes"]


def test_what_needs_no_change_is_not_copied() -> None:
    content = a_classifier(seed=1)[0]
    assert make_plain(content).content is content
