"""What clients' heads say: each is read once, as long as the table that they refer to stays the same."""

from collections.abc import Callable
from typing import Final

from kingmaker_serving.grpc.http2.hpack import Decoder, Field

_REMEMBERED: Final = 64


class HeadCache:
    """The heads of one connection. A client that calls one method sends one head, over and over."""

    def __init__(self, read: Callable[[list[Field]], object], *, list_bytes: int) -> None:
        """Know no head.

        Args:
            read: Gives what fields say; raises ValueError for a malformed head.
            list_bytes: Largest list of fields that is taken, as HPACK counts it.
        """
        self._read = read
        self._decoder = Decoder(list_bytes=list_bytes)
        self._known: dict[bytes, object] = {}
        self._known_of = 0

    def decode(self, block: bytes) -> list[Field]:
        """Give the fields of a block. Every block has to come here, in order: the table follows them.

        Raises:
            ConnectionFault: It is no HPACK, or too long.
        """
        return self._decoder.decode(block)

    def read(self, block: bytes) -> object:
        """Give what a head says.

        Raises:
            ValueError: It is malformed; the table followed it all the same.
            ConnectionFault: It is no HPACK, or too long.
        """
        decoder = self._decoder
        if self._known_of == decoder.changes and (known := self._known.get(block)) is not None:
            return known
        before = decoder.changes
        head = self._read(decoder.decode(block))
        if decoder.changes != self._known_of or len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._known_of = decoder.changes
        if before == decoder.changes:
            self._known[block] = head
        return head
