"""Messages of the Open Inference Protocol v2 (REST), as they are on the wire."""

from typing import Final

import msgspec

from kingmaker_serving.errors import NOT_JSON, ErrorCode, ServingError
from kingmaker_serving.protocol import words
from kingmaker_serving.protocol.values import Parameter

NOTHING: Final = msgspec.Raw(b"")
"""A field that is not there."""
MAX_ID: Final = 1024
"""Characters of a client's own id."""
_MAX_FIELD_BYTES: Final = 64 * 1024
"""Of one `shape` or `parameters`: objects in memory are many times their JSON."""
_SMALL_BYTES: Final = 1024 * 1024
"""A body up to this size can't hold so many tensors that it matters."""


class InputTensor(msgspec.Struct, gc=False):
    """One tensor of a request. What is in it stays JSON until the model's signature says what it should be."""

    name: str
    datatype: str
    shape: msgspec.Raw
    data: msgspec.Raw = NOTHING
    parameters: msgspec.Raw = NOTHING


class RequestedOutput(msgspec.Struct, gc=False):
    """An output that the client wants."""

    name: str
    parameters: msgspec.Raw = NOTHING


class InferRequest(msgspec.Struct, gc=False):
    """`POST /v2/models/{name}/infer`."""

    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None
    id: str | None = None
    parameters: msgspec.Raw = NOTHING


class _Counted(msgspec.Struct, gc=False):
    inputs: list[msgspec.Raw]
    outputs: list[msgspec.Raw] | None = None


_INFER: Final = msgspec.json.Decoder(InferRequest)
_COUNTED: Final = msgspec.json.Decoder(_Counted)
_SHAPE: Final = msgspec.json.Decoder(list[int])
_PARAMETERS: Final = msgspec.json.Decoder(dict[str, Parameter] | None)


def read_infer(body: bytes, *, max_inputs: int, max_outputs: int) -> InferRequest:
    """Read a request's outline.

    Args:
        body: JSON; the words NaN, Infinity and -Infinity, as Python writes them, stand for numbers.
        max_inputs: As many as the model takes.
        max_outputs: As many as the model gives.

    Raises:
        ServingError: INVALID_REQUEST; the message names the field.
    """
    try:
        request = _decode(body, max_inputs, max_outputs)
    except NOT_JSON as error:
        plain = words.replace(body)
        if plain is None:
            raise malformed(error) from error
        try:
            request = _decode(plain, max_inputs, max_outputs)
        except NOT_JSON as second:
            raise malformed(second) from second
    if request.id is not None and len(request.id) > MAX_ID:
        message = f"id has {len(request.id)} characters; send {MAX_ID} at most"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return request


def read_shape(text: bytes, name: str) -> list[int]:
    """Read an input's shape. Its sizes may be any integers yet.

    Args:
        text: JSON.
        name: Of the input, for the error.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    if len(text) > _MAX_FIELD_BYTES:
        raise _too_long(len(text), f'input "{name[:100]}": shape')
    try:
        return _SHAPE.decode(text)
    except NOT_JSON as error:
        raise malformed(error, f'input "{name[:100]}": shape') from error


def read_parameters(raw: msgspec.Raw, place: str) -> dict[str, Parameter]:
    """Read parameters of any level: names and scalars.

    Args:
        raw: JSON, or nothing.
        place: Whose they are, for the error.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    if raw is NOTHING:
        return {}
    text = bytes(raw)
    if len(text) > _MAX_FIELD_BYTES:
        raise _too_long(len(text), f"{place}: parameters")
    try:
        return _PARAMETERS.decode(text) or {}
    except NOT_JSON as error:
        raise malformed(error, f"{place}: parameters") from error


def malformed(error: Exception, place: str = "the body") -> ServingError:
    """Build the error of a body that is no JSON of the expected form: status 400."""
    if isinstance(error, RecursionError):
        return ServingError(ErrorCode.INVALID_REQUEST, "the body's JSON is nested too deeply; use flat data")
    if isinstance(error, UnicodeError):
        return ServingError(ErrorCode.INVALID_REQUEST, f"{place} is not UTF-8")
    text = str(error).replace("`", "").replace("$.", "").replace("$", place)
    subject = "request" if place == "the body" else place
    return ServingError(ErrorCode.INVALID_REQUEST, f"{subject} can't be read: {text[:300]}")


def _decode(body: bytes, max_inputs: int, max_outputs: int) -> InferRequest:
    if len(body) > _SMALL_BYTES:
        counted = _COUNTED.decode(body)
        _check_count(len(counted.inputs), max_inputs, "inputs; the model takes")
        _check_count(len(counted.outputs or ()), max_outputs, "outputs; the model gives")
    return _INFER.decode(body)


def _check_count(found: int, most: int, what: str) -> None:
    if found > most:
        raise ServingError(ErrorCode.INVALID_REQUEST, f"the request has {found} {what} {most}")


def _too_long(size: int, what: str) -> ServingError:
    message = f"{what}: {size} bytes; nothing that the model takes needs more than {_MAX_FIELD_BYTES}"
    return ServingError(ErrorCode.INVALID_REQUEST, message)
