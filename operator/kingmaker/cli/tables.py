"""Tables and paragraphs for terminals of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

WIDTH: Final = 80


def render(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = WIDTH) -> str:
    """Align columns by their widest cell, two spaces between them; cells that don't fit are wrapped.

    Args:
        header: A word per column.
        rows: A text per column each.
        width: Most columns of characters that the table may have.

    Returns:
        Lines without colours and without spaces at their ends.

    >>> print(render(("A", "B"), [("long", "x")]), end="")
    A     B
    long  x
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for word in header:
        table.add_column(word, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=width, no_color=True, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def wrap(text: str, *, indent: str = "") -> list[str]:
    """Break a paragraph into lines; nothing for an empty one."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
