"""Measure the server: `python -m benchmarks.serving [--only STEP…] [--quick]`; see README."""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.common.figures import Figure, failing, print_table, write_json
from benchmarks.common.progress import say
from benchmarks.serving import compare, limits, many, own
from benchmarks.serving.figures import missing
from benchmarks.serving.lab import LABELS, Lab, Plan
from benchmarks.serving.process import BenchError

Step = Callable[[Lab], Iterator[Figure]]

THROUGHPUT: Final = tuple(LABELS)
"""Steps that are measured together, in turns."""
_OVERLOAD: Final = tuple(
    f"3 × overload: {what}{of_what}"
    for of_what in ("", limits.SLOW)
    for what in ("goodput ÷ peak", "time to a 503", "growth of memory")
)
STEPS: Final[dict[str, tuple[Step, tuple[str, ...]]]] = {
    "latency": (compare.latency, ("p50 ÷ MLServer's", "p99 ÷ MLServer's")),
    "grpc": (compare.over_grpc, ("gRPC ÷ MLServer", "gRPC ÷ KServe")),
    "binary": (compare.binary, ("binary, 1,000 rows ÷ MLServer", "binary, 1,000 rows ÷ KServe")),
    "start": (compare.first_answers, ("start → first right answer ÷ MLServer",)),
    "counting": (own.counting, ("counting on ÷ off",)),
    "counting-binary": (own.counting_in_binary, ("binary, 2,000 rows: counting on ÷ off",)),
    "shadow": (own.shadow, ("shadow on ÷ off: requests/s", "shadow on ÷ off: p99")),
    "overload": (limits.overload, _OVERLOAD),
    "memory": (limits.memory, ("memory after all requests", "memory: growth over the last half")),
    "workers": (own.workers, ()),
    "many": (many.many, many.NAMES),
    "profile": (limits.page, ("/profile rendered", "/profile: request in flight ÷ p99")),
}
"""The other steps, and the figures of each."""
PEERS: Final = ("mlserver", "kserve", "bentoml", "latency", "grpc", "binary", "start")
"""Steps that need peers."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    steps = (*THROUGHPUT, *STEPS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Measure the server.")
    parser.add_argument("--only", nargs="+", choices=steps, metavar="STEP", help=", ".join(steps))
    parser.add_argument("--quick", action="store_true", help="a smoke run: every step without peers, a second of each")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 3")
    parser.add_argument("--seconds", type=float, metavar="S", help="of one load (default: 10)")
    parser.add_argument(
        "--nice", type=int, default=0, metavar="N", help="of servers and loads; -19 where others work, as root"
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench/serving.json"), metavar="FILE")
    return parser.parse_args(argv)


def plan_of(args: argparse.Namespace) -> Plan:
    """Turn the command line into numbers."""
    environments = Path("build/bench").absolute()
    if args.quick:
        return Plan(args.rounds or 1, args.seconds or 1, 20_000, 10, 1, environments, is_quick=True, nice=args.nice)
    return Plan(args.rounds or 3, args.seconds or 10, 1_000_000, 200, 3, environments, nice=args.nice)


def measure(lab: Lab, only: list[str]) -> Iterator[Figure]:
    """Carry out the steps and give figures as they come. A step that fails leaves figures without a value."""
    together = [name for name in THROUGHPUT if name in only]
    if together:
        names = tuple(f"requests/s ÷ {LABELS[name]}" for name in together)
        yield from _carried_out(lambda lab: compare.throughput(lab, together), names, lab, ", ".join(together))
    for name, (step, names) in STEPS.items():
        if name in only:
            yield from _carried_out(step, names, lab, name)


def _carried_out(step: Step, names: tuple[str, ...], lab: Lab, name: str) -> Iterator[Figure]:
    say(name)
    given: set[str] = set()
    try:
        for one in step(lab):
            given.add(one.name)
            yield one
    except BenchError as error:
        say(f"{name} failed: {error}")
        yield from missing(tuple(one for one in names if one not in given), str(error))


def run(plan: Plan, only: list[str], output: Path, arguments: list[str]) -> int:
    """Measure, print and write; give the exit code."""
    figures: list[Figure] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kmbench") as folder, contextlib.ExitStack() as servers:
        for one in measure(Lab(plan, Path(folder), servers), only):
            per_cpu = f" ({one.details['per_cpu_second']} per CPU second)" if "per_cpu_second" in one.details else ""
            say(f"{one.name}: {one.text} {one.unit}{per_cpu} {one.note}")
            figures.append(one)
            # What was measured is kept even when a later step fails.
            write_json(figures, output, arguments=arguments, seconds=round(time.monotonic() - began))
    print_table(figures)
    return 1 if any(failing(figures)) else 0


def main() -> int:
    """Run from the command line: 0 when every figure holds, else 1."""
    args = parse()
    steps = [step for step in (*THROUGHPUT, *STEPS) if not (args.quick and step in PEERS)]
    return run(plan_of(args), args.only or steps, args.output, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
