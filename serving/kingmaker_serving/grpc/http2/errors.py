"""What a client can do wrong in HTTP/2: to its connection, or to one stream."""

from enum import IntEnum


class H2Error(IntEnum):
    """Error codes on the wire. Source: RFC 9113, 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):  # noqa: N818  # the field's word is «connection error», which Python has taken
    """What nothing can follow on this connection: it is told why, and closed."""

    def __init__(self, code: H2Error, message: str) -> None:
        """Take the code, and a sentence for whoever debugs the client."""
        super().__init__(message)
        self.code = code
        self.message = message


class StreamFault(Exception):  # noqa: N818
    """What ends one stream and leaves its connection alone."""

    def __init__(self, stream_id: int, code: H2Error) -> None:
        """Take which one, and the code."""
        super().__init__(f"stream {stream_id}: {code.name}")
        self.stream_id = stream_id
        self.code = code
