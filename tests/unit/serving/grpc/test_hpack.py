"""Header blocks: the examples of the standard, what others write, and what nobody may."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.grpc.http2 import huffman
from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error
from kingmaker_serving.grpc.http2.hpack import TABLE_BYTES, Decoder, Field, encode

_FIELDS = st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.binary(max_size=200)), max_size=8)


def huffman_text(text: bytes) -> bytes:
    """Encode by the code's own words."""
    words = {symbol: format(word, f"0{bits}b") for symbol, word, bits in huffman._words()}
    bits = "".join(words[byte] for byte in text)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


class Encoder:
    """The straightforward half that the server does not need: every field goes into the table, twice said by index."""

    def __init__(self) -> None:
        self.table: list[Field] = []

    def encode(self, fields: list[Field], *, packed: bool) -> bytes:
        block = b""
        for field in fields:
            if field in self.table:
                block += _integer(62 + self.table.index(field), 7, 0x80)
                continue
            block += b"\x40" + _text(field[0], packed) + _text(field[1], packed)
            self.table.insert(0, field)
            while sum(len(n) + len(v) + 32 for n, v in self.table) > TABLE_BYTES:
                self.table.pop()
        return block


def _integer(number: int, bits: int, first: int) -> bytes:
    limit = (1 << bits) - 1
    if number < limit:
        return bytes([first | number])
    found = bytearray([first | limit])
    number -= limit
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])


def _text(text: bytes, packed: bool) -> bytes:
    content = huffman_text(text) if packed else text
    return _integer(len(content), 7, 0x80 if packed else 0) + content


def a_decoder() -> Decoder:
    return Decoder(list_bytes=65536)


@given(st.lists(st.tuples(_FIELDS, st.booleans()), max_size=12))
def test_blocks_of_one_connection_say_what_was_meant(blocks: list[tuple[list[Field], bool]]) -> None:
    encoder, decoder = Encoder(), a_decoder()
    for fields, packed in blocks:
        assert decoder.decode(encoder.encode(fields, packed=packed)) == fields


@given(_FIELDS)
def test_what_is_written_needs_no_memory(fields: list[Field]) -> None:
    assert a_decoder().decode(encode(fields)) == fields


@given(st.binary(max_size=300))
def test_huffman_strings_of_all_bytes(text: bytes) -> None:
    assert huffman.decode(huffman_text(text)) == text


@given(st.binary(max_size=80))
def test_any_bytes_are_a_block_or_a_broken_one(block: bytes) -> None:
    with contextlib.suppress(ConnectionFault):
        assert all(isinstance(part, bytes) for field in a_decoder().decode(block) for part in field)


def test_the_examples_of_the_standard() -> None:
    """RFC 7541, C.4: requests with Huffman coding, three in a row."""
    decoder = a_decoder()
    first = decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    host = (b":authority", b"www.example.com")
    assert first == [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), host]
    second = decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf"))
    assert second == [*first, (b"cache-control", b"no-cache")]
    third = decoder.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    expected = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), host]
    assert third == [*expected, (b"custom-key", b"custom-value")]


def test_the_table_forgets_the_oldest_first() -> None:
    decoder = a_decoder()
    value = b"v" * 2000
    decoder.decode(b"".join(b"\x40\x01" + name + b"\x7f\xd1\x0e" + value for name in (b"a", b"b", b"c")))
    assert decoder.decode(b"\xbe\xbf") == [(b"c", value), (b"b", value)]
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xc0")


def test_a_smaller_table_is_kept_to() -> None:
    decoder = a_decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\x20") == []
    with pytest.raises(ConnectionFault, match="no entry 62"):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("80", "no entry 0"),
        ("be", "no entry 62"),
        ("ff8080808000", "number"),
        ("ffffffffffff7f", "number"),
        ("00", "missing"),
        ("0005610061", "cut off"),
        ("0001617f", "cut off"),
        ("3fe21f", "never agreed"),
        ("8220", "size changes after"),
        ("00016181ff", "within a symbol"),
        ("00016184ffffffff", "end-of-string"),
        ("0001618100", "within a symbol"),
    ],
)
def test_broken_blocks(block: str, why: str) -> None:
    with pytest.raises(ConnectionFault, match=why) as caught:
        a_decoder().decode(bytes.fromhex(block))
    assert caught.value.code is H2Error.COMPRESSION_ERROR


def test_a_small_block_can_not_become_large() -> None:
    """A kilobyte said once and then a thousand times by one byte each."""
    decoder = a_decoder()
    decoder.decode(b"\x40\x01a\x7f\xe9\x06" + b"x" * 1000)
    with pytest.raises(ConnectionFault) as caught:
        decoder.decode(b"\xbe" * 1000)
    assert caught.value.code is H2Error.ENHANCE_YOUR_CALM
