"""Connections: what is answered however it is cut into pieces, and what a client can not make a server do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.grpc.http2 import frames
from kingmaker_serving.grpc.http2.connection import MAX_STREAMS
from kingmaker_serving.grpc.http2.errors import H2Error
from kingmaker_serving.grpc.http2.frames import Setting
from kingmaker_serving.grpc.http2.hpack import encode
from support.http2 import CALL, HELLO, Dialogue, data, headers

_PING = frames.frame(frames.PING, 0, 0, b"12345678")


def a_call(stream: int, content: bytes = b"hello") -> bytes:
    return headers(stream, CALL) + data(stream, content)


def begun() -> Dialogue:
    dialogue = Dialogue()
    dialogue.say(HELLO)
    return dialogue


def ended_with(dialogue: Dialogue, *said: bytes) -> int:
    """What a connection was closed for."""
    (last,) = [frame for frame in dialogue.say(*said) if frame.kind == frames.GOAWAY]
    assert dialogue.wire.is_closed
    return last.code


@given(st.lists(st.integers(1, 40), max_size=40))
def test_answers_do_not_depend_on_how_bytes_arrive(sizes: list[int]) -> None:
    said = HELLO + a_call(1, b"one") + _PING + headers(3, CALL) + data(3, b"tw", end=False) + data(3, b"o") + a_call(5)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(said[at : at + size])
        at += size
    dialogue = Dialogue()
    found = dialogue.say(*pieces, said[at:])
    assert dialogue.answers(found) == {1: b"one", 3: b"two", 5: b"hello"}
    assert dialogue.connection.streams == {}


@given(window=st.integers(0, 50), updates=st.lists(st.integers(1, 60), max_size=30), sizes=st.lists(st.integers(0, 90)))
def test_no_more_is_sent_than_the_client_takes(window: int, updates: list[int], sizes: list[int]) -> None:
    dialogue = Dialogue()
    found = dialogue.say(frames.PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: window}))
    for index, size in enumerate(sizes[:20]):
        found += dialogue.say(a_call(2 * index + 1, b"x" * size))
    allowed = {2 * index + 1: window for index in range(len(sizes[:20]))}
    for update in updates:
        for stream in allowed:
            found += dialogue.say(frames.window_update(stream, update))
            allowed[stream] += update
    for stream, limit in allowed.items():
        assert sum(len(f.payload) for f in found if f.kind == frames.DATA and f.stream == stream) <= limit
    expected = {2 * i + 1: b"x" * size for i, size in enumerate(sizes[:20]) if size <= allowed[2 * i + 1]}
    assert dialogue.answers(found) == expected
    assert dialogue.connection.out.held == sum(
        map(len, (s for w in dialogue.connection.streams.values() for s in w.outbox))
    )


def test_an_answer_larger_than_all_windows_comes_in_frames() -> None:
    dialogue = begun()
    body = bytes(range(256)) * 1024
    found = dialogue.say(
        headers(1, CALL), *(data(1, body[i : i + 16384], end=False) for i in range(0, len(body), 16384))
    )
    found += dialogue.say(data(1, b""))
    sent = b"".join(frame.payload for frame in found if frame.kind == frames.DATA)
    assert sent == body[:65535]
    assert max(len(frame.payload) for frame in found) == 16384
    found += dialogue.say(frames.window_update(1, 2**20), frames.window_update(0, 2**20))
    assert dialogue.answers(found) == {1: body}


def test_a_window_that_shrinks_below_nothing() -> None:
    dialogue = begun()
    found = dialogue.say(frames.settings({Setting.INITIAL_WINDOW_SIZE: 3}), a_call(1))
    found += dialogue.say(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}), frames.window_update(1, 3))
    assert b"".join(f.payload for f in found if f.kind == frames.DATA) == b"hel"
    found += dialogue.say(frames.window_update(1, 2))
    assert dialogue.answers(found) == {1: b"hello"}


def test_nothing_is_read_from_a_client_that_reads_nothing() -> None:
    dialogue = begun()
    dialogue.connection.pause_writing()
    assert not dialogue.wire.is_reading
    assert dialogue.answers(dialogue.say(a_call(1))) == {}
    dialogue.connection.resume_writing()
    assert dialogue.answers(dialogue.say(b"")) == {1: b"hello"}
    assert dialogue.wire.is_reading


def test_equal_heads_are_read_once() -> None:
    dialogue = begun()
    dialogue.say(a_call(1), a_call(3), a_call(5))
    assert len(dialogue.host.heads) == 1


def test_a_head_is_read_again_once_the_table_has_changed() -> None:
    dialogue = begun()
    named = b"\x40\x01x\x01a" + encode(CALL), b"\xbe" + encode(CALL), b"\x40\x01x\x01b" + encode(CALL)
    for stream, block in enumerate((*named, named[1])):
        number = 2 * stream + 1
        dialogue.say(frames.frame(frames.HEADERS, frames.END_HEADERS, number, block), data(number, b""))
    assert [fields[0][1] for fields in dialogue.host.heads] == [b"a", b"a", b"b", b"b"]


def test_http1_is_told_what_this_is() -> None:
    dialogue = Dialogue()
    dialogue.connection.data_received(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n")
    assert dialogue.wire.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"gRPC" in dialogue.wire.written
    assert dialogue.wire.is_closed


def test_noise_is_not_answered() -> None:
    dialogue = Dialogue()
    assert dialogue.say(b"\x16\x03\x01\x02\x00\x01") == []
    assert dialogue.wire.is_closed


def test_a_client_that_says_nothing_is_left() -> None:
    dialogue = Dialogue()
    dialogue.connection.check(9.0)
    assert not dialogue.wire.is_closed
    dialogue.connection.check(10.5)
    assert dialogue.wire.is_closed


def test_headers_that_do_not_come_to_an_end_in_time() -> None:
    dialogue = begun()
    dialogue.host.now = 100.0
    dialogue.say(frames.frame(frames.HEADERS, 0, 1, encode(CALL)))
    dialogue.connection.check(109.0)
    assert not dialogue.wire.is_closed
    dialogue.connection.check(111.0)
    assert dialogue.wire.is_closed


def test_headers_without_end() -> None:
    """CVE-2024-27316 and its like: continuations for ever, full ones and empty ones."""
    first = frames.frame(frames.HEADERS, 0, 1, b"")
    full = frames.frame(frames.CONTINUATION, 0, 1, b"\x00" * 16384)
    assert ended_with(begun(), first, *[full] * 5) == H2Error.ENHANCE_YOUR_CALM
    empty = frames.frame(frames.CONTINUATION, 0, 1, b"")
    assert ended_with(begun(), first, *[empty] * 3000) == H2Error.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "chore",
    [
        _PING,
        frames.settings({}),
        frames.frame(frames.PRIORITY, 0, 1, b"\x00\x00\x00\x00\x10"),
        data(1, b"", end=False),
        frames.frame(frames.HEADERS, frames.END_HEADERS, 3, encode([(b"bad", b"")])),
    ],
    ids=["pings", "settings", "priorities", "empty data", "malformed heads"],
)
def test_work_that_carries_nothing_is_bounded(chore: bytes) -> None:
    said = [headers(1, CALL)]
    for index in range(2500):
        is_head = chore[3] == frames.HEADERS
        said.append(chore[:5] + (2 * index + 3).to_bytes(4, "big") + chore[9:] if is_head else chore)
    assert ended_with(begun(), *said) == H2Error.ENHANCE_YOUR_CALM


def test_rapid_reset_is_bounded() -> None:
    """CVE-2023-44487."""
    said = []
    for stream in range(1, 6001, 2):
        said += [headers(stream, CALL), frames.reset(stream, H2Error.CANCEL)]
    dialogue = begun()
    assert ended_with(dialogue, *said) == H2Error.ENHANCE_YOUR_CALM
    assert len(dialogue.host.lost) <= 2001


def test_slow_pings_are_fine() -> None:
    dialogue = begun()
    for second in range(100):
        assert len(dialogue.say(*[_PING] * 100)) == 100
        dialogue.connection.check(float(second))


def test_more_streams_than_allowed_are_refused() -> None:
    dialogue = begun()
    found = dialogue.say(*(headers(2 * index + 1, CALL) for index in range(MAX_STREAMS + 1)))
    (refused,) = [frame for frame in found if frame.kind == frames.RST_STREAM]
    assert (refused.stream, refused.code) == (2 * MAX_STREAMS + 1, H2Error.REFUSED_STREAM)
    assert len(dialogue.connection.streams) == MAX_STREAMS


def test_headers_over_the_limit() -> None:
    fields = [*CALL, *((b"x-%d" % index, b"y" * 1000) for index in range(70))]
    block = encode(fields)
    pieces = [block[i : i + 16000] for i in range(0, len(block), 16000)]
    said = [frames.frame(frames.HEADERS, 0, 1, pieces[0])]
    said += [frames.frame(frames.CONTINUATION, 0, 1, piece) for piece in pieces[1:]]
    assert ended_with(begun(), *said) == H2Error.ENHANCE_YOUR_CALM


def test_a_malformed_head_ends_its_stream_alone() -> None:
    dialogue = begun()
    found = dialogue.say(a_call(1), headers(3, [(b"bad", b"")]), a_call(5))
    assert [(f.stream, f.code) for f in found if f.kind == frames.RST_STREAM] == [(3, H2Error.PROTOCOL_ERROR)]
    assert dialogue.answers(found) == {1: b"hello", 5: b"hello"}


def test_a_reset_stream_is_given_up() -> None:
    dialogue = begun()
    dialogue.say(headers(1, CALL), data(1, b"x", end=False), frames.reset(1, H2Error.CANCEL))
    assert dialogue.host.lost == [1]
    dialogue.say(headers(3, CALL))
    dialogue.connection.connection_lost(None)
    assert dialogue.host.lost == [1, 3]


def test_who_connects_to_a_server_that_ends_is_asked_to_leave_and_answered() -> None:
    dialogue = Dialogue()
    dialogue.host.is_draining = True
    found = dialogue.say(HELLO, a_call(1))
    (asked,) = [frame for frame in found if frame.kind == frames.GOAWAY]
    assert (asked.code, asked.payload[:4]) == (H2Error.NO_ERROR, b"\x7f\xff\xff\xff")
    assert dialogue.answers(found) == {1: b"hello"}


@given(st.binary(max_size=200))
def test_any_bytes_end_in_an_answer_or_the_connections_end(noise: bytes) -> None:
    dialogue = begun()
    dialogue.say(noise)
    assert dialogue.wire.is_closed or len(dialogue.connection._rest) < 16384 + 9
