"""ONNX files whose answers are no plain tensors, changed in memory so that they are.

Exporters end a classifier with ZipMap, which turns a matrix of probabilities into a dictionary per row, and a model of
several targets with SequenceConstruct. The protocol carries tensors; and thousands of small dictionaries cost more than
the model itself. So these nodes are taken out and what they were fed with is answered: a ZipMap becomes an Identity of
the same name, a sequence of known parts one Identity per part. ONNX Runtime takes most of these out again.

It is done on the wire format of bytes whose digest is known: everything else is copied as it was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kingmaker_serving.models.wire import Field, edited, signed, text, varint, walk, written

Classes = tuple[int | str, ...]

_GRAPH: Final = 7
"""Field of a model."""
_NODE: Final = 1
_INITIALIZER: Final = 5
_INPUT: Final = 11
_OUTPUT: Final = 12
_VALUE: Final = 13
"""The last five are fields of a graph."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A model's bytes, and what its probabilities stand for."""

    content: bytes
    classes: dict[str, Classes] = field(default_factory=dict)
    """By output name: names of the columns, from ZipMap."""


@dataclass(slots=True)
class _Node:
    """The part of a node that counts here. Names stay bytes, so that they are written as they were read."""

    operator: bytes = b""
    domain: bytes = b""
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    classes: Classes = ()


def make_plain(content: bytes) -> Plain:
    """Take the nodes out that would answer with something else than tensors.

    Args:
        content: A model that `onnxfile.inspect` accepts.

    Returns:
        The same bytes when there are none.

    Raises:
        ValueError: No protobuf message, in a place that `inspect` had no reason to look at.
    """
    if b"ZipMap" not in content and b"SequenceConstruct" not in content:
        return Plain(content)
    graphs = [part for part in walk(content, 0, len(content)) if part.number == _GRAPH]
    parts = [part for graph in graphs for part in walk(content, graph.start, graph.end)]
    outputs = {_name(content, part) for part in parts if part.number == _OUTPUT}
    edits: dict[int, bytes] = {}
    renamed: dict[bytes, list[bytes]] = {}
    classes: dict[str, Classes] = {}
    for part in parts:
        node = _read_node(content, part) if part.number == _NODE else _Node()
        if len(node.outputs) != 1 or node.outputs[0] not in outputs:
            continue
        name = node.outputs[0]
        if (node.operator, node.domain) == (b"ZipMap", b"ai.onnx.ml") and len(node.inputs) == 1:
            renamed[name] = [name]
            edits[part.key] = _identity(node.inputs[0], name)
            classes[name.decode("utf-8", "replace")] = node.classes
        elif node.operator == b"SequenceConstruct" and node.domain in {b"", b"ai.onnx"}:
            names = [name + f".{index}".encode() for index in range(len(node.inputs))]
            if _names(content, parts).isdisjoint(names):
                renamed[name] = names
                edits[part.key] = _apart(content, part, node, names)
    for part in parts:
        names = renamed.get(_name(content, part), []) if part.number in {_OUTPUT, _VALUE} else []
        if names:
            # Without a type: ONNX Runtime finds it, and it is not the one that stands here.
            found = [written(_OUTPUT, written(1, name)) for name in names]
            edits[part.key] = b"".join(found) if part.number == _OUTPUT else b""
    return Plain(edited(content, edits), classes) if edits else Plain(content)


def _apart(content: bytes, part: Field, node: _Node, names: Iterable[bytes]) -> bytes:
    """Give each part of a sequence by a name of its own."""
    nodes = [_identity(source, name) for source, name in zip(node.inputs, names, strict=True)]
    # In its own node and as an output: twice. More than that, and somebody else may read the sequence, too.
    if content.count(node.outputs[0]) > 2:
        nodes.append(content[part.key : part.end])
    return b"".join(nodes)


def _read_node(content: bytes, part: Field) -> _Node:
    node = _Node()
    for number, start, end, _ in walk(content, part.start, part.end):
        match number:
            case 1:
                node.inputs.append(content[start:end])
            case 2:
                node.outputs.append(content[start:end])
            case 4:
                node.operator = content[start:end]
            case 5:
                node.classes = _read_classes(content, start, end) or node.classes
            case 7:
                node.domain = content[start:end]
            case _:
                pass
    return node


def _read_classes(content: bytes, start: int, end: int) -> Classes:
    """Read `classlabels_strings` or `classlabels_int64s`; nothing of any other attribute."""
    name = next((content[p.start : p.end] for p in walk(content, start, end) if p.number == 1), b"")
    if not name.startswith(b"classlabels_"):
        return ()
    found: list[int | str] = []
    for part in walk(content, start, end, numbers=True):
        if part.number == 9:
            found.append(text(content, part.start, part.end))
        elif part.number == 8:
            found += map(signed, _integers(content, part))
    return tuple(found)


def _integers(content: bytes, part: Field) -> Iterator[int]:
    """Read a repeated number: one per field, or packed into one."""
    if not part.end:
        yield part.start
        return
    position = part.start
    while position < part.end:
        value, position = varint(content, position, part.end)
        yield value


def _names(content: bytes, parts: Iterable[Field]) -> set[bytes]:
    """Give every name that a value of the graph has."""
    found: set[bytes] = set()
    for part in parts:
        if part.number == _NODE:
            found.update(_read_node(content, part).outputs)
        elif part.number in {_INITIALIZER, _INPUT, _OUTPUT, _VALUE}:
            found.add(_name(content, part, number=8 if part.number == _INITIALIZER else 1))
    return found


def _name(content: bytes, part: Field, *, number: int = 1) -> bytes:
    """Give the name of an input, an output, a value or a tensor."""
    return next((content[p.start : p.end] for p in walk(content, part.start, part.end) if p.number == number), b"")


def _identity(source: bytes, name: bytes) -> bytes:
    """Write the field of a node."""
    return written(_NODE, written(1, source) + written(2, name) + written(4, b"Identity"))
