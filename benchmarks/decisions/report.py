"""The report: the table and the plots in one HTML file that needs nothing else."""

import html
from pathlib import Path
from typing import Any

from benchmarks.common.figures import Figure
from benchmarks.decisions.options import Options
from benchmarks.decisions.peers import PeerError, ask
from benchmarks.decisions.plots import PLOTS
from benchmarks.decisions.table import rows

_STYLE = """
body {font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem}
table {border-collapse: collapse} td, th {padding: .15rem .8rem; text-align: left; border-bottom: 1px solid #ddd}
td:nth-child(2), td:nth-child(3) {text-align: right} .other td {color: #666; font-size: .9em}
.NO td:last-child {color: #b00020; font-weight: bold} svg {width: 100%; height: auto; margin: 1rem 0}
"""


def write_report(figures: list[Figure], options: Options, path: Path) -> None:
    """Write the report.

    Args:
        figures: What was measured.
        options: Where the environment of the library that draws is.
        path: The file.
    """
    plots = [plot for one in figures for plot in one.details.get(PLOTS, ())]
    drawn, why = _draw(plots, options)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Decisions, measured</title>",
        f"<style>{_STYLE}</style><h1>Decisions, measured</h1>",
        _table(figures),
        f"<p>{html.escape(why)}</p>" if why else "",
        *drawn,
        "</html>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n")


def _draw(plots: list[dict[str, Any]], options: Options) -> tuple[list[str], str]:
    if not plots:
        return [], ""
    try:
        return ask("report", "draw", options, plots=plots), ""
    except PeerError as error:
        return [], f"Plots are not drawn: {error}"


def _table(figures: list[Figure]) -> str:
    lines = []
    for row in rows(figures):
        kind = "other" if row[0].startswith("  ") else row[3]
        cells = "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row)
        lines.append(f'<tr class="{html.escape(kind)}">{cells}</tr>')
    head = "<tr><th>figure<th>value<th>must<th>holds</tr>"
    return f"<table>{head}{''.join(lines)}</table>"
