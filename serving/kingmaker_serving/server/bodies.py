"""What headers say about a body, and the body unpacked."""

import zlib
from collections.abc import Mapping
from typing import Final

from kingmaker_serving.errors import ErrorCode, ServingError

_JSON: Final = b"application/json"
_KINDS: Final = frozenset({_JSON, b"application/octet-stream", b"application/x-www-form-urlencoded"})
"""The last is what curl says of any -d, and everybody's first request is a curl."""
_MAX_DIGITS: Final = 10


def json_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Give the length of the JSON before binary data; None when all of the body is JSON.

    Raises:
        ServingError: INVALID_REQUEST when the header is no number.
    """
    text = headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        found = text[:40].decode("latin1")
        message = f"inference-header-content-length is {found!r}; expected the length of the JSON in bytes"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return int(text)


def unpacked(
    body: bytes | bytearray, headers: Mapping[bytes, bytes], *, max_bytes: int, also: frozenset[str] = frozenset()
) -> bytes | bytearray:
    """Check the type of a body and unpack it.

    Args:
        body: As it was sent.
        headers: That came with it.
        max_bytes: Once it is unpacked.
        also: Further types that are taken here, in small letters.

    Raises:
        ServingError: UNSUPPORTED_MEDIA, TOO_LARGE, or INVALID_REQUEST for a body that is packed wrongly.
    """
    kind = headers.get(b"content-type")
    if kind is not None and kind != _JSON:
        _check_kind(kind, also)
    encoding = headers.get(b"content-encoding")
    if encoding is None or encoding in {b"", b"identity"}:
        return body
    return _unpack(bytes(body), _inflate(encoding.strip().lower()), encoding, max_bytes)


def _check_kind(kind: bytes, also: frozenset[str]) -> None:
    name = kind.split(b";", maxsplit=1)[0].strip().lower()
    if name not in _KINDS and name.decode("latin1") not in also:
        found = name.decode("latin1")[:80]
        message = f"content-type is {found!r}; send JSON with the header `content-type: application/json`"
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)


def _inflate(encoding: bytes) -> "zlib._Decompress":
    if encoding in {b"gzip", b"x-gzip"}:
        return zlib.decompressobj(wbits=31)
    if encoding == b"deflate":
        return zlib.decompressobj()
    found = encoding.decode("latin1")[:80]
    message = f"content-encoding {found!r} is not read; use gzip, deflate or none"
    raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)


def _unpack(body: bytes, inflate: "zlib._Decompress", encoding: bytes, max_bytes: int) -> bytes:
    name = encoding.decode("latin1")
    try:
        content: bytes = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        text = f"the body is not {name}, which content-encoding says"
        raise ServingError(ErrorCode.INVALID_REQUEST, text) from error
    if len(content) > max_bytes:
        text = f"the body has more than {max_bytes} bytes once unpacked, at most {max_bytes} are accepted"
        raise ServingError(ErrorCode.TOO_LARGE, text)
    if not inflate.eof or inflate.unused_data:
        text = f"the {name} body is cut off or has something after its end"
        raise ServingError(ErrorCode.INVALID_REQUEST, text)
    return content
