"""Messages as gRPC packs them: a flag, a length, content that may be compressed. Bounded before it is unpacked."""

import zlib
from struct import Struct
from typing import Final

from kingmaker_serving.errors import ErrorCode, ServingError

PREFIX: Final = Struct(">BI")
PREFIX_BYTES: Final = PREFIX.size
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}
ENCODINGS: Final = b"identity,deflate,gzip"
_WORTH_BYTES: Final = 256
"""Less than this is not worth compressing."""
_LEVEL: Final = 1
"""Tensors shrink little, and the loop waits for it."""


def read_prefix(content: bytes | bytearray, *, max_bytes: int) -> tuple[bool, int]:
    """Read what a message begins with.

    Args:
        content: At least `PREFIX_BYTES`.
        max_bytes: Of a message.

    Returns:
        Whether it is compressed, and the bytes of its content.

    Raises:
        ServingError: TOO_LARGE, or INVALID_REQUEST when it begins otherwise.
    """
    flag, size = PREFIX.unpack_from(content)
    if flag > 1:
        raise ServingError(ErrorCode.INVALID_REQUEST, f"a message begins with the flag {flag}; 0 and 1 are known")
    if size > max_bytes:
        raise too_large(f"{size} bytes", max_bytes)
    return flag == 1, size


def unpack(content: bytes, encoding: bytes, *, max_bytes: int) -> bytes:
    """Give what a compressed message holds.

    Args:
        content: Without its prefix.
        encoding: From the call's head.
        max_bytes: Of what it holds.

    Raises:
        ServingError: UNSUPPORTED_MEDIA, TOO_LARGE, INVALID_REQUEST.
    """
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        found = encoding.decode("latin1")[:40]
        message = f"grpc-encoding is {found!r} for a compressed message; use gzip or deflate, or none"
        raise ServingError(ErrorCode.UNSUPPORTED_MEDIA, message)
    inflate = zlib.decompressobj(wbits=bits)
    try:
        unpacked = inflate.decompress(content, max_bytes + 1)
    except zlib.error as error:
        message = f"the message is not {encoding.decode()}, which grpc-encoding says"
        raise ServingError(ErrorCode.INVALID_REQUEST, message) from error
    if len(unpacked) > max_bytes:
        raise too_large(f"more than {max_bytes} bytes once unpacked", max_bytes)
    if not inflate.eof or inflate.unused_data:
        message = "the compressed message is cut off or has something after its end"
        raise ServingError(ErrorCode.INVALID_REQUEST, message)
    return unpacked


def pack(message: bytes, encoding: bytes = b"identity") -> bytes:
    """Write a message with its prefix, compressed where that is asked for and worth it."""
    bits = _WINDOW_BITS.get(encoding) if len(message) >= _WORTH_BYTES else None
    if bits is None:
        return PREFIX.pack(0, len(message)) + message
    deflate = zlib.compressobj(_LEVEL, wbits=bits)
    packed = deflate.compress(message) + deflate.flush()
    return PREFIX.pack(1, len(packed)) + packed


def too_large(found: str, max_bytes: int) -> ServingError:
    """Build the error of a message over the limit."""
    return ServingError(ErrorCode.TOO_LARGE, f"the message has {found}, at most {max_bytes} are accepted")
