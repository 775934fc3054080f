"""The figures: what each is called, what it must reach, and the table of what was measured."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `value` and `must` have the unit; it holds when the value is not above what it must be."""

    name: str
    value: float
    must: float
    unit: str
    details: dict[str, Any] = field(default_factory=dict)
    """What else was seen meanwhile; written to the file, not into the table."""

    @property
    def holds(self) -> bool:
        """Whether the value is low enough."""
        return self.value <= self.must


MUST: Final[dict[str, tuple[float, str]]] = {
    "ready ÷ floor": (1.5, "×"),
    "edit → child's write, p50": (10, "ms"),
    "edit → child's write, p99": (25, "ms"),
    "harm → weight 0 at every router, p50": (0.6, "s"),
    "harm → weight 0 at every router, p99": (1.1, "s"),
    "kill → all gone through": (10, "s"),
    "kill: writes": (0, ""),
    "idle 60 s: writes": (0, ""),
    "idle 60 s: reads": (0, ""),
    "idle 60 s: CPU": (5, "s"),
    "traffic: CPU": (0.25, "cores"),
    "traffic: written": (100, "KiB/s"),
    "traffic: RSS": (400, "MiB"),
    "route → acknowledged": (20, "ms"),
    "route: pushed per router": (5, "× its share"),
    "decide, 50 features, third stage": (1.5, "ms"),
    "ledger, 1,000 features × 20 pods × 50": (600, "KiB"),
}
"""By the beginning of a figure's name: the highest value that holds, and its unit."""


def figure(name: str, value: float, **details: Any) -> Figure:
    """Name a measured value; a name goes on with a comma where a figure is measured several times."""
    known = max((begin for begin in MUST if name.startswith(begin)), key=len)
    must, unit = MUST[known]
    return Figure(name, round(value, 4), must, unit, details)


def percentile(values: list[float], percent: float) -> float:
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
        table.add_row(one.name, f"{one.value:,.4g}", f"{one.must:g} {one.unit}", "yes" if one.holds else "NO")
    Console(width=_WIDTH, highlight=False).print(table)


def write_json(figures: list[Figure], path: Path, **about: Any) -> None:
    """Write all figures, by name, and what is known about the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {one.name: asdict(one) | {"holds": one.holds} for one in figures}
    path.write_text(json.dumps({"figures": listed, "run": about}, indent=1, ensure_ascii=False) + "\n")


def failing(figures: list[Figure]) -> Iterator[Figure]:
    """Give the figures that do not hold."""
    return (one for one in figures if not one.holds)
