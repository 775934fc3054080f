"""Steps about what is held: three times the load, memory after many requests, the page that is scraped meanwhile."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.common.figures import Figure, percentile
from benchmarks.common.progress import say
from benchmarks.serving import model, targets
from benchmarks.serving.figures import figure
from benchmarks.serving.lab import Lab
from benchmarks.serving.load import Load, read_log
from benchmarks.serving.model import Model
from benchmarks.serving.process import BenchError, Server
from benchmarks.serving.requests import one_row

SLOW: Final = ", model of 1 ms"
"""How figures go on that are about the slow model."""
_TIMES: Final = 3
_MANY: Final = 1024
"""Connections of an overload: a request that is due finds one, unless answers take a third of a second."""
_PARTS: Final = 10
_SCRAPES: Final = 300
_SCRAPE_PAUSE: Final = 0.02
_PART: Final = 0.5
"""Of the peak, while the page is read."""


def overload(lab: Lab) -> Iterator[Figure]:
    """Send three times of what the server can do: to the usual model, and to one that takes a millisecond."""
    yield from _overload(lab, lab.model, "")
    yield from _overload(lab, model.slow(lab.folder / "slow", lab.model), SLOW)


def _overload(lab: Lab, asked: Model, of_what: str) -> Iterator[Figure]:
    questions = one_row(asked)
    target = targets.ours(asked, lab.folder / f"overload{len(of_what)}")
    with lab.running(target, questions[0]) as server:
        peaks = [lab.generator.peak(server, questions, lab.plan.seconds) for _ in range(lab.plan.rounds)]
        peak = statistics.median(load.insist("kingmaker").rate for load in peaks)
        before = server.memory()
        server.forget_highest()
        rate = _TIMES * peak
        say(f"  peak {peak:,.0f}/s; {rate:,.0f} requests/s")
        log = lab.generator.folder / "log"
        load = lab.generator.paced(server, questions, lab.plan.seconds, rate=rate, connections=_MANY, late=0, log=log)
        highest = server.memory("VmHWM")
    seen = {"peak": peak, "overload": load.seen}
    say("  " + ", ".join(f"{one.count} with {status}" for status, one in sorted(load.statuses.items())))
    goodput = _in_time(log, lab.plan.seconds) / lab.plan.seconds
    yield figure(f"3 × overload: goodput ÷ peak{of_what}", goodput / peak, **seen)
    yield _refusals(f"3 × overload: time to a 503{of_what}", load)
    growth = 100 * (highest / before - 1)
    yield figure(f"3 × overload: growth of memory{of_what}", growth, before=before, highest=highest)


def _in_time(log: Path, seconds: float) -> int:
    """Count right answers that came while requests were sent; what was queued is answered later, and is no goodput."""
    answers = read_log(log)
    end = answers[:, 0].min() + seconds * 1e9
    return int(((answers[:, 2] == 200) & (answers[:, 0] + answers[:, 1] <= end)).sum())


def _refusals(name: str, load: Load) -> Figure:
    """Judge by the p99 of the refused; who waits for nothing at all waits for a 503, too."""
    times = [load.statuses[status].p99 for status in ("503", "0") if status in load.statuses]
    if not times:
        return figure(name, None, "not measured: nothing was refused", load_cpu=load.load_cpu)
    return figure(name, 1000 * max(times))


def memory(lab: Lab) -> Iterator[Figure]:
    """Ask a new process a million times and look at its memory after each tenth."""
    part = lab.plan.requests // _PARTS
    found = []
    with lab.running(targets.ours(lab.model, lab.folder / "memory")) as server:
        fresh = server.memory()
        for number in range(1, _PARTS + 1):
            load = lab.generator.paced(server, lab.questions, 0, count=part).insist("kingmaker")
            found.append(round(server.memory(), 2))
            say(f"  {number * part:,} requests: {found[-1]:.1f} MiB, {load.rate:,.0f}/s")
    half = found[_PARTS // 2 - 1]
    yield figure("memory after all requests", found[-1], fresh=fresh, after_parts=found, requests=part * _PARTS)
    growth = 100 * (max(found[_PARTS // 2 :]) / half - 1)
    yield figure("memory: growth over the last half", growth, after_parts=found)


def page(lab: Lab) -> Iterator[Figure]:
    """Read `/profile` of a model of 50 features, alone and while requests are answered."""
    asked = model.linear(lab.folder / "wide", columns=50)
    questions = one_row(asked)
    with lab.running(targets.ours(asked, lab.folder / "page"), questions[0]) as server:
        peak = lab.generator.peak(server, questions, lab.plan.seconds).insist("kingmaker").rate
        rendered, live = ([_timed(server, path) for _ in range(_SCRAPES)] for path in ("/profile", "/livez"))
        milliseconds = 1000 * (statistics.median(rendered) - statistics.median(live))
        size = len(server.manage("/profile"))
        yield figure("/profile rendered", milliseconds, bytes=size, livez=1000 * statistics.median(live))
        log = lab.generator.folder / "log"
        load, scrapes = _meanwhile(
            lambda: lab.generator.paced(server, questions, lab.plan.seconds, rate=_PART * peak, log=log),
            lambda: _spans(server),
        )
        load.insist("kingmaker")
    yield _in_flight(log, scrapes)


def _meanwhile(load: Callable[[], Load], once: Callable[[], "Span"]) -> "tuple[Load, list[Span]]":
    """Do something again and again while a load runs."""
    done: list[Span] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load)
        while not running.done():
            done.append(once())
            time.sleep(_SCRAPE_PAUSE)
        return running.result(), done


Span = tuple[int, int]
"""Begin and end, in nanoseconds of the monotonic clock."""


def _spans(server: Server) -> Span:
    began = time.monotonic_ns()
    server.manage("/profile")
    return began, time.monotonic_ns()


def _timed(server: Server, path: str) -> float:
    began = time.perf_counter()
    server.manage(path)
    return time.perf_counter() - began


def _in_flight(log: Path, scrapes: Sequence[Span]) -> Figure:
    """Compare the slowest request in flight during a scrape, the median over scrapes, with the p99 of the others."""
    answers = read_log(log)
    due, ends = answers[:, 0], answers[:, 0] + answers[:, 1]
    touched = np.zeros(len(answers), dtype=bool)
    slowest = []
    for began, ended in scrapes:
        meets = (due < ended) & (ends > began)
        touched |= meets
        if meets.any():
            slowest.append(float(answers[meets, 1].max()))
    others = answers[~touched, 1]
    if not slowest or not len(others):
        raise BenchError(f"{len(slowest)} scrapes met a request, {len(others)} requests met none")
    p99 = percentile(others.tolist(), 99)
    seen = {"scrapes": len(slowest), "slowest": statistics.median(slowest) / 1e6, "p99": p99 / 1e6}
    return figure("/profile: request in flight ÷ p99", statistics.median(slowest) / p99, **seen)
