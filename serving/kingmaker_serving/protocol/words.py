"""The three words that Python's `json` writes for numbers that JSON has not: NaN, Infinity and -Infinity."""

import re
from typing import Final

_STRETCH: Final = re.compile(
    rb'(?:[^"NI-]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+'  # strings, and what holds no word
    rb'([NI-][^"]*+)?',  # from a word to the next string
    re.DOTALL,
)
"""Every alternative is possessive, so that a body is looked at once, whatever is in it."""


def replace(body: bytes) -> bytes | None:
    """Write `null` for NaN, and a string for each infinity, wherever they stand outside of strings.

    Whoever reads the result must take `"Infinity"` and `"-Infinity"` for numbers. Valid JSON has no such words, so this
    is for bodies that were refused.

    Returns:
        The new body; None when there is no such word.

    >>> replace(b'[NaN, -Infinity, "NaN"]')
    b'[null, "-Infinity", "NaN"]'
    """
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    parts: list[bytes] = []
    for match in _STRETCH.finditer(body):
        start, end = match.span(1)
        if start < 0:
            parts.append(match.group())
            continue
        parts.append(body[match.start() : start])
        stretch = body[start:end].replace(b"NaN", b"null").replace(b"Infinity", b'"Infinity"')
        parts.append(stretch.replace(b'-"Infinity"', b'"-Infinity"'))
    return b"".join(parts)
