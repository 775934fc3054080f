"""Fields of a message replaced at any depth, held against protobuf's own reading and writing."""

from hypothesis import given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto

from kingmaker_serving.models.wire import edited, signed, text, walk, written

NAMES = st.text(max_size=200)
NODES = st.lists(st.builds(NodeProto, name=NAMES, op_type=NAMES, input=st.lists(NAMES, max_size=3)), max_size=4)
MODELS = st.builds(ModelProto, ir_version=st.integers(0, 2**63 - 1), producer_name=NAMES,
                   graph=st.builds(GraphProto, node=NODES, name=NAMES))  # fmt: skip


def nodes_of(content: bytes) -> list:
    graphs = [part for part in walk(content, 0, len(content)) if part.number == 7]
    return [part for graph in graphs for part in walk(content, graph.start, graph.end) if part.number == 1]


@given(MODELS, st.data())
def test_a_node_is_replaced_or_taken_out_and_all_else_stays(model: ModelProto, data: st.DataObject) -> None:
    content = model.SerializeToString()
    places = nodes_of(content)
    assert len(places) == len(model.graph.node)
    chosen = data.draw(
        st.dictionaries(st.sampled_from(range(len(places))), st.none() | NAMES) if places else st.just({})
    )
    edits = {}
    for index, name in chosen.items():
        new = NodeProto(name=name, op_type="New") if name is not None else None
        edits[places[index].key] = written(1, new.SerializeToString()) if new is not None else b""
        if new is not None:
            model.graph.node[index].CopyFrom(new)
    for index in sorted((i for i, name in chosen.items() if name is None), reverse=True):
        del model.graph.node[index]
    assert ModelProto.FromString(edited(content, edits)) == model


@given(MODELS)
def test_without_edits_every_byte_stays(model: ModelProto) -> None:
    content = model.SerializeToString()
    assert edited(content, {}) == content


@given(MODELS)
def test_texts_are_read_as_protobuf_reads_them(model: ModelProto) -> None:
    content = model.SerializeToString()
    names = [text(content, p.start, p.end) for p in walk(content, 0, len(content)) if p.number == 2]
    assert names == ([model.producer_name] if model.HasField("producer_name") else [])


@given(st.integers(-(2**63), 2**63 - 1))
def test_negative_numbers_are_read(number: int) -> None:
    assert signed(number % 2**64) == number
