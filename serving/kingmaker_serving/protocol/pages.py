"""Answers of the protocol that are no inference: the server, its health, its models. Values in, JSON out."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from kingmaker_serving.errors import NOT_JSON, ErrorCode, ServingError
from kingmaker_serving.protocol.messages import malformed
from kingmaker_serving.protocol.signature import Signature, TensorSpec

SERVER_NAME: Final = "kingmaker-serving"
PLATFORM: Final = "onnxruntime_onnx"
EXTENSIONS: Final = ("binary_tensor_data", "classification", "model_repository", "parameters")
"""By Triton's names. Of the model repository the index is there; models come and go with what the server was told."""
MEDIA_JSON: Final = "application/json"
MEDIA_BINARY: Final = "application/octet-stream"
_MEDIA_TYPES: Final = {b"", MEDIA_JSON.encode(), MEDIA_BINARY.encode(), b"application/x-www-form-urlencoded"}
_ENCODER: Final = msgspec.json.Encoder()


class ModelState(StrEnum):
    """State of a model in the repository index, by Triton's names."""

    UNKNOWN = "UNKNOWN"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"


class IndexEntry(msgspec.Struct, frozen=True):
    """A model in the repository index."""

    name: str
    version: str
    state: ModelState
    reason: str = ""
    """Why it is in this state; empty when there is nothing to say."""


class _IndexRequest(msgspec.Struct):
    ready: bool = False


_INDEX_REQUEST: Final = msgspec.json.Decoder(_IndexRequest)


def write_server(version: str) -> bytes:
    """Write the server's metadata: `GET /v2`."""
    return _ENCODER.encode({"name": SERVER_NAME, "version": version, "extensions": EXTENSIONS})


def write_live() -> bytes:
    """Write `GET /v2/health/live`."""
    return b'{"live":true}'


def write_ready(*, is_ready: bool) -> bytes:
    """Write `GET /v2/health/ready`; its status is 200 or 503."""
    return _ENCODER.encode({"ready": is_ready})


def write_model_ready(name: str, *, is_ready: bool) -> bytes:
    """Write `GET /v2/models/{name}/ready`; its status is 200 or 503."""
    return _ENCODER.encode({"name": name, "ready": is_ready})


def write_model(name: str, versions: Sequence[str], signature: Signature) -> bytes:
    """Write a model's metadata: `GET /v2/models/{name}`.

    What the protocol's tensors have no field for is among their `parameters`: `optional`, and the names of `classes`.
    """
    return _ENCODER.encode(
        {
            "name": name,
            "versions": versions,
            "platform": PLATFORM,
            "inputs": [_describe(spec) for spec in signature.inputs],
            "outputs": [_describe(spec) for spec in signature.outputs],
        }
    )


def read_index_request(body: bytes | bytearray) -> bool:
    """Read `POST /v2/repository/index`, whose body may be empty.

    Returns:
        Whether only models that are ready are asked for.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    if not body:
        return False
    try:
        return _INDEX_REQUEST.decode(body).ready
    except NOT_JSON as error:
        raise malformed(error) from error


def write_index(entries: Iterable[IndexEntry], *, ready_only: bool) -> bytes:
    """Write the repository index."""
    return _ENCODER.encode([entry for entry in entries if not ready_only or entry.state is ModelState.READY])


def _describe(spec: TensorSpec) -> dict[str, object]:
    described: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
    parameters: dict[str, object] = {}
    if spec.optional:
        parameters["optional"] = True
    if spec.classes:
        parameters["classes"] = spec.classes
    return described | ({"parameters": parameters} if parameters else {})


def write_error(message: str) -> bytes:
    """Write what every error's body is."""
    return _ENCODER.encode({"error": message})


def check_media_type(content_type: bytes, also: frozenset[str] = frozenset()) -> None:
    """Check the header `Content-Type` of a request; empty without it.

    It is JSON, bytes as the binary tensor extension has them, or what curl says of any `-d`: everybody's first request.

    Args:
        content_type: As it was sent.
        also: Further types that are taken, in small letters.

    Raises:
        ServingError: UNSUPPORTED_MEDIA.
    """
    kind = content_type.split(b";", maxsplit=1)[0].strip().lower()
    if kind not in _MEDIA_TYPES and kind.decode("latin1") not in also:
        found = kind.decode("latin1")[:80]
        message = f"content-type is {found!r}; send JSON as {MEDIA_JSON}, binary tensors as {MEDIA_BINARY}"
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)
