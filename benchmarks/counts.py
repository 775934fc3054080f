"""What it costs to look at counts, and how large a ledger gets. Prints a table; run with `python benchmarks/counts.py`.

- reading one exposition of 30 features with 12 cells and 8 decisions, as servers write it, the lines known already;
- the same over HTTP from a server in this process, whose own time is taken off;
- adding one look at two pods to a ledger and judging the data, without and with new rows;
- storing that ledger;
- the ledger of 1,000 features, 20 pods and 50 restarts, each process having seen a million rows, with labels of two
  classes by cells of the score in eight decisions.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kingmaker.adapters import profiles as http
from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.ledger import Ledger, fold, note_news
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.counts.seen_cells import CellsOf
from kingmaker.core.counts.storage import dump_ledger
from kingmaker.core.monitoring.evaluate import watch_data
from kingmaker.ports import PodAddress
from support.busy import a_busy_ledger
from support.references import START
from support.world import World, a_model, a_spec, digest

MODEL, REFERENCE = digest("a"), digest("b")


def a_column(name: str) -> Feature:
    names = ("below", *map(str, range(8)), "above", "missing", "infinite")
    cells = tuple(Cell(n, 100 * n.isdigit(), rare=not n.isdigit()) for n in names)
    return Feature(name, Kind.NUMERIC, cells)


BASELINE = Baseline(REFERENCE, 800, tuple(a_column(f"mean measurement {i}") for i in range(30)))


def an_exposition(rows: int) -> bytes:
    info = f'model="a",model_digest="{MODEL}",baseline_digest="{REFERENCE}",pod="a-1"'
    lines = [f"info{{{info}}} 1", "start_time_seconds 1700000000.125"]
    for decision in range(1, 9):
        lines += [f'requests_total{{decision="{decision}",outcome="{o}"}} {rows}' for o in ("ok", "server_error")]
        lines += [f'rows_total{{decision="{decision}"}} {rows}']
        edges = ("0.001", "0.002", "0.003", "0.005", "0.0075", "0.01", "0.015", "0.02", "0.03", "0.05")
        lines += [f'latency_total{{decision="{decision}",le="{edge}"}} {rows}' for edge in edges]
        lines += [f'feedback_total{{decision="{decision}",outcome="{o}"}} {rows}' for o in ("correct", "wrong")]
    for feature in BASELINE.features:
        lines += [f'feature_total{{feature="{feature.name}",cell="{c.name}"}} {rows * c.count}' for c in feature.cells]
    return "".join(f"kingmaker_profile_{line}\n" for line in lines).encode()


def milliseconds(work: Callable[[int], object], times: int) -> float:
    """Median processor time of one call; the first few are left out."""
    taken = []
    for number in range(times):
        began = time.process_time()
        work(number)
        taken.append(time.process_time() - began)
    return 1000 * float(np.median(taken[3:]))


def reading() -> float:
    reader, known = ExpositionReader(), {REFERENCE: BASELINE}
    texts = [an_exposition(1_000_000 + i) for i in range(50)]
    return milliseconds(lambda i: reader.read("uid", texts[i % 50], known), 300)


async def over_http(times: int = 300) -> float:
    """Processor time of a scrape, less what this process's server and a client without a reader need together."""
    body = an_exposition(1_000_000)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/profile", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http.PORT).start()
    async with aiohttp.ClientSession() as session:
        profiles = http.PodProfiles(session)
        pod = PodAddress("uid", "127.0.0.1", "a-1")
        await profiles.scrape([pod], {REFERENCE: BASELINE})
        began = time.process_time()
        for _ in range(times):
            assert await profiles.scrape([pod], {REFERENCE: BASELINE})
        taken = time.process_time() - began
    await runner.cleanup()
    return 1000 * taken / times


class Looks:
    """One deployment with two pods whose counts move, or stand still."""

    def __init__(self) -> None:
        models = {"a": a_model("a", "a", baseline={"uri": "file:///b.json", "digest": REFERENCE})}
        world = World(spec=a_spec(), models=models).settle()
        self._state, self._observed = world.state, replace(world.observed(), baselines={REFERENCE: BASELINE})
        self.ledger, self.rows = Ledger(), 0

    def look(self, number: int, *, new_rows: int) -> None:
        self.rows += new_rows
        vector = np.array([c.count * self.rows for f in BASELINE.features for c in f.cells], dtype=np.int64)
        looks = tuple(ProcessCounts(f"uid-{i}", "a", MODEL, REFERENCE, "1.000", {}, vector) for i in range(2))
        uids, wanted = frozenset({"uid-0", "uid-1"}), {MODEL: frozenset({1})}
        observed = replace(self._observed, now=START + timedelta(seconds=30 * number), profiles=looks)
        folded = fold(self.ledger, looks, pods=uids, wanted=wanted, watched=CellsOf(MODEL, BASELINE))
        watch = watch_data(observed, self._state, folded.ledger.watch, folded.cells)
        self.ledger = note_news(self.ledger, replace(folded.ledger, watch=watch))


def main() -> None:
    idle, busy = Looks(), Looks()
    rows = [
        ("read one exposition, 30 features", reading(), "ms"),
        ("scrape it over HTTP, the server's time in it", asyncio.run(over_http()), "ms"),
        ("add a look without news, two pods", milliseconds(lambda i: idle.look(i, new_rows=0), 300), "ms"),
        ("add a look with news, two pods", milliseconds(lambda i: busy.look(i, new_rows=10), 300), "ms"),
        ("store that ledger", milliseconds(lambda _: dump_ledger(busy.ledger), 50), "ms"),
        ("its text", len(dump_ledger(busy.ledger)) / 1024, "KiB"),
    ]
    large = a_busy_ledger(features=1000, pods=20, restarts=50, rows=1_000_000, labelled=True)
    rows.append(("ledger of 1,000 features, 20 pods, 50 restarts, labels", len(dump_ledger(large)) / 1024, "KiB"))
    rows.append(("store it", milliseconds(lambda _: dump_ledger(large), 6), "ms"))
    print(f"{datetime.now(tz=UTC):%Y-%m-%d}, processor time of one call, median")
    for name, value, unit in rows:
        print(f"{name:<50} {value:>9.2f} {unit}")


if __name__ == "__main__":
    main()
