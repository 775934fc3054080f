"""One client's connection: frames in, frames out, within bounds on all that a client can make a server hold or do.

Source: RFC 9113. Priorities are ignored, nothing is pushed.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final, cast

from typing_extensions import override

from kingmaker_serving.grpc.http2 import frames
from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error, StreamFault
from kingmaker_serving.grpc.http2.frames import HEAD, HEAD_BYTES, MAX_FRAME_BYTES, MAX_WINDOW, Setting
from kingmaker_serving.grpc.http2.headcache import HeadCache
from kingmaker_serving.grpc.http2.host import Host
from kingmaker_serving.grpc.http2.outgoing import Outgoing
from kingmaker_serving.grpc.http2.rules import (
    check_ping,
    check_priority,
    check_reset,
    check_settings,
    check_window,
    growth,
    unpadded,
    wrong,
)
from kingmaker_serving.grpc.http2.stream import Stream

MAX_STREAMS: Final = 256
"""Calls at once on one connection; clients that want more open another one."""
MAX_HEADER_BYTES: Final = 64 * 1024
_STREAM_WINDOW: Final = 1024**2
_CONNECTION_WINDOW: Final = 4 * 1024**2
"""What is received is accounted for where it is held, so windows are given back at once; they only pace."""
_FIRST_WORDS_SECONDS: Final = 10.0
"""For a connection to begin, and for a block of headers that has begun to be there."""
_CHORES: Final = 2_000
"""Frames in a second that cost work and carry nothing: pings, settings, resets, empty data. Source: CVE-2019-9512,
-9514, -9515, -9518; CVE-2023-44487."""
_REMEMBERED_RESETS: Final = 256
_HTTP1: Final = re.compile(rb"[A-Z]{3,10} /")
_NO_HTTP2: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
)
_WRONG_PORT: Final = b'{"error":"this port answers gRPC, which is HTTP/2 without TLS; REST is at another port"}'


class Connection(asyncio.Protocol):
    """A client."""

    def __init__(self, host: Host, clock: Callable[[], float]) -> None:
        """Wait for the client's first words.

        Args:
            host: Answers the streams.
            clock: Seconds.
        """
        self._host = host
        self._clock = clock
        self._heads = HeadCache(host.read_head, list_bytes=MAX_HEADER_BYTES)
        self._rest = b""
        self._is_begun = False
        self._block: tuple[int, int, bytearray] | None = None
        self._since = clock()
        self._last_stream = 0
        self._reset_by_us: dict[int, None] = {}
        self._unread = 0
        self._chores = 0
        self._is_going = False
        self.streams: dict[int, Stream] = {}
        self.out = Outgoing(self)

    @property
    def initial_window(self) -> int:
        """What the client takes of a new stream's answer before it says more."""
        return self.out.initial_window

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's first words."""
        self.transport = cast("asyncio.Transport", transport)
        self._host.connected(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is unanswered."""
        self._host.disconnected(self)
        streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            stream.lost()

    @override
    def pause_writing(self) -> None:
        """Read nothing from a client that reads nothing: its answers and acknowledgements would pile up."""
        self.out.is_paused = True
        self.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        """Go on."""
        self.out.is_paused = False
        self.transport.resume_reading()
        self.out.pump()

    @override
    def data_received(self, data: bytes) -> None:
        """Take frames."""
        if self._rest:
            data = self._rest + data
        try:
            at = self._frames(data, self._begin(data))
            self._rest = data[at:] if at < len(data) else b""
        except ConnectionFault as fault:
            self.give_up(fault)

    def _begin(self, data: bytes) -> int:
        if self._is_begun:
            return 0
        if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
            if _HTTP1.match(data):
                self.transport.write(_NO_HTTP2 % (len(_WRONG_PORT), _WRONG_PORT))
            self.transport.close()
            self._is_going = True
            return len(data)
        if len(data) < len(frames.PREFACE):
            return 0
        self._is_begun = True
        self._greet()
        return len(frames.PREFACE)

    def _greet(self) -> None:
        """Say what this side wants. Not before it is certain that the client understands it."""
        wanted = {
            Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
        }
        more = _CONNECTION_WINDOW - frames.DEFAULT_WINDOW
        self.transport.write(frames.settings(wanted) + frames.window_update(0, more))

    def _frames(self, data: bytes, at: int) -> int:
        """Take all that is complete; give where the rest begins."""
        end = len(data)
        if not self._is_begun:
            return at
        while end - at >= HEAD_BYTES and not self._is_going:
            word, flags, stream_id = HEAD.unpack_from(data, at)
            size = word >> 8
            if size > MAX_FRAME_BYTES:
                raise ConnectionFault(H2Error.FRAME_SIZE_ERROR, f"a frame of {size} bytes is over {MAX_FRAME_BYTES}")
            after = at + HEAD_BYTES + size
            if after > end:
                break
            try:
                self._take(word & 0xFF, flags, stream_id & 0x7FFFFFFF, data[at + HEAD_BYTES : after])
            except StreamFault as fault:
                self._chore()
                self.reset(fault.stream_id, fault.code)
            at = after
        return end if self._is_going else at

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise wrong("a block of headers was not continued")
        if kind == frames.DATA:
            self._data(flags, stream_id, payload)
        elif kind == frames.HEADERS:
            self._headers(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._continuation(flags, stream_id, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._window_update(stream_id, payload)
        else:
            self._control(kind, flags, stream_id, payload)

    def _control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Take what carries nothing. Unknown kinds are ignored."""
        if kind == frames.SETTINGS:
            self._settings(flags, stream_id, payload)
        elif kind == frames.PING:
            self._ping(flags, stream_id, payload)
        elif kind == frames.RST_STREAM:
            self._rst_stream(stream_id, payload)
        elif kind == frames.PRIORITY:
            check_priority(stream_id, payload)
            self._chore()
        elif kind == frames.GOAWAY and stream_id:
            raise wrong("GOAWAY belongs to no stream")
        elif kind == frames.PUSH_PROMISE:
            raise wrong("a client can't push")

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if not size and not flags & frames.END_STREAM:
            self._chore()
        self._unread += size
        if self._unread * 2 >= _CONNECTION_WINDOW:
            self.transport.write(frames.window_update(0, self._unread))
            self._unread = 0
        stream = self.streams.get(stream_id)
        if stream is None or stream.is_complete:
            self._refuse_closed(stream_id, "DATA")
            return
        content = unpadded(payload) if flags & frames.PADDED else payload
        if content:
            stream.receive(content)
        if flags & frames.END_STREAM:
            self._complete(stream)
            return
        stream.unread += size
        if stream.unread * 2 >= _STREAM_WINDOW and stream_id in self.streams:
            self.transport.write(frames.window_update(stream_id, stream.unread))
            stream.unread = 0

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise wrong(f"a client can't open stream {stream_id}")
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if flags & frames.WITH_PRIORITY:
            check_priority(stream_id, payload[:5])
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._fields(flags, stream_id, payload)
        else:
            self._block = (stream_id, flags, bytearray(payload))
            self._since = self._clock()

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise wrong("CONTINUATION continues nothing")
        self._chore()
        _, first_flags, block = self._block
        block += payload
        if len(block) > MAX_HEADER_BYTES:
            raise ConnectionFault(H2Error.ENHANCE_YOUR_CALM, f"headers are over {MAX_HEADER_BYTES} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._fields(first_flags, stream_id, bytes(block))

    def _fields(self, flags: int, stream_id: int, block: bytes) -> None:
        """Take a block of headers: a new stream, or the end of one."""
        stream = self.streams.get(stream_id)
        if stream is not None or stream_id <= self._last_stream:
            fields = self._heads.decode(block)  # whatever it is, the table must not miss it
            if stream is None or stream.is_complete:
                self._refuse_closed(stream_id, "HEADERS")
            elif not flags & frames.END_STREAM or any(name.startswith(b":") for name, _ in fields):
                raise StreamFault(stream_id, H2Error.PROTOCOL_ERROR)
            else:
                self._complete(stream)
            return
        self._last_stream = stream_id
        try:
            head = self._heads.read(block)
        except ValueError as error:
            raise StreamFault(stream_id, H2Error.PROTOCOL_ERROR) from error
        if len(self.streams) >= MAX_STREAMS:
            raise StreamFault(stream_id, H2Error.REFUSED_STREAM)
        stream = self.streams[stream_id] = self._host.open(self, stream_id, head)
        stream.opened()
        if self._host.is_draining:
            # Not when it came: a client that is sent away before it has asked comes back at once, and for ever.
            self.ask_to_leave()
        if flags & frames.END_STREAM:
            self._complete(stream)

    def _complete(self, stream: Stream) -> None:
        stream.is_complete = True
        if stream.stream_id in self.streams:
            stream.complete()

    def _refuse_closed(self, stream_id: int, what: str) -> None:
        if stream_id > self._last_stream or not stream_id:
            raise wrong(f"{what} for stream {stream_id}, which was never opened")
        if stream_id in self._reset_by_us:
            return
        if stream_id in self.streams or what == "DATA":
            raise StreamFault(stream_id, H2Error.STREAM_CLOSED)
        raise ConnectionFault(H2Error.STREAM_CLOSED, f"{what} for stream {stream_id}, which has ended")

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        more = growth(stream_id, self._last_stream, payload)
        stream = self.streams.get(stream_id)
        if not stream_id:
            self.out.window += more
            check_window(self.out.window)
        elif stream is not None:
            stream.window += more
            if stream.window > MAX_WINDOW:
                raise StreamFault(stream_id, H2Error.FLOW_CONTROL_ERROR)
        self.out.pump()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_settings(flags, stream_id, payload)
        if flags & frames.ACK:
            return
        self._chore()
        for name, value in frames.read_settings(payload):
            self._setting(name, value)
        self.transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.out.pump()

    def _setting(self, name: int, value: int) -> None:
        if name == Setting.ENABLE_PUSH and value > 1:
            raise wrong(f"ENABLE_PUSH is {value}")
        if name == Setting.MAX_FRAME_SIZE:
            if not MAX_FRAME_BYTES <= value < 2**24:
                raise wrong(f"MAX_FRAME_SIZE is {value}")
            self.out.max_frame = min(value, 64 * 1024)
        if name == Setting.INITIAL_WINDOW_SIZE:
            check_window(value, "INITIAL_WINDOW_SIZE")
            for stream in self.streams.values():
                stream.window += value - self.out.initial_window
                check_window(stream.window, "a window")
            self.out.initial_window = value

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_ping(stream_id, payload)
        if not flags & frames.ACK:
            self._chore()
            self.transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _rst_stream(self, stream_id: int, payload: bytes) -> None:
        check_reset(stream_id, self._last_stream, payload)
        self._chore()
        if stream := self.close(stream_id):
            stream.lost()

    def _chore(self) -> None:
        self._chores += 1
        if self._chores > _CHORES:
            raise ConnectionFault(H2Error.ENHANCE_YOUR_CALM, f"over {_CHORES} frames in a second that carry nothing")

    def close(self, stream_id: int) -> Stream | None:
        """Forget a stream that has ended, or is given up."""
        stream = self.streams.pop(stream_id, None)
        self.out.forget(stream_id)
        return stream

    def ended(self, stream: Stream) -> None:
        """Know that the last word of an answer was said."""
        if stream.is_complete:
            self.close(stream.stream_id)
        else:
            # Nobody reads the rest of the request. Source: RFC 9113, 8.1.
            self.reset(stream.stream_id, H2Error.NO_ERROR)

    def now(self) -> float:
        """Give the time of the loop's clock, seconds."""
        return self._clock()

    def reset(self, stream_id: int, code: H2Error) -> None:
        """End a stream from this side. What the client still sends of it is read and dropped."""
        stream = self.close(stream_id)
        self.transport.write(frames.reset(stream_id, code))
        self._reset_by_us[stream_id] = None
        if len(self._reset_by_us) > _REMEMBERED_RESETS:
            del self._reset_by_us[next(iter(self._reset_by_us))]
        if stream is not None and code is not H2Error.NO_ERROR:
            stream.lost()

    def ask_to_leave(self) -> None:
        """Ask the client to open no more streams here. Those that it has opened meanwhile are answered all the same."""
        if self._is_begun and not self._is_going:
            self.transport.write(frames.go_away(frames.LAST_STREAM, H2Error.NO_ERROR, "the server ends"))

    def give_up(self, fault: ConnectionFault) -> None:
        """Say why, and close."""
        if self._is_going:
            return
        self._is_going = True
        self._rest = b""
        if self._is_begun:
            self.transport.write(frames.go_away(self._last_stream, fault.code, fault.message))
        self.transport.close()

    def check(self, now: float) -> None:
        """Give up what took too long; called about once a second."""
        self._chores = 0
        if (not self._is_begun or self._block is not None) and now - self._since > _FIRST_WORDS_SECONDS:
            self.give_up(wrong(f"no request came within {_FIRST_WORDS_SECONDS:g} s"))
            return
        for stream in list(self.streams.values()):
            stream.check(now)
