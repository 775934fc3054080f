"""Figures of a benchmark: what each is called, what it must reach, and the table of what was measured."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `value` and `must` have the unit; it holds on the right side of what it must be."""

    name: str
    value: float | None
    """None: it was not measured, and `note` says why."""
    must: float
    unit: str
    details: dict[str, Any] = field(default_factory=dict)
    """What else was seen meanwhile; written to the file, not into the table."""
    at_least: bool = False
    """Whether the value must be as high as `must`; else as low."""
    note: str = ""
    """Why there is no value: the beginning, until the colon, stands in the table."""
    is_open: bool = True
    """Whether a figure without a value is one that is still to be reached."""

    @property
    def holds(self) -> bool:
        """Whether the value is good enough; a figure that does not apply holds."""
        if self.value is None:
            return not self.is_open
        return self.value >= self.must if self.at_least else self.value <= self.must

    @property
    def text(self) -> str:
        """The value as people read it."""
        return "-" if self.value is None else f"{self.value:,.4g}"

    @property
    def verdict(self) -> str:
        """The last column."""
        if self.value is None:
            return self.note.partition(":")[0]
        return "yes" if self.holds else "NO"


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def print_table(figures: list[Figure]) -> None:
    """Print the table to stdout, at most 80 columns wide."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("must", justify="right", no_wrap=True)
    table.add_column("holds")
    for one in figures:
        bound = f"{'≥' if one.at_least else '≤'} {one.must:g} {one.unit}".rstrip()
        table.add_row(one.name, one.text, bound, one.verdict)
    Console(width=_WIDTH, highlight=False).print(table)


def write_json(figures: list[Figure], path: Path, **about: Any) -> None:
    """Write all figures, by name, and what is known about the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {one.name: asdict(one) | {"holds": one.holds} for one in figures}
    path.write_text(json.dumps({"figures": listed, "run": about}, indent=1, ensure_ascii=False) + "\n")


def failing(figures: list[Figure]) -> Iterator[Figure]:
    """Give the figures that do not hold."""
    return (one for one in figures if not one.holds)
