"""The table: a row per figure, and below it a row per opponent that did the same."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.common.figures import Figure

OTHERS: Final = "others"
"""What opponents did stands in a figure's `details` under this name: a number, or a text that says why none."""
WIDTH: Final = 80


def rows(figures: Iterable[Figure]) -> Iterable[tuple[str, str, str, str]]:
    """Give the rows: name, value, what it must be, whether it holds; opponents must nothing."""
    for one in figures:
        bound = f"{'≥' if one.at_least else '≤'} {one.must:g} {one.unit}".rstrip()
        yield one.name, one.text, bound, one.verdict
        for name, value in one.details.get(OTHERS, {}).items():
            yield f"  {name}", text_of(value), "", ""


def text_of(value: Any) -> str:
    """Give an opponent's value as people read it."""
    if value is None:
        return "-"
    return str(value).partition(":")[0] if isinstance(value, str) else f"{value:,.4g}"


def print_table(figures: Iterable[Figure]) -> None:
    """Print the table to stdout."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", overflow="fold")
    table.add_column("must", justify="right", no_wrap=True)
    table.add_column("holds")
    for row in rows(figures):
        table.add_row(*row)
    Console(width=WIDTH, highlight=False).print(table)
