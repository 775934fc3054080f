"""The Huffman code of header compression.

Source: RFC 7541, 5.2 and Appendix B. The code is canonical, so the lengths of its words say all.
"""

from functools import cache, lru_cache
from typing import Final

from kingmaker_serving.grpc.http2.errors import ConnectionFault, H2Error

_EOS: Final = 256
_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
"""Bits of the word of each byte, and of the end-of-string symbol."""

_REMEMBERED_BYTES: Final = 128
_ROOT: Final = 0


def decode(content: bytes) -> bytes:
    """Give the text of a Huffman string.

    Raises:
        ConnectionFault: COMPRESSION_ERROR when it is none.
    """
    # Clients say the same few strings again and again, and the table walks half a byte at a time.
    return _remembered(content) if len(content) <= _REMEMBERED_BYTES else _decode(content)


def _decode(content: bytes) -> bytes:
    steps, may_end = _table()
    found = bytearray()
    state = _ROOT
    for byte in content:
        for nibble in (byte >> 4, byte & 15):
            state, symbol = steps[state << 4 | nibble]
            if state < 0:
                raise ConnectionFault(H2Error.COMPRESSION_ERROR, "a Huffman string holds the end-of-string symbol")
            if symbol >= 0:
                found.append(symbol)
    if not may_end[state]:
        raise ConnectionFault(H2Error.COMPRESSION_ERROR, "a Huffman string ends within a symbol")
    return bytes(found)


_remembered: Final = lru_cache(maxsize=1024)(_decode)


def _words() -> list[tuple[int, int, int]]:
    """Give (symbol, word, bits) of every symbol."""
    words = []
    word = bits = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(_LENGTHS)):
        word <<= length - bits
        bits = length
        words.append((symbol, word, bits))
        word += 1
    return words


@cache
def _table() -> tuple[list[tuple[int, int]], list[bool]]:
    """Build the automaton: by state and nibble the next state (-1: refused) and the symbol that ended (-1: none).

    States are the inner nodes of the code's tree. No word is shorter than a nibble, so one symbol ends at most. A
    string may end where the bits since its last symbol are fewer than 8 and all ones.
    """
    children: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], int] = {}
    padding = [True]
    depth = [0]
    for symbol, word, bits in _words():
        node = _ROOT
        for position in range(bits - 1, -1, -1):
            bit = word >> position & 1
            if position == 0:
                leaves[node, bit] = symbol
                break
            following = children[node][bit]
            if following is None:
                following = children[node][bit] = len(children)
                children.append([None, None])
                depth.append(depth[node] + 1)
                padding.append(padding[node] and bit == 1 and depth[-1] < 8)
            node = following
    steps = [_step(children, leaves, state, nibble) for state in range(len(children)) for nibble in range(16)]
    return steps, padding


def _step(
    children: list[list[int | None]], leaves: dict[tuple[int, int], int], state: int, nibble: int
) -> tuple[int, int]:
    ended = -1
    for position in (3, 2, 1, 0):
        bit = nibble >> position & 1
        symbol = leaves.get((state, bit))
        if symbol == _EOS:
            return -1, -1
        if symbol is not None:
            ended, state = symbol, _ROOT
        else:
            following = children[state][bit]
            assert following is not None  # the code is complete: a node has two children, inner ones or leaves
            state = following
    return state, ended
