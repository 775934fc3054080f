"""Keep secrets out of what is said: libraries put addresses with signatures, and sometimes keys, into their errors."""

import re
from collections.abc import Mapping
from typing import Final

_QUERY: Final = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_USER: Final = re.compile(r"(https?://)[^\s/@\"'<>]+@")
_SECRET_NAME: Final = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION|AUTHORIZATION|SAS", re.IGNORECASE)
_SHORTEST: Final = 6
"""Shorter values are words that happen to occur, such as `true`."""
_PIECES: Final = re.compile(r"[\s;\"']+")


def redact(text: str, environment: Mapping[str, str]) -> str:
    """Take out queries and users of addresses, and the values of variables that are named like secrets.

    >>> redact("GET https://h/a?sig=x with hunter22", {"AWS_SECRET_ACCESS_KEY": "hunter22"})
    'GET https://h/a with ***'
    """
    text = _USER.sub(r"\1", _QUERY.sub(r"\1", text))
    for value in sorted(_secret_values(environment), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _secret_values(environment: Mapping[str, str]) -> set[str]:
    """Whole values, and the pieces of those that are lists or documents of their own."""
    found = set()
    for name, value in environment.items():
        if not _SECRET_NAME.search(name):
            continue
        for piece in (value, *_PIECES.split(value)):
            # Of a connection string's `AccountKey=abc==` the secret is what follows the first `=`.
            found |= {part for part in (piece, piece.partition("=")[2]) if len(part) >= _SHORTEST}
    return found
