"""What an ONNX file says about itself, read from its bytes without running any of it.

ONNX Runtime tells neither the opset nor whether tensors live in other files, and opening those files is what must not
happen. So the few fields that matter are walked here, on the protobuf wire format: a length at a time, weights skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kingmaker_serving.errors import Reason, VerbError

ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Standard operators. Anything else needs code that did not come with ONNX Runtime's specification."""
_MAX_DEPTH: Final = 32
_MAX_KEY: Final = 2**32 - 1

# An attribute's numbers come one field each; a forest has millions. Runs of them are skipped at the speed of `re`.
_RUNS: Final = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])++|(?:\x3d.{4})++", re.DOTALL)


@dataclass(slots=True)
class OnnxFile:
    """Facts of one file: default opset, who wrote it, foreign operators, and whether it is complete."""

    opset: int = 0
    producer: str = ""
    foreign_operators: set[str] = field(default_factory=set)
    local_functions: set[tuple[str, str]] = field(default_factory=set)
    has_external_data: bool = False
    has_training: bool = False
    has_graph: bool = False


def inspect(content: bytes) -> OnnxFile:
    """Read a model file's facts and refuse what must not be loaded.

    Raises:
        VerbError: InvalidModel; the message says what to export differently.
    """
    found = OnnxFile()
    try:
        for number, start, end in _fields(content, 0, len(content)):
            if number == 25:
                found.local_functions.add(_function_name(content, start, end))
        _model(content, found)
    except (ValueError, IndexError) as error:
        message = f"the file is no ONNX model ({error}); export it again as one .onnx file"
        raise VerbError(Reason.INVALID_MODEL, message) from error
    _refuse(found)
    return found


def _refuse(found: OnnxFile) -> None:
    problem = ""
    if not found.has_graph:
        problem = "the file is no ONNX model (it holds no graph); export it again as one .onnx file"
    elif found.has_external_data:
        problem = "tensors of the model live in other files (external data); save it as a single .onnx file"
    elif found.has_training:
        problem = "the model holds a training graph; export it for inference"
    elif found.foreign_operators:
        names = ", ".join(sorted(found.foreign_operators)[:5])
        problem = f"the model uses operators outside ai.onnx and ai.onnx.ml: {names}; export it with standard ones"
    if problem:
        raise VerbError(Reason.INVALID_MODEL, problem)


def _model(data: bytes, found: OnnxFile) -> None:
    version = ""
    for number, start, end in _fields(data, 0, len(data)):
        match number:
            case 2:
                found.producer = _text(data, start, end)
            case 3:
                version = _text(data, start, end)
            case 7:
                found.has_graph = True
                _graph(data, start, end, found, 0)
            case 8:
                _opset(data, start, end, found)
            case 20:
                found.has_training = True
            case 25:
                _function(data, start, end, found)
            case _:
                pass
    found.producer = f"{found.producer} {version}".strip()[:256]


def _opset(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    domain, version = "", 0
    for number, begin, stop in _fields(data, start, end):
        if number == 1:
            domain = _text(data, begin, stop)
        elif number == 2:
            version = begin
    if domain in {"", "ai.onnx"}:
        found.opset = version


def _function_name(data: bytes, start: int, end: int) -> tuple[str, str]:
    name = domain = ""
    for number, begin, stop in _fields(data, start, end):
        if number == 1:
            name = _text(data, begin, stop)
        elif number == 10:
            domain = _text(data, begin, stop)
    return domain, name


def _function(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    for number, begin, stop in _fields(data, start, end):
        if number == 11:
            _attribute(data, begin, stop, found, 0)
    _nodes(data, start, end, found, 0, node_field=7)


def _graph(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    if depth > _MAX_DEPTH:
        message = f"graphs are nested deeper than {_MAX_DEPTH}"
        raise ValueError(message)
    for number, begin, stop in _fields(data, start, end):
        if number == 5:
            _tensor(data, begin, stop, found)
        elif number == 15:
            _sparse(data, begin, stop, found)
    _nodes(data, start, end, found, depth, node_field=1)


def _nodes(data: bytes, start: int, end: int, found: OnnxFile, depth: int, *, node_field: int) -> None:
    for number, begin, stop in _fields(data, start, end):
        if number == node_field:
            _node(data, begin, stop, found, depth)


def _node(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    operator = domain = ""
    for number, begin, stop in _fields(data, start, end):
        if number == 4:
            operator = _text(data, begin, stop)
        elif number == 7:
            domain = _text(data, begin, stop)
        elif number == 5:
            _attribute(data, begin, stop, found, depth)
    if domain not in ALLOWED_DOMAINS and (domain, operator) not in found.local_functions:
        found.foreign_operators.add(f"{domain}.{operator}")


def _attribute(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    for number, begin, stop in _fields(data, start, end):
        if number in {6, 11}:
            _graph(data, begin, stop, found, depth + 1)
        elif number in {5, 10}:
            _tensor(data, begin, stop, found)
        elif number in {22, 23}:
            _sparse(data, begin, stop, found)


def _sparse(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    for number, begin, stop in _fields(data, start, end):
        if number in {1, 2}:
            _tensor(data, begin, stop, found)


def _tensor(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    for number, begin, _ in _fields(data, start, end):
        if number == 13 or (number == 14 and begin != 0):
            found.has_external_data = True


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Walk one message: field number with begin and end of its bytes, or with the value itself for a number.

    Raises:
        ValueError: A field reaches over the end of its message, or has a key or wire type that ONNX does not use.
    """
    position = start
    while position < end:
        run = _RUNS.match(data, position, end)
        if run:
            position = run.end()
            continue
        key, position = _varint(data, position, end)
        if key > _MAX_KEY:
            # ONNX Runtime's protobuf drops the bits above: to it this would be another field than to us.
            message = f"a field's key at byte {position} has more than 32 bits"
            raise ValueError(message)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position, end)
            yield number, value, 0
            continue
        if wire == 2:
            length, position = _varint(data, position, end)
        elif wire in {1, 5}:
            length = 8 if wire == 1 else 4
        else:
            message = f"wire type {wire} at byte {position}"
            raise ValueError(message)
        if position + length > end:
            message = f"a field ends at byte {position + length}, its message at {end}"
            raise ValueError(message)
        yield number, position, position + length
        position += length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            message = f"it ends within a number at byte {position}"
            raise ValueError(message)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    message = f"a number at byte {position} is too long"
    raise ValueError(message)
