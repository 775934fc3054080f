"""Statuses of gRPC, and what a refused request becomes.

Source: gRPC, "Status codes and their use in gRPC" and "PROTOCOL-HTTP2".
"""

from enum import IntEnum
from typing import Final

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc.http2.hpack import Field, encode

_MAX_MESSAGE: Final = 1000
"""Characters of an error's sentence; clients bound all headers together, often at 8 KiB."""


class Status(IntEnum):
    """Those that this server gives."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


STATUSES: Final = {
    ErrorCode.INVALID_REQUEST: Status.INVALID_ARGUMENT,
    ErrorCode.INVALID_TENSOR: Status.INVALID_ARGUMENT,
    ErrorCode.NOT_FOUND: Status.NOT_FOUND,
    ErrorCode.METHOD: Status.UNIMPLEMENTED,
    ErrorCode.SLOW_BODY: Status.DEADLINE_EXCEEDED,
    ErrorCode.CONFLICT: Status.ALREADY_EXISTS,
    ErrorCode.TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    ErrorCode.UNSUPPORTED_MEDIA: Status.UNIMPLEMENTED,
    ErrorCode.MODEL_FAILED: Status.INTERNAL,
    ErrorCode.INTERNAL: Status.INTERNAL,
    ErrorCode.OVERLOADED: Status.UNAVAILABLE,
    ErrorCode.NOT_READY: Status.UNAVAILABLE,
    ErrorCode.DEADLINE: Status.DEADLINE_EXCEEDED,
}
"""By what went wrong. What REST answers with 503 is UNAVAILABLE: it may be tried again elsewhere."""

OK_TRAILERS: Final = encode([(b"grpc-status", b"0")])


def trailers(error: ServingError) -> list[Field]:
    """Give the fields that tell a client what went wrong."""
    status = STATUSES[error.code]
    fields = [(b"grpc-status", b"%d" % status), (b"grpc-message", _percent_encoded(error.message[:_MAX_MESSAGE]))]
    if status is Status.UNAVAILABLE:
        # Clients that try again by themselves wait this long. Source: gRPC, "A6: client retries".
        fields.append((b"grpc-retry-pushback-ms", b"%d" % (error.retry_seconds * 1000)))
    return fields


def _percent_encoded(text: str) -> bytes:
    """Write a text as `grpc-message` has it: ASCII from space to tilde as it is, but for the percent sign.

    >>> _percent_encoded("50 % of ü")
    b'50 %25 of %C3%BC'
    """
    content = text.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if 32 <= byte < 127 and byte != 37 else b"%%%02X" % byte for byte in content)
