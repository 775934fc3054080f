"""What the head of a call says."""

import re
from dataclasses import dataclass
from typing import Final

from kingmaker_serving.grpc.http2.hpack import Field

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_NAME: Final = re.compile(rb":?[^\x00-\x20\x7f-\xffA-Z:]+")
_VALUE: Final = re.compile(rb"[^\x00\r\n]*")
_OF_ONE_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_MAX_DIGITS: Final = 15
_NEEDED: Final = (b":method", b":scheme", b":path")


@dataclass(frozen=True, slots=True)
class CallHead:
    """One head. Equal heads of a connection are read once, so nothing in it may change.

    Attributes:
        path: `/package.Service/Method`.
        refusal: HTTP status for what is no gRPC; 0 when it is.
        seconds: How long the client, or the router for it, waits from the head on; None for ever.
        encoding: How messages are packed that say so of themselves: `identity`, `gzip`, `deflate`, or what is unknown.
        takes: In which packings the client takes answers.
        decision: What the router stamped on it; None without a stamp.
        bucket: Likewise.
        is_shadow: Whether a champion sent it for comparison.
        length: Bytes of the body; None where the client does not say.
    """

    path: bytes
    refusal: int
    seconds: float | None
    encoding: bytes
    takes: frozenset[bytes]
    decision: bytes | None
    bucket: bytes | None
    is_shadow: bool
    length: int | None


def read_head(fields: list[Field]) -> CallHead:
    """Read the fields of a request.

    Raises:
        ValueError: HTTP/2 does not allow them: the stream ends with PROTOCOL_ERROR.
    """
    found = _checked(fields)
    refusal = 0
    if found[b":method"] != b"POST":
        refusal = 405
    elif not found.get(b"content-type", b"").startswith(b"application/grpc"):
        refusal = 415
    accepted = found.get(b"grpc-accept-encoding", b"").replace(b" ", b"").split(b",")
    return CallHead(
        path=found[b":path"],
        refusal=refusal,
        seconds=_seconds(found),
        encoding=found.get(b"grpc-encoding", b"identity"),
        takes=frozenset(accepted),
        decision=found.get(b"kingmaker-decision"),
        bucket=found.get(b"kingmaker-bucket"),
        is_shadow=b"kingmaker-shadow" in found,
        length=_length(found),
    )


def _checked(fields: list[Field]) -> dict[bytes, bytes]:
    """Give the fields by name. Source: RFC 9113, 8.2 and 8.3."""
    found: dict[bytes, bytes] = {}
    is_regular = False
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a field's name or value has characters that it can't have")
        if name.startswith(b":"):
            if is_regular or name not in _PSEUDO or name in found:
                raise ValueError("a pseudo-header is unknown, there twice, or after other fields")
        else:
            is_regular = True
        if name in _OF_ONE_CONNECTION or (name == b"te" and value != b"trailers"):
            raise ValueError("a field belongs to one connection")
        found[name] = value
    if any(not found.get(name) for name in _NEEDED):
        raise ValueError("a pseudo-header is missing")
    return found


def _length(found: dict[bytes, bytes]) -> int | None:
    text = found.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise ValueError("content-length is no number")
    return int(text)


def _seconds(found: dict[bytes, bytes]) -> float | None:
    """Give the nearer one of the client's deadline and the router's."""
    limits = []
    if (text := found.get(b"grpc-timeout")) is not None:
        match = _TIMEOUT.fullmatch(text)
        if match is None:
            raise ValueError("grpc-timeout is no number with a unit")
        limits.append(int(match[1]) * _UNITS[match[2]])
    left = found.get(b"x-envoy-expected-rq-timeout-ms", b"")
    if left.isdigit() and len(left) < 10 and int(left):
        limits.append(int(left) / 1000)
    return min(limits, default=None)
