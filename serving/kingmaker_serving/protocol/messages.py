"""Messages of the Open Inference Protocol v2 (REST), as they are on the wire."""

from typing import Final

import msgspec

from kingmaker_serving.errors import ErrorCode, ServingError

MAX_TENSORS: Final = 64
"""Tensors in one request."""
_NO_DATA: Final = msgspec.Raw(b"")


class InputTensor(msgspec.Struct):
    """One tensor of a request. `data` stays JSON until its datatype is known to fit."""

    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = _NO_DATA
    parameters: msgspec.Raw = _NO_DATA


class RequestedOutput(msgspec.Struct):
    """An output that the client wants."""

    name: str
    parameters: msgspec.Raw = _NO_DATA


class InferRequest(msgspec.Struct):
    """`POST /v2/models/{name}/infer`."""

    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None
    id: str | None = None
    parameters: msgspec.Raw = _NO_DATA


class ShadowRequest(msgspec.Struct):
    """The part of a request that is copied to a challenger, untouched."""

    inputs: msgspec.Raw


class OutputTensor(msgspec.Struct):
    """One tensor of a reply."""

    name: str
    datatype: str
    shape: list[int]
    data: list[str | int | float | bool | None]


class InferReply(msgspec.Struct):
    """Answer to `infer`."""

    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]


_INFER: Final = msgspec.json.Decoder(InferRequest)


def read_infer(body: bytes) -> InferRequest:
    """Read a request's outline.

    Raises:
        ServingError: INVALID_REQUEST; the message names the field.
    """
    try:
        request = _INFER.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise malformed(error) from error
    if len(request.inputs) > MAX_TENSORS or len(request.outputs or ()) > MAX_TENSORS:
        message = f"a request may have {MAX_TENSORS} inputs and outputs at most, found {len(request.inputs)} inputs"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return request


def malformed(error: Exception) -> ServingError:
    """Build the error of a body that is no JSON of the expected form: status 400."""
    if isinstance(error, RecursionError):
        return ServingError(ErrorCode.INVALID_REQUEST, "the body's JSON is nested too deeply; use flat data")
    if isinstance(error, UnicodeError):
        return ServingError(ErrorCode.INVALID_REQUEST, "the body is not UTF-8")
    text = str(error).replace("`", "").replace("$.", "").replace("$", "the body")
    return ServingError(ErrorCode.INVALID_REQUEST, f"request can't be read: {text[:300]}")
