"""What is measured side by side: servers on one processor, all but one frozen, and the loads from another."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.serving import model, programs, targets
from benchmarks.serving.figures import figure
from benchmarks.serving.load import Generator, Load
from benchmarks.serving.model import Model
from benchmarks.serving.process import BenchError, Server, Target, running
from benchmarks.serving.requests import Question, one_row

OURS: Final = "kingmaker"
UNCOUNTED: Final = "kingmaker without counting"
SHADOWING: Final = "kingmaker with a shadow"
TARGETS: Final = "targets.json"
"""Whom `SHADOWING` sends copies to; there before it is started."""
LABELS: Final = {"bare": "bare", "mlserver": "MLServer", "kserve": "KServe", "bentoml": "BentoML"}
"""What others are called in figures, by the name of their step."""
_BUSY: Final = 0.9
"""A closed loop keeps a server's processor this busy, unless others use it, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    rounds: int
    seconds: float
    """Of one load."""
    requests: int
    """For the memory."""
    models: int
    starts: int
    environments: Path
    """Where peers are installed."""
    is_quick: bool = False
    nice: int = 0
    """Of servers and loads."""


@dataclass
class Lab:
    """Servers are started when they are first asked for, and end with the lab."""

    plan: Plan
    folder: Path
    servers: contextlib.ExitStack
    found: dict[str, Server] = field(default_factory=dict)
    peaks: dict[str, list[Load]] = field(default_factory=dict)
    """Requests per second at the most, of the servers whose throughput was measured."""

    @cached_property
    def cores(self) -> tuple[int, int]:
        """The server's processor, and the load's."""
        usable = sorted(os.sched_getaffinity(0))
        return usable[0], usable[-1]

    @cached_property
    def spare(self) -> tuple[int, int]:
        """A processor for a challenger and how nice it is: a third one, or else the load's, behind the load."""
        usable = sorted(os.sched_getaffinity(0))
        return (usable[1], self.plan.nice) if len(usable) > 2 else (usable[-1], min(19, self.plan.nice + 10))

    @cached_property
    def generator(self) -> Generator:
        """What makes loads."""
        folder = self.folder / "load"
        folder.mkdir(exist_ok=True)
        return Generator(self.cores[1], folder, needs_wrk=not self.plan.is_quick, nice=self.plan.nice)

    @cached_property
    def model(self) -> Model:
        """The model that all serve."""
        say("training the model")
        return model.boosted(self.folder / "model")

    @cached_property
    def questions(self) -> list[Question]:
        """One row each, as JSON."""
        return one_row(self.model)

    def target(self, name: str) -> Target:
        """Give how a server is started."""
        folder = self.folder / name.replace(" ", "-")
        match name:
            case "kingmaker":
                return targets.ours(self.model, folder)
            case "kingmaker without counting":
                return targets.ours(self.model, folder, counting=False)
            case "kingmaker with a shadow":
                return targets.ours(self.model, folder, "--shadow-targets", str(self.folder / TARGETS))
            case "bare":
                return targets.bare(self.model, folder)
            case _:
                started = {"mlserver": targets.mlserver, "kserve": targets.kserve, "bentoml": targets.bentoml}[name]
                return started(self.model, folder, programs.environment(name, self.plan.environments))

    def server(self, name: str) -> Server:
        """Give a server that answers right, and is frozen."""
        if name not in self.found:
            say(f"starting {name}")
            server = self.servers.enter_context(self.running(self.target(name)))
            for question in self.questions[:5]:
                if not server.right(question):
                    raise BenchError(f"{name} does not answer")
            server.freeze()
            self.found[name] = server
        return self.found[name]

    @contextlib.contextmanager
    def running(self, target: Target, question: Question | None = None) -> Iterator[Server]:
        """Run a server of a step's own on the server's processor while the block does."""
        with running(target, self.cores[0], question or self.questions[0], nice=self.plan.nice) as server:
            yield server

    def rounds(self, names: Sequence[str], measure: Callable[[Server], Load]) -> dict[str, list[Load]]:
        """Measure servers in turn, several times; each round begins with another one."""
        for name in names:
            self.server(name)
        loads: dict[str, list[Load]] = {name: [] for name in names}
        for turn in range(self.plan.rounds):
            first = turn % len(names)
            for name in [*names[first:], *names[:first]]:
                with self.server(name).thawed() as server:
                    load = measure(server).insist(name)
                    # What a load leaves behind when it hangs up is over before the server is stopped, not after.
                    until(lambda: server.right(self.questions[0]), f"a right answer of {name} after a load")
                tell(name, load)
                loads[name].append(load)
        return loads

    def peak(self, name: str) -> float:
        """Give the most requests per second, as measured before or now."""
        if name not in self.peaks:
            self.peaks |= self.rounds([name], self.peak_of)
        return statistics.median(load.rate for load in self.peaks[name])

    def peak_of(self, server: Server) -> Load:
        """Ask one row per request, as fast as answers come."""
        return self.generator.peak(server, self.questions, self.plan.seconds)

    def refusal(self, name: str, question: Question) -> str:
        """Say why a server does not answer a question, if it does not."""
        with self.server(name).thawed() as server:
            try:
                return "" if server.right(question) else f"{name} does not answer"
            except BenchError as error:
                return str(error)


def tell(name: str, load: Load) -> None:
    """Say what a closed loop reached, and whether its processor was its own."""
    shared = "" if load.server_cpu > _BUSY else f"; it had {load.server_cpu:.0%} of its processor"
    times = f"p50 {load.ok.p50 * 1000:.2f} ms, p99 {load.ok.p99 * 1000:.2f} ms"
    say(f"  {name}: {load.rate:,.0f}/s, {load.per_cpu_second:,.0f} per CPU second, {times}{shared}")


def quotient(
    name: str, ours: list[Load], theirs: list[Load], of: Callable[[Load], float] = lambda load: load.rate
) -> Figure:
    """Divide the median of our rounds by that of theirs."""
    value = statistics.median(map(of, ours)) / statistics.median(map(of, theirs))
    used = [statistics.median(load.per_cpu_second for load in loads) for loads in (ours, theirs)]
    seen = {"ours": [load.seen for load in ours], "theirs": [load.seen for load in theirs]}
    return figure(name, value, per_cpu_second=round(used[0] / used[1], 3), **seen)


def until(holds: Callable[[], bool], what: str, *, seconds: float = 60, pause: float = 0.001) -> float:
    """Wait until something holds; give the seconds that took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise BenchError(f"{what} did not happen within {seconds:g} s")
        time.sleep(pause)
    return time.monotonic() - began
