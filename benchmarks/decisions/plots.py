"""A plot as a value: figures keep theirs in `details["plots"]`, and the report draws them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

PLOTS: Final = "plots"


def plot(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    bounds: Mapping[str, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    steps: bool = False,
) -> dict[str, Any]:
    """Describe a plot of lines.

    Args:
        title: What it shows.
        lines: Points (x, y) by the line's name; `kingmaker` is drawn before the others.
        x: What goes to the right, with its unit.
        y: What goes up, with its unit.
        bounds: Horizontal lines by name: what a figure must be.
        log_x: Whether x is on a logarithmic scale.
        log_y: Likewise y.
        steps: Whether a value holds until the next one.
    """
    points = {name: [[float(a), float(b)] for a, b in line] for name, line in lines.items()}
    return {
        "title": title,
        "lines": points,
        "x": x,
        "y": y,
        "bounds": dict(bounds or {}),
        "log_x": log_x,
        "log_y": log_y,
        "steps": steps,
    }
