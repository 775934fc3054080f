"""Header compression: header blocks to header fields, with the table that a connection builds up. Source: RFC 7541."""

from collections.abc import Iterable
from typing import Final

from kingmaker_serving.grpc.http2 import huffman
from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error

Field = tuple[bytes, bytes]
"""Name, in small letters, and value."""

TABLE_BYTES: Final = 4096
"""Of the table that clients may fill: what the protocol begins with, and nobody is told otherwise."""
_ENTRY_BYTES: Final = 32
"""Every field counts for this much more than its text. Source: RFC 7541, 4.1."""

_STATIC: Final[tuple[Field, ...]] = (
    (b"", b""),
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
            b"content-disposition content-encoding content-language content-length content-location content-range "
            b"content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range "
            b"if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization "
            b"range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding "
            b"user-agent vary via www-authenticate"
        ).split()
    ),
)
"""Source: RFC 7541, Appendix A. Entries are counted from 1."""


class Decoder:
    """The header blocks of one connection, in their order."""

    def __init__(self, *, list_bytes: int) -> None:
        """Begin with an empty table.

        Args:
            list_bytes: Bound of the fields of one block, as RFC 9113, 6.5.2 counts them.
        """
        self._list_bytes = list_bytes
        self._table_bytes = TABLE_BYTES
        self._held_bytes = 0
        self._entries: list[Field] = []
        self.changes = 0
        """How often the table changed: while it did not, equal blocks mean equal fields."""

    def decode(self, block: bytes) -> list[Field]:
        """Give the fields of a block.

        Raises:
            ConnectionFault: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM when there is too much of it.
        """
        fields: list[Field] = []
        size, at, end = 0, 0, len(block)
        while at < end:
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                field = self._field(index)
            elif first & 0x60 == 0x20:
                if fields:
                    raise _broken("the table's size changes after a field")
                bound, at = _integer(block, at, 5)
                self._resize(bound)
                continue
            else:
                is_kept = first & 0x40
                index, at = _integer(block, at, 6 if is_kept else 4)
                name, at = (self._field(index)[0], at) if index else _string(block, at)
                value, at = _string(block, at)
                field = (name, value)
                if is_kept:
                    self._keep(field)
            size += _size(field)
            if size > self._list_bytes:
                raise ConnectionFault(H2Error.ENHANCE_YOUR_CALM, f"headers are over {self._list_bytes} bytes")
            fields.append(field)
        return fields

    def _field(self, index: int) -> Field:
        if 0 < index < len(_STATIC):
            return _STATIC[index]
        if not index or index - len(_STATIC) >= len(self._entries):
            raise _broken(f"the table has no entry {index}")
        return self._entries[index - len(_STATIC)]

    def _keep(self, field: Field) -> None:
        self.changes += 1
        self._entries.insert(0, field)
        self._held_bytes += _size(field)
        self._evict()

    def _resize(self, bound: int) -> None:
        if bound > TABLE_BYTES:
            raise _broken(f"a table of {bound} bytes was never agreed on")
        self.changes += 1
        self._table_bytes = bound
        self._evict()

    def _evict(self) -> None:
        while self._held_bytes > self._table_bytes:
            self._held_bytes -= _size(self._entries.pop())


def encode(fields: Iterable[Field]) -> bytes:
    """Write fields that a decoder need not remember, so that blocks of different streams are independent."""
    return b"".join(b"\x00" + _length(len(name)) + name + _length(len(value)) + value for name, value in fields)


def _length(number: int) -> bytes:
    """Write a length of a string that is not Huffman's.

    >>> _length(126), _length(127), _length(300)
    (b'~', b'\\x7f\\x00', b'\\x7f\\xad\\x01')
    """
    if number < 127:
        return bytes((number,))
    number -= 127
    digits = bytearray(b"\x7f")
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Read a number that begins in the last `bits` of a byte; and where it ends. Source: RFC 7541, 5.1."""
    limit = (1 << bits) - 1
    number = block[at] & limit
    at += 1
    if number < limit:
        return number, at
    for shift in (0, 7, 14, 21):
        if at >= len(block):
            break
        byte = block[at]
        at += 1
        number += (byte & 127) << shift
        if byte < 128:
            return number, at
    raise _broken("a number is cut off, or too large to be meant")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(block):
        raise _broken("a string is missing")
    is_huffman = block[at] & 0x80
    length, at = _integer(block, at, 7)
    end = at + length
    if end > len(block):
        raise _broken("a string is cut off")
    text = block[at:end]
    return (huffman.decode(text) if is_huffman else text), end


def _size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + _ENTRY_BYTES


def _broken(message: str) -> ConnectionFault:
    return ConnectionFault(H2Error.COMPRESSION_ERROR, message)
