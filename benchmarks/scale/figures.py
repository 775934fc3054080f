"""The figures of the benchmark at scale: what each is called, and what it must be at most."""

from typing import Any, Final

from benchmarks.common.figures import Figure

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
