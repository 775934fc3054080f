"""What an ONNX file says about itself, read from its bytes without running any of it.

ONNX Runtime tells neither the opset nor where tensors live in other files, and opening those files is what must not
happen. So the few fields that matter are walked here, on the protobuf wire format: a length at a time, weights skipped.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Final

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.wire import Field, text, walk

ALLOWED_DOMAINS: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)
"""Operators that are built into ONNX Runtime. Anything else needs somebody's library, and none is ever loaded."""
_MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class ExternalTensor:
    """A tensor whose numbers are in another file."""

    field: Field
    """Where the tensor stands."""
    path: str
    """Of the file, relative and without detours."""
    offset: int
    length: int | None
    """Both in bytes; no length is: to the end of the file."""
    is_weight: bool
    """Whether it is an initializer of the main graph, and not within a branch, a loop, a function or an attribute."""


@dataclass(slots=True)
class OnnxFile:
    """Facts of one file: default opset, who wrote it, foreign operators, and what it needs beside itself."""

    opset: int = 0
    producer: str = ""
    foreign_operators: set[str] = field(default_factory=set)
    local_functions: set[tuple[str, str]] = field(default_factory=set)
    external: list[ExternalTensor] = field(default_factory=list)
    odd_texts: list[Field] = field(default_factory=list)
    """Where texts stand that are not UTF-8."""
    has_training: bool = False
    has_graph: bool = False

    @property
    def files(self) -> set[str]:
        """Paths of the files that the model needs beside itself."""
        return {tensor.path for tensor in self.external}


def inspect(content: bytes, files: Collection[str] = ()) -> OnnxFile:
    """Read a model file's facts and refuse what must not be loaded.

    Args:
        content: The file.
        files: Paths of the files that came with it, relative to it.

    Raises:
        VerbError: InvalidModel; the message says what to export differently.
    """
    found = read(content)
    missing = sorted(found.files.difference(files))
    if missing:
        message = (
            f"tensors of the model live in other files (external data), and {missing[:5]} did not come with it; "
            "package it with `kingmaker-serving package`, which lists them in a digest manifest, or save it as one file"
        )
        raise VerbError(Reason.INVALID_MODEL, message)
    return found


def read(content: bytes) -> OnnxFile:
    """Read a model file's facts and refuse what must not be loaded, whichever files came with it.

    Raises:
        VerbError: InvalidModel; the message says what to export differently.
    """
    found = OnnxFile()
    try:
        for number, start, end, _ in walk(content, 0, len(content)):
            if number == 25:
                found.local_functions.add(_function_name(content, start, end))
        _model(content, found)
    except (ValueError, IndexError) as error:
        raise no_model(error) from error
    _refuse(found)
    return found


def no_model(error: Exception) -> VerbError:
    """Build the error of bytes that can't be walked."""
    return VerbError(Reason.INVALID_MODEL, f"the file is no ONNX model ({error}); export it again as an .onnx file")


def _refuse(found: OnnxFile) -> None:
    problem = ""
    if not found.has_graph:
        problem = "the file is no ONNX model (it holds no graph); export it again as an .onnx file"
    elif found.has_training:
        problem = "the model holds a training graph; export it for inference"
    elif found.foreign_operators:
        names = ", ".join(sorted(found.foreign_operators)[:5])
        problem = (
            f"the model uses operators that are not built into ONNX Runtime: {names}; export it without them "
            "(libraries of custom operators are never loaded)"
        )
    if problem:
        raise VerbError(Reason.INVALID_MODEL, problem)


def _model(data: bytes, found: OnnxFile) -> None:
    version = ""
    for number, start, end, _ in walk(data, 0, len(data)):
        match number:
            case 2:
                found.producer = text(data, start, end)
            case 3:
                version = text(data, start, end)
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
    for number, begin, stop, _ in walk(data, start, end):
        if number == 1:
            domain = text(data, begin, stop)
        elif number == 2:
            version = begin
    if domain in {"", "ai.onnx"}:
        found.opset = version


def _function_name(data: bytes, start: int, end: int) -> tuple[str, str]:
    name = domain = ""
    for number, begin, stop, _ in walk(data, start, end):
        if number == 1:
            name = text(data, begin, stop)
        elif number == 10:
            domain = text(data, begin, stop)
    return domain, name


def _function(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    for number, begin, stop, _ in walk(data, start, end):
        if number == 11:
            _attribute(data, begin, stop, found, 0)
    _nodes(data, start, end, found, 0, node_field=7)


def _graph(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    if depth > _MAX_DEPTH:
        message = f"graphs are nested deeper than {_MAX_DEPTH}"
        raise ValueError(message)
    for part in walk(data, start, end):
        if part.number == 5:
            _tensor(data, part, found, is_weight=depth == 0)
        elif part.number == 15:
            _sparse(data, part.start, part.end, found)
    _nodes(data, start, end, found, depth, node_field=1)


def _nodes(data: bytes, start: int, end: int, found: OnnxFile, depth: int, *, node_field: int) -> None:
    for number, begin, stop, _ in walk(data, start, end):
        if number == node_field:
            _node(data, begin, stop, found, depth)


def _node(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    operator = domain = ""
    for number, begin, stop, _ in walk(data, start, end):
        if number == 4:
            operator = text(data, begin, stop)
        elif number == 7:
            domain = text(data, begin, stop)
        elif number == 5:
            _attribute(data, begin, stop, found, depth)
    if domain not in ALLOWED_DOMAINS and (domain, operator) not in found.local_functions:
        found.foreign_operators.add(f"{domain}.{operator}")


def _attribute(data: bytes, start: int, end: int, found: OnnxFile, depth: int) -> None:
    for part in walk(data, start, end):
        if part.number in {6, 11}:
            _graph(data, part.start, part.end, found, depth + 1)
        elif part.number in {5, 10}:
            _tensor(data, part, found)
        elif part.number in {22, 23}:
            _sparse(data, part.start, part.end, found)
        elif part.number in {4, 9}:
            _check_text(data, part, found)


def _sparse(data: bytes, start: int, end: int, found: OnnxFile) -> None:
    for part in walk(data, start, end):
        if part.number in {1, 2}:
            _tensor(data, part, found)


def _tensor(data: bytes, part: Field, found: OnnxFile, *, is_weight: bool = False) -> None:
    entries: dict[str, str] = {}
    is_external = False
    for inner in walk(data, part.start, part.end):
        if inner.number == 13:
            is_external = True
            key, value = _entry(data, inner.start, inner.end)
            if key in entries:
                message = f"external data says {key!r} twice"
                raise ValueError(message)
            entries[key] = value
        elif inner.number == 14 and inner.start != 0:
            is_external = True
        elif inner.number == 6:
            _check_text(data, inner, found)
    if is_external:
        found.external.append(_external(part, entries, is_weight=is_weight))


def _check_text(data: bytes, part: Field, found: OnnxFile) -> None:
    content = data[part.start : part.end]
    if content.isascii():
        return
    try:
        content.decode()
    except UnicodeDecodeError:
        found.odd_texts.append(part)


def _entry(data: bytes, start: int, end: int) -> tuple[str, str]:
    key = value = ""
    for number, begin, stop, _ in walk(data, start, end):
        if number == 1:
            key = text(data, begin, stop)
        elif number == 2:
            value = data[begin:stop].decode("utf-8")
    return key, value


def _external(part: Field, entries: dict[str, str], *, is_weight: bool) -> ExternalTensor:
    """Read where a tensor's numbers are.

    Raises:
        ValueError: Not a place within a file below the model's own folder.
    """
    location = entries.get("location", "")
    path = normpath(location) if location else ""
    offset, length = entries.get("offset", "0"), entries.get("length")
    numbers = [offset] if length is None else [offset, length]
    is_place = all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers)
    if not path or path.startswith(("/", "..")) or "\\" in path or not is_place:
        message = f"external data at {location[:200]!r}, offset {offset[:30]}, length {str(length)[:30]}"
        raise ValueError(message)
    return ExternalTensor(part, path, int(offset), int(length) if length is not None else None, is_weight)
