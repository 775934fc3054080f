"""Measure Kingmaker at scale: `python -m benchmarks.scale [--deployments N] [--only STEP…] [--quick]`; see README."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.common.figures import Figure, failing, print_table, write_json
from benchmarks.common.progress import say
from benchmarks.scale import pure, steps
from benchmarks.scale.figures import figure
from benchmarks.scale.floor import Made, apply_all, record
from benchmarks.scale.kingmaker_system import Kingmaker
from benchmarks.scale.site import WRITES, Site, open_site
from benchmarks.scale.system import System, seats

STEPS: Final = ("decide", "ledger", "ready", "edit", "kill", "idle", "harm", "traffic", "route", "small")
"""In the order in which they are carried out; `ready` and `small` measure the floor, too. What is counted in `harm` may
be stored minutes later, so nothing idle comes after it."""
_IN_MANY: Final = ("edit", "kill", "idle", "harm", "traffic")
_IN_ONE: Final = ("route",)
"""Steps on all deployments in many namespaces, and in one."""
_FLOOR_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done: deployments, the number of the smaller run (0: none), repetitions, and times in seconds."""

    deployments: int
    small: int
    namespaces: int
    edits: int
    contests: int
    features: int
    changes: int
    interval: float
    idle_seconds: float
    traffic_seconds: float
    only: frozenset[str]

    def does(self, *wanted: str) -> bool:
        """Whether any of these steps is asked for."""
        return not self.only.isdisjoint(wanted)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Measure Kingmaker at scale.")
    parser.add_argument("--deployments", type=int, metavar="N", help="how many (default: 1000; with --quick 40)")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--quick", action="store_true", help="a smoke run: every step, few of each")
    parser.add_argument("--output", type=Path, default=Path("build/bench/scale.json"), metavar="FILE")
    return parser.parse_args(argv)


def plan_of(args: argparse.Namespace) -> Plan:
    """Turn the command line into numbers."""
    only = frozenset(args.only)
    if args.quick:
        return Plan(args.deployments or 40, 0, 4, 10, 3, 50, 5, 5, 10, 15, only)
    return Plan(args.deployments or 1000, 200, 20, 200, 20, 1000, 50, 30, 60, 300, only)


async def measure(system: System, plan: Plan, folder: Path) -> AsyncIterator[Figure]:
    """Carry out the steps and give figures as they come."""
    if plan.does("decide"):
        yield pure.decide_pass()
    if plan.does("ledger"):
        yield pure.ledger_size(features=plan.features)
    if plan.does("ready", *_IN_MANY):
        async for one in _at_scale(system, plan, folder, plan.deployments, plan.namespaces):
            yield one
    if plan.does("ready", *_IN_ONE):
        async for one in _at_scale(system, plan, folder, plan.deployments, 1):
            yield one
    for namespaces in (plan.namespaces, 1) if plan.small and plan.does("small") else ():
        async for one in _compared(system, folder, plan.small, namespaces):
            yield one


async def _at_scale(system: System, plan: Plan, folder: Path, count: int, namespaces: int) -> AsyncIterator[Figure]:
    where = folder / f"system-{count}-{namespaces}"
    async with open_site(system, where, seats(count, namespaces)) as site:
        ready = await steps.become_ready(site)
        made = await record(site) if plan.does("ready") else None
        async for one in _steps(site, plan, _IN_ONE if namespaces == 1 else _IN_MANY):
            yield one
    if made:
        yield await _ratio(system, folder, count, namespaces, ready, made)


_RESTED: Final = frozenset({"edit", "kill", "idle", "route"})
"""Steps that begin when nothing is written any more."""


async def _steps(site: Site, plan: Plan, names: tuple[str, ...]) -> AsyncIterator[Figure]:
    """Carry out those of the steps that are asked for."""
    ways: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
        "edit": lambda: steps.edit(site, edits=plan.edits),
        "harm": lambda: steps.harm(site, contests=plan.contests),
        "kill": lambda: steps.kill(site),
        "idle": lambda: steps.idle(site, seconds=plan.idle_seconds),
        "traffic": lambda: steps.traffic(site, seconds=plan.traffic_seconds),
        "route": lambda: steps.route(site, changes=plan.changes),
    }
    for name in filter(plan.does, names):
        if name in _RESTED:
            await steps.rest(site)
        for one in await ways[name]():
            yield one


async def _compared(system: System, folder: Path, count: int, namespaces: int) -> AsyncIterator[Figure]:
    async with open_site(system, folder / f"system-{count}-{namespaces}", seats(count, namespaces)) as site:
        ready, made = await steps.become_ready(site), await record(site)
    yield await _ratio(system, folder, count, namespaces, ready, made)


async def _ratio(system: System, folder: Path, count: int, namespaces: int, ready: steps.Ready, made: Made) -> Figure:
    where = folder / f"floor-{count}-{namespaces}"
    async with open_site(system, where, seats(count, namespaces), controlled=False) as site:
        floor, floor_cpu = await apply_all(site, made, seconds=_FLOOR_SECONDS)
    place = "1 namespace" if namespaces == 1 else f"{namespaces} namespaces"
    return figure(
        f"ready ÷ floor, {count} in {place}",
        ready.seconds / floor,
        seconds=round(ready.seconds, 2),
        floor_seconds=round(floor, 2),
        cpu=ready.cpu,
        floor_cpu=floor_cpu,
        objects=len(made.objects),
        pods=made.pods,
        writes_per_deployment=ready.per_seat(WRITES, count),
    )


async def run(plan: Plan, output: Path, arguments: list[str]) -> int:
    """Measure, print and write; give the exit code."""
    figures: list[Figure] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kmscale") as folder:
        async for one in measure(Kingmaker(interval=plan.interval), plan, Path(folder)):
            say(f"{one.name}: {one.value:,.4g} {one.unit}")
            figures.append(one)
            # What was measured is kept even when a later step fails.
            write_json(figures, output, arguments=arguments, seconds=round(time.monotonic() - began))
    print_table(figures)
    return 1 if any(failing(figures)) else 0


def main() -> int:
    """Run from the command line: 0 when every figure holds, else 1."""
    args = parse()
    return asyncio.run(run(plan_of(args), args.output, sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
