"""What a frame must be, whatever it is about."""

from typing import Final

from kingmaker_serving.grpc.http2 import frames
from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error, StreamFault
from kingmaker_serving.grpc.http2.frames import MAX_WINDOW

_SETTINGS_BYTES: Final = 6


def check_ping(stream_id: int, payload: bytes) -> None:
    """Check a ping.

    Raises:
        ConnectionFault: It belongs to a stream, or has another size than 8 bytes.
    """
    if stream_id:
        raise wrong("PING belongs to no stream")
    if len(payload) != 8:
        raise ConnectionFault(H2Error.FRAME_SIZE_ERROR, "PING has 8 bytes")


def check_settings(flags: int, stream_id: int, payload: bytes) -> None:
    """Check the outside of settings.

    Raises:
        ConnectionFault: They belong to a stream, or are cut.
    """
    if stream_id:
        raise wrong("SETTINGS belong to no stream")
    if len(payload) % _SETTINGS_BYTES or (flags & frames.ACK and payload):
        raise ConnectionFault(H2Error.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")


def check_reset(stream_id: int, last_stream: int, payload: bytes) -> None:
    """Check the end of a stream.

    Raises:
        ConnectionFault: It has another size than 4 bytes, or the stream was never opened.
    """
    if len(payload) != 4:
        raise ConnectionFault(H2Error.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
    if not 0 < stream_id <= last_stream:
        raise wrong(f"RST_STREAM for stream {stream_id}, which was never opened")


def growth(stream_id: int, last_stream: int, payload: bytes) -> int:
    """Give the bytes by which a window grows.

    Raises:
        ConnectionFault: The frame has another size than 4 bytes, or the stream was never opened.
        StreamFault: A stream's window would grow by nothing.
    """
    if len(payload) != 4:
        raise ConnectionFault(H2Error.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
    if stream_id > last_stream:
        raise wrong(f"WINDOW_UPDATE for stream {stream_id}, which was never opened")
    more = frames.number(payload)
    if not more:
        fault = wrong("a window can't grow by nothing")
        raise fault if not stream_id else StreamFault(stream_id, H2Error.PROTOCOL_ERROR)
    return more


def check_window(window: int, what: str = "the window") -> None:
    """Check a window that has grown.

    Raises:
        ConnectionFault: It is over the protocol's limit.
    """
    if window > MAX_WINDOW:
        raise ConnectionFault(H2Error.FLOW_CONTROL_ERROR, f"{what} is over {MAX_WINDOW}")


def unpadded(payload: bytes) -> bytes:
    """Give what a padded frame carries.

    Raises:
        ConnectionFault: There is more padding than frame.
    """
    if not payload or payload[0] >= len(payload):
        raise wrong("a frame is all padding")
    return payload[1 : len(payload) - payload[0]]


def check_priority(stream_id: int, payload: bytes) -> None:
    """Check a priority, which then is ignored.

    Raises:
        ConnectionFault: It belongs to no stream.
        StreamFault: It has another size, or a stream depends on itself.
    """
    if not stream_id:
        raise wrong("PRIORITY belongs to a stream")
    if len(payload) != 5:
        raise StreamFault(stream_id, H2Error.FRAME_SIZE_ERROR)
    if frames.number(payload) == stream_id:
        raise StreamFault(stream_id, H2Error.PROTOCOL_ERROR)


def wrong(message: str) -> ConnectionFault:
    """Say what the client did against the protocol."""
    return ConnectionFault(H2Error.PROTOCOL_ERROR, message)
