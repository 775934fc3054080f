"""Measure the decisions: `python -m benchmarks.decisions [--only B3…] [--quick]`; see README."""

import argparse
import importlib
import importlib.util
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from benchmarks.common.figures import Figure, failing, write_json
from benchmarks.common.progress import say
from benchmarks.decisions.options import Options
from benchmarks.decisions.report import write_report
from benchmarks.decisions.table import print_table

ORDER: Final = ("b1", "b2", "b3", "b4", "b5", "b5_sizes", "b5_fraud", "b6", "b7", "creep", "cost")
"""Modules of this folder in the order of the table. Each has `NAME` and `run(options)`, which gives figures. `b5_…`
are parts of b5: figures that take long are carried out side by side."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def modules() -> list[str]:
    """Name the modules that are there."""
    return [name for name in ORDER if importlib.util.find_spec(f"benchmarks.decisions.{name}")]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    names = list(dict.fromkeys(name.partition("_")[0] for name in modules()))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description="Measure the decisions.")
    parser.add_argument(
        "--only", nargs="+", type=str.lower, choices=names, default=names, metavar="B", help=", ".join(names)
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: every figure, few repetitions")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), metavar="DIR", help="default: %(default)s")
    return parser.parse_args(argv)


def carry_out(name: str, options: Options) -> tuple[list[Figure], float]:
    """Measure the figures of one module; what goes wrong is a figure without a value. Give them and the seconds."""
    module = importlib.import_module(f"benchmarks.decisions.{name}")
    began, figures = time.monotonic(), list[Figure]()
    try:
        for one in module.run(options):
            say(f"{one.name}: {one.text} {one.unit} {one.note}".rstrip())
            figures.append(one)
    except Exception as error:  # noqa: BLE001 others go on
        traceback.print_exc()
        figures.append(Figure(f"{module.NAME}: all of it", None, 0, "", note=f"failed: {error}"))
    return figures, time.monotonic() - began


def measure(names: list[str], options: Options, processes: int) -> Iterator[tuple[str, list[Figure], float]]:
    """Measure modules side by side, each in a process of one thread; give each one's figures when it is done."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(names)), mp_context=context, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(carry_out, name, options): name for name in names}
        for done in as_completed(waiting):
            yield waiting[done], *done.result()


def main() -> int:
    """Run from the command line: 0 when every figure holds, else 1."""
    args = parse()
    only = [name for name in modules() if name.partition("_")[0] in args.only]
    options = Options(args.quick, args.folder)
    found: dict[str, list[Figure]] = {}
    seconds: dict[str, int] = {}
    began = time.monotonic()
    figures: list[Figure] = []
    for name, given, took in measure(only, options, args.processes):
        say(f"{name} took {took:,.0f} s")
        found[name], seconds[name] = given, round(took)
        figures = [one for known in ORDER for one in found.get(known, ())]
        # What was measured is kept even when the rest never ends.
        about = {"arguments": sys.argv[1:], "seconds": seconds, "took": round(time.monotonic() - began)}
        write_json(figures, args.folder / "decisions.json", **about)
    write_report(figures, options, args.folder / "decisions.html")
    print_table(figures)
    return 1 if any(failing(figures)) else 0


if __name__ == "__main__":
    sys.exit(main())
