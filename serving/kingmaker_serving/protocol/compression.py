"""Bodies packed as gzip or deflate, both ways, within bounds."""

import zlib
from typing import Any, Final

from kingmaker_serving.errors import ErrorCode, ServingError

MIN_BYTES: Final = 1024
"""A smaller answer gains less than packing it costs."""
_LEVEL: Final = 1
"""Of zlib: on numbers, higher ones take several times as long for a few percent."""
_GZIP, _ZLIB, _RAW = 31, 15, -15
_WBITS: Final = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}


def unpack(body: bytes | bytearray, encoding: bytes, max_bytes: int) -> bytes | bytearray:
    """Unpack a body.

    Args:
        body: As it came.
        encoding: Header `Content-Encoding`: gzip, deflate (as RFC 9110 says, or without zlib's wrapper, as some clients
            send it), identity or nothing.
        max_bytes: Bound of what comes out; no more than that is ever unpacked.

    Raises:
        ServingError: UNSUPPORTED_MEDIA for another encoding, TOO_LARGE, INVALID_REQUEST for a broken body.
    """
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    wbits = _WBITS.get(name)
    if wbits is None:
        found = encoding.decode("latin1")[:80]
        message = f"content-encoding {found!r} is not read; use gzip, deflate or none"
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)
    if wbits == _ZLIB and not _is_zlib(body):
        wbits = _RAW
    label = "gzip" if wbits == _GZIP else "deflate"
    inflate: Any = zlib.decompressobj(wbits)
    try:
        content: bytes = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        message = f"the body is not {label}, which content-encoding says"
        raise ServingError(ErrorCode.INVALID_REQUEST, message) from error
    if len(content) > max_bytes:
        message = f"the body has more than {max_bytes} bytes once unpacked, which is the limit; send fewer rows"
        raise ServingError(ErrorCode.TOO_LARGE, message)
    if not inflate.eof or inflate.unused_data:
        message = f"the {label} body is cut off or has something after its end"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return content


def pack(body: bytes, accept_encoding: bytes) -> tuple[bytes, bytes]:
    """Pack an answer when the client asks for it and it is worth it.

    Args:
        body: The answer.
        accept_encoding: Header `Accept-Encoding`; nothing without it.

    Returns:
        What to send, and the header `Content-Encoding`, empty when it is `body` itself.
    """
    if not accept_encoding or len(body) < MIN_BYTES:
        return body, b""
    encoding = choose(accept_encoding)
    if not encoding:
        return body, b""
    deflate = zlib.compressobj(_LEVEL, wbits=_WBITS[encoding])
    return deflate.compress(body) + deflate.flush(), encoding


def choose(accept_encoding: bytes) -> bytes:
    """Choose gzip or deflate as RFC 9110 §12.5.3 has it, gzip of two equally liked; nothing when neither is.

    >>> choose(b"deflate, gzip;q=0.5")
    b'deflate'
    """
    liked: dict[bytes, float] = {}
    for item in accept_encoding.lower()[:1000].split(b","):
        name, _, parameter = item.partition(b";")
        liked[name.strip()] = _quality(parameter)
    anything = liked.get(b"*", 0.0)
    gzip = liked.get(b"gzip", liked.get(b"x-gzip", anything))
    deflate = liked.get(b"deflate", anything)
    if max(gzip, deflate) <= 0 or liked.get(b"identity", 0.0) > max(gzip, deflate):
        return b""
    return b"gzip" if gzip >= deflate else b"deflate"


def _quality(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _is_zlib(body: bytes | bytearray) -> bool:
    """Whether a body begins as RFC 1950 says: method 8, and two bytes that are a multiple of 31."""
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
