"""External data: the tensors of a model that live in other files, handed to ONNX Runtime without a path.

ONNX Runtime takes the weights of the main graph from files in memory. Those within branches, loops, functions and
attributes it would look for on the disk, in whatever folder the process is in; so they are written into the model.
"""

from collections.abc import Mapping
from typing import Any, Final

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.onnxfile import ExternalTensor, OnnxFile
from kingmaker_serving.models.wire import walk, written

_MAX_BYTES: Final = 2 * 1024**3 - 1
"""Of a protobuf message."""
_RAW: Final = 9
_PLACE: Final = 13
"""Fields of a tensor: its numbers as bytes; where else they are."""
_NOT_EXTERNAL: Final = b"\x70\x00"
"""Field 14, `data_location`: DEFAULT."""


def embed(content: bytes, found: OnnxFile, files: Mapping[str, bytes]) -> dict[int, bytes]:
    """Write the tensors that ONNX Runtime does not take from memory.

    Args:
        content: The model.
        found: What was read of it.
        files: Every file that it names, by path.

    Returns:
        What `wire.edited` does to the model.

    Raises:
        VerbError: InvalidModel when any tensor reaches over the end of its file, or the model becomes too large.
    """
    edits: dict[int, bytes] = {}
    for tensor in found.external:
        numbers = _numbers(tensor, files[tensor.path])
        if not tensor.is_weight:
            edits[tensor.field.key] = _moved_in(content, tensor, numbers)
    if len(content) + sum(map(len, edits.values())) > _MAX_BYTES:
        message = "external data of branches, loops and functions has over 2 GiB; move these weights to the main graph"
        raise VerbError(Reason.INVALID_MODEL, message)
    return edits


def offer(options: Any, found: OnnxFile, files: Mapping[str, bytes]) -> None:  # noqa: ANN401  # ONNX Runtime has no types
    """Let a session take weights from these bytes, and from nowhere else.

    Args:
        options: The session's options; `files` must live until the session is there.
        found: What was read of the model.
        files: Every file that it names, by path.
    """
    names = sorted({tensor.path for tensor in found.external if tensor.is_weight})
    if names:
        buffers = [files[name] for name in names]
        options.add_external_initializers_from_files_in_memory(names, buffers, [len(buffer) for buffer in buffers])


def _numbers(tensor: ExternalTensor, file: bytes) -> memoryview:
    end = len(file) if tensor.length is None else tensor.offset + tensor.length
    if not tensor.offset <= end <= len(file):
        message = f"a tensor has bytes {tensor.offset} to {end} of {tensor.path!r}, which has {len(file)}"
        raise VerbError(Reason.INVALID_MODEL, f"{message}; save the model and its data again, together")
    return memoryview(file)[tensor.offset : end]


def _moved_in(content: bytes, tensor: ExternalTensor, numbers: memoryview) -> bytes:
    """Write a tensor with its numbers, and without where else they were."""
    kept, copied = [], tensor.field.start
    for part in walk(content, tensor.field.start, tensor.field.end):
        if part.number == _PLACE:
            kept.append(content[copied : part.key])
            copied = part.end
    kept.append(content[copied : tensor.field.end])
    # Of a field that is there twice the last one counts.
    return written(tensor.field.number, b"".join([*kept, written(_RAW, bytes(numbers)), _NOT_EXTERNAL]))
