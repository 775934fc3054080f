"""The figures of the benchmark of the server: what each is called and what it must reach."""

from typing import Any, Final

from benchmarks.common.figures import Figure

LEAST: Final[dict[str, tuple[float, str]]] = {
    "requests/s ÷ bare": (0.6, "×"),
    "requests/s ÷ MLServer": (8, "×"),
    "requests/s ÷ KServe": (10, "×"),
    "requests/s ÷ BentoML": (25, "×"),
    "counting on ÷ off": (0.95, "×"),
    "shadow on ÷ off: requests/s": (0.9, "×"),
    "gRPC ÷ MLServer": (4, "×"),
    "gRPC ÷ KServe": (4, "×"),
    "binary, 1,000 rows ÷ MLServer": (4, "×"),
    "binary, 1,000 rows ÷ KServe": (4, "×"),
    "binary, 2,000 rows: counting on ÷ off": (0.9, "×"),
    "3 × overload: goodput ÷ peak": (0.9, "×"),
    "two workers ÷ one": (1.7, "×"),
}
MOST: Final[dict[str, tuple[float, str]]] = {
    "p50 ÷ MLServer's": (0.25, "×"),
    "p99 ÷ MLServer's": (0.1, "×"),
    "shadow on ÷ off: p99": (1.1, "×"),
    "3 × overload: time to a 503": (50, "ms"),
    "3 × overload: growth of memory": (20, "%"),
    "start → first right answer ÷ MLServer": (0.2, "×"),
    "memory after all requests": (90, "MiB"),
    "memory: growth over the last half": (1, "%"),
    "200 models: memory of one": (5, "MiB"),
    "200 models: load of one more": (150, "ms"),
    "200 models: p99 meanwhile ÷ before": (1.3, "×"),
    "/profile rendered": (0.5, "ms"),
    "/profile: request in flight ÷ p99": (1, "×"),
}
"""By the beginning of a figure's name: the lowest or highest value that holds, and its unit."""


def figure(name: str, value: float | None, note: str = "", *, is_open: bool = True, **details: Any) -> Figure:
    """Name a measured value; a name goes on with a comma where a figure is measured several times.

    Args:
        name: Begins like one of those above.
        value: None when there is none, and `note` says why: `why it has none: more about it`.
        note: See `value`.
        is_open: False where a figure without a value does not apply.
        details: What else was seen.
    """
    known = max((begin for begin in (*LEAST, *MOST) if name.startswith(begin)), key=len)
    must, unit = LEAST[known] if known in LEAST else MOST[known]
    rounded = None if value is None else round(value, 4)
    return Figure(name, rounded, must, unit, details, at_least=known in LEAST, note=note, is_open=is_open)


def missing(names: tuple[str, ...], why: str) -> list[Figure]:
    """Say of figures that they were not measured, visibly."""
    return [figure(name, None, f"not measured: {why}") for name in names]
