"""What is read of a file before ONNX Runtime sees it, held against protobuf's own reading of arbitrary bytes."""

import contextlib
from collections.abc import Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.onnxfile import ALLOWED_DOMAINS, inspect
from kingmaker_serving.models.plain import make_plain
from support.onnx_models import a_model

X, Y = ("x", TensorProto.FLOAT, [3]), ("y", TensorProto.FLOAT, [3])


def small(domain: str = "") -> bytes:
    """A model of one operator, a branch and a weight, so that few bytes hold much that can go wrong."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [3])
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "b", [], [out], initializer=[weight])
    nodes = [
        helper.make_node("Add", ["x", "w"], ["v"], domain=domain),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    return a_model(nodes, [X], [Y], initializers=[weight], domains=[(domain, 1)] if domain else []).SerializeToString()


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        yield from within(node.attribute)


def within(attributes: list[AttributeProto]) -> Iterator[GraphProto]:
    for attribute in attributes:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            yield from graphs(graph)


def dangers(model: ModelProto) -> set[str]:
    """What protobuf sees in a model that must not be loaded."""
    known = {(f.domain, f.name) for f in model.functions}
    found = {"training"} if model.training_info else set()
    nodes: list[NodeProto] = [node for function in model.functions for node in function.node]
    tensors: list[TensorProto] = []
    for graph in graphs(model.graph):
        nodes += graph.node
        tensors += graph.initializer
    for node in nodes:
        if node.domain not in ALLOWED_DOMAINS and (node.domain, node.op_type) not in known:
            found.add("operator")
        tensors += [a.t for a in node.attribute if a.HasField("t")]
    if any(t.external_data or t.data_location == TensorProto.EXTERNAL for t in tensors):
        found.add("external")
    return found


def accepted(content: bytes) -> bool:
    """Whether a file passes; whatever it holds, it is judged with a reason."""
    try:
        inspect(content)
    except VerbError as error:
        return error.reason is not Reason.INVALID_MODEL
    return True


def check(content: bytes) -> None:
    if accepted(content):
        with contextlib.suppress(DecodeError):
            assert dangers(ModelProto.FromString(content)) == set()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_judged(content: bytes) -> None:
    check(content)


EDIT = st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=12))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([small(), small("strangers")]), st.lists(EDIT, min_size=1, max_size=4))
def test_what_passes_holds_nothing_that_protobuf_reads_and_must_not_be_loaded(
    content: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    for place, dropped, added in edits:
        at = place % (len(content) + 1)
        content = content[:at] + added + content[at + dropped :]
    check(content)


def zipped() -> bytes:
    """A model that ends with a dictionary per row and with a sequence, so that both are taken apart."""
    nodes = [
        helper.make_node("ZipMap", ["x"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[3, -1]),
        helper.make_node("SequenceConstruct", ["x", "x"], ["s"]),
    ]
    return a_model(nodes, [X], [("z", TensorProto.FLOAT, None), ("s", TensorProto.FLOAT, None)],
                   domains=[("ai.onnx.ml", 3)]).SerializeToString()  # fmt: skip


@settings(max_examples=300)
@given(st.lists(EDIT, max_size=4))
def test_a_changed_model_is_made_plain_or_refused_and_stays_a_message(edits: list[tuple[int, int, bytes]]) -> None:
    content = zipped()
    for place, dropped, added in edits:
        at = place % (len(content) + 1)
        content = content[:at] + added + content[at + dropped :]
    try:
        ModelProto.FromString(content)
        found = make_plain(content)
    except (DecodeError, ValueError):
        return
    # What was a model for protobuf is one afterwards, and holds nothing that is more dangerous than before.
    assert dangers(ModelProto.FromString(found.content)) <= dangers(ModelProto.FromString(content))


def varint(value: int, *, length: int) -> bytes:
    """A number in more bytes than it needs."""
    parts = [(value >> (7 * i)) & 0x7F for i in range(length)]
    return bytes(part | 0x80 for part in parts[:-1]) + bytes(parts[-1:])


@pytest.mark.parametrize("high", [1 << 32, 1 << 33, 1 << 34, 7 << 32])
def test_a_field_that_hides_behind_bits_that_protobuf_drops_is_refused(high: int) -> None:
    """A field's key has 32 bits, and some readers cut off what is above: to them this is a second part of the graph."""
    hidden = ModelProto.FromString(small("strangers")).graph.SerializeToString()
    content = small() + varint(7 << 3 | 2 | high, length=5) + varint(len(hidden), length=3) + hidden
    assert not accepted(content)


def test_the_models_that_are_changed_here_are_what_they_seem() -> None:
    assert (accepted(small()), accepted(small("strangers"))) == (True, False)
    assert dangers(ModelProto.FromString(small("strangers"))) == {"operator"}
