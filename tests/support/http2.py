"""A client of HTTP/2 that says exactly what a test wants, and a server's side without a socket."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kingmaker_serving.grpc.http2 import frames
from kingmaker_serving.grpc.http2.connection import Connection
from kingmaker_serving.grpc.http2.frames import HEAD, HEAD_BYTES
from kingmaker_serving.grpc.http2.hpack import Decoder, Field, encode
from kingmaker_serving.grpc.http2.stream import Stream

HELLO = frames.PREFACE + frames.settings({})
CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/echo"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]


@dataclass(frozen=True)
class Frame:
    """What came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Error code of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == frames.GOAWAY else 0
        return int.from_bytes(self.payload[at : at + 4], "big")


def read_frames(content: bytes) -> list[Frame]:
    """Take bytes apart."""
    found, at = [], 0
    while at < len(content):
        word, flags, stream = HEAD.unpack_from(content, at)
        end = at + HEAD_BYTES + (word >> 8)
        found.append(Frame(word & 0xFF, flags, stream, content[at + HEAD_BYTES : end]))
        at = end
    return found


def headers(stream: int, fields: Iterable[Field], *, flags: int = 0) -> bytes:
    """Write a block in one frame."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS | flags, stream, encode(fields))


def data(stream: int, content: bytes, *, end: bool = True) -> bytes:
    """Write one frame of data."""
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream, content)


def converse(address: str, port: int, path: str, body: bytes, more: Iterable[Field] = ()) -> tuple[list[Field], bytes]:
    """Make one call over a socket; give all fields of the answer and its body."""
    head = [(name, path.encode() if name == b":path" else value) for name, value in CALL]
    decoder, fields, content, rest = Decoder(list_bytes=65536), [], b"", b""
    with socket.create_connection((address, port), timeout=10) as connection:
        connection.sendall(HELLO + headers(1, [*head, *more]) + data(1, body))
        while received := connection.recv(65536):
            rest += received
            whole = _whole(rest)
            for frame in read_frames(rest[:whole]):
                if frame.kind == frames.HEADERS:
                    fields += decoder.decode(frame.payload)
                    if frame.flags & frames.END_STREAM:
                        return fields, content
                if frame.kind == frames.DATA:
                    content += frame.payload
            rest = rest[whole:]
    raise AssertionError("the server closed the connection before the answer's end")


def _whole(content: bytes) -> int:
    """Give where the last frame that is complete ends."""
    at = 0
    while len(content) - at >= HEAD_BYTES:
        end = at + HEAD_BYTES + (HEAD.unpack_from(content, at)[0] >> 8)
        if end > len(content):
            break
        at = end
    return at


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = self.is_reading = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


class EchoStream(Stream):
    """Sends its body back."""

    def __init__(self, connection: Connection, stream_id: int, host: "EchoHost") -> None:
        super().__init__(connection, stream_id, connection.now())
        self.body = b""
        self.host = host

    def receive(self, content: bytes) -> None:
        self.body += content

    def complete(self) -> None:
        self.connection.out.answer(self, encode([(b":status", b"200")]), self.body, encode([(b"done", b"1")]))

    def lost(self) -> None:
        self.host.lost.append(self.stream_id)

    def check(self, now: float) -> None:
        pass


@dataclass
class EchoHost:
    """Answers all streams with what they said."""

    is_draining: bool = False
    heads: list[list[Field]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    now: float = 0.0

    def read_head(self, fields: list[Field]) -> object:
        self.heads.append(fields)
        if (b"bad", b"") in fields:
            raise ValueError("bad")
        return fields

    def open(self, connection: Connection, stream_id: int, head: object) -> Stream:
        assert head
        return EchoStream(connection, stream_id, self)

    def connected(self, connection: Connection) -> None:
        pass

    def disconnected(self, connection: Connection) -> None:
        pass


class Dialogue:
    """A connection and its client."""

    def __init__(self, host: EchoHost | None = None) -> None:
        self.host = host or EchoHost()
        self.wire = Wire()
        self.connection = Connection(self.host, lambda: self.host.now)
        self.connection.connection_made(self.wire)
        self.wire.written = b""

    def say(self, *parts: bytes) -> list[Frame]:
        """Send, and give the answer."""
        for part in parts:
            if not self.wire.is_closed:
                self.connection.data_received(part)
        written, self.wire.written = self.wire.written, b""
        return read_frames(written)

    def answers(self, found: Iterable[Frame]) -> dict[int, bytes]:
        """Give the bodies of streams that ended."""
        bodies: dict[int, bytes] = {}
        ended = {}
        for frame in found:
            if frame.kind == frames.DATA:
                bodies[frame.stream] = bodies.get(frame.stream, b"") + frame.payload
            if frame.kind == frames.HEADERS and frame.flags & frames.END_STREAM:
                assert Decoder(list_bytes=1000).decode(frame.payload) == [(b"done", b"1")]
                ended[frame.stream] = bodies.get(frame.stream, b"")
        return ended
