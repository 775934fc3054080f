"""Measure the decisions: `python -m benchmarks.decisions [--only B3…] [--quick]`; see README."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.common.figures import Figure, failing, write_json
from benchmarks.common.progress import say
from benchmarks.decisions.measuring import ORDER, measure, modules
from benchmarks.decisions.options import Options
from benchmarks.decisions.report import write_report
from benchmarks.decisions.table import print_table


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
