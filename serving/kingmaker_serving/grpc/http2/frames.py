"""Frames as bytes. Source: RFC 9113, 4 and 6."""

from enum import IntEnum
from struct import Struct
from typing import Final

from kingmaker_serving.grpc.http2.errors import H2Error

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first."""
HEAD: Final = Struct(">IBI")
"""Length (24 bits) and type, flags, stream."""
HEAD_BYTES: Final = HEAD.size
MAX_FRAME_BYTES: Final = 16384
"""Of a payload that we take: what the protocol begins with."""
MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65535
LAST_STREAM: Final = 2**31 - 1

_INT: Final = Struct(">I")
_SETTING: Final = Struct(">HI")


# Plain numbers: they are compared for every frame, and members of an enumeration take five times as long.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 1
ACK: Final = 1
END_HEADERS: Final = 4
PADDED: Final = 8
WITH_PRIORITY: Final = 32


class Setting(IntEnum):
    """What the two sides tell each other."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """Write what this side wants."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read what the other side wants: numbers and values; a number may be unknown, or there twice."""
    return list(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, size: int) -> bytes:
    """Allow the other side `size` more bytes."""
    return frame(WINDOW_UPDATE, 0, stream_id, _INT.pack(size))


def reset(stream_id: int, code: H2Error) -> bytes:
    """End a stream."""
    return frame(RST_STREAM, 0, stream_id, _INT.pack(code))


def go_away(last_stream: int, code: H2Error, message: str = "") -> bytes:
    """Ask for no more streams than up to the last one."""
    return frame(GOAWAY, 0, 0, _INT.pack(last_stream) + _INT.pack(code) + message.encode())


def number(payload: bytes) -> int:
    """Read the 31 bits that a payload begins with."""
    return int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
