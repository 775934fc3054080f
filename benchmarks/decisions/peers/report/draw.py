"""Draw plots as SVG: `draw.py IN.npz IN.json OUT.json`; see `benchmarks/decisions/plots.py` for what a plot is."""

import io
import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

mpl.rcParams.update(
    {
        "svg.hashsalt": "kingmaker",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def draw(plot):
    """Give the SVG of one plot, without what comes before its first tag."""
    figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    for name, points in sorted(plot["lines"].items(), key=lambda item: not item[0].startswith("kingmaker")):
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        ours = name.startswith("kingmaker")
        style = {"linewidth": 2.2 if ours else 1.1, "marker": "o" if len(points) <= 12 else "", "markersize": 3}
        axes.plot(xs, ys, label=name, drawstyle="steps-post" if plot["steps"] else "default", **style)
    for name, level in plot["bounds"].items():
        axes.axhline(level, color="0.4", linestyle="--", linewidth=0.9)
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7)
    axes.set(title=plot["title"], xlabel=plot["x"], ylabel=plot["y"])
    if plot["log_x"]:
        axes.set_xscale("log")
    if plot["log_y"]:
        axes.set_yscale("log")
    if plot["lines"]:
        axes.legend(fontsize=7, frameon=False)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]


given = json.loads(Path(sys.argv[2]).read_text())
Path(sys.argv[3]).write_text(json.dumps([draw(plot) for plot in given["plots"]]))
