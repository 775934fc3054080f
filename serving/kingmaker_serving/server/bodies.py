"""What headers say about a body, and the body unpacked."""

from collections.abc import Mapping
from typing import Final

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.compression import unpack
from kingmaker_serving.protocol.pages import check_media_type
from kingmaker_serving.server.exchange import JSON

_MAX_DIGITS: Final = 10


def json_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Give the length of the JSON before binary data; None when all of the body is JSON.

    Raises:
        ServingError: INVALID_REQUEST when the header is no number, or says that a body of JSON has none.
    """
    text = headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        found = text[:40].decode("latin1")
        message = f"inference-header-content-length is {found!r}; expected the length of the JSON in bytes"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    length = int(text)
    if length == 0 and headers.get(b"content-type", b"").lower().startswith(JSON):
        # Or the text of a request would be taken for its numbers.
        message = "inference-header-content-length is 0, so the body is a tensor's bytes, but content-type says JSON"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return length


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
    if kind is not None and kind != JSON:
        check_media_type(kind, also)
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else unpack(body, encoding, max_bytes)
