"""Tables and paragraphs for terminals of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 80


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns by their widest cell, two spaces between them.

    >>> print(render(("A", "B"), [("long", "x")]), end="")
    A     B
    long  x
    """
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines) + "\n"


def wrap(text: str, *, indent: str = "") -> list[str]:
    """Break a paragraph into lines; nothing for an empty one."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
