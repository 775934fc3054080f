"""The operator is killed twenty times in the middle of all: no request fails, and the end is as if nothing had been.

One scenario runs twice: a champion is seated, a better challenger promoted, a harmful one rolled back, and drift leads
to a retrained champion. The second time the operator gets SIGKILL at random moments. Times differ then. What was
decided, in which order, what was made and removed, and what is left must not.
"""

import asyncio
import io
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop import processes
from kingmaker_laptop.demo.failure import last_lines
from kingmaker_laptop.demo.laptop import Laptop, run_python
from kingmaker_laptop.demo.scenario import EXAMPLE
from kingmaker_laptop.demo.screen import Screen
from kingmaker_laptop.demo.stage import NAMESPACE, Stage, View
from kingmaker_laptop.demo.steps import Props, promote_better, retrain_after_shift, roll_back_harmful, seat_champion
from kingmaker_laptop.home import Home
from support.observer import Observer, observing

SEED = 20
KILLS = 20
QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Outcome:
    """What a run of the scenario left."""

    seconds: float
    kills: int
    champion: str
    decisions: list[str]
    conditions: dict[str, str]
    created: Counter[str]
    deleted: Counter[str]
    requests: dict[str, Any]


async def play(props: Props, folder: Path, moments: list[float]) -> Outcome:
    """Run the scenario on a new cluster, killing the operator at these seconds after it began."""
    laptop = Laptop(folder, "--longest-pause=0.2")
    told = io.StringIO()
    try:
        await laptop.up()
        async with (
            KubeClient(read_kubeconfig(laptop.home.kubeconfig), agent="test") as api,
            observing(api, namespace=NAMESPACE) as observer,
            staged(laptop, api, told) as stage,
        ):
            killer = asyncio.create_task(kill_operator(laptop.home, moments))
            try:
                await seat_champion(stage, props)
                await promote_better(stage, props)
                await roll_back_harmful(stage, props)
                await retrain_after_shift(stage)
                kills = await killer
                await come_to_rest(stage, observer)
            finally:
                killer.cancel()
            seconds, view = stage.seconds, stage.view
            requests = await stage.load.stop()
    except Exception as error:
        log = last_lines(laptop.home.log("operator"))
        error.add_note(f"{told.getvalue()[-6000:]}\nend of the operator's log:\n{log}")
        raise
    finally:
        await asyncio.to_thread(laptop.down)
    return Outcome(
        seconds,
        kills,
        view.champion,
        [summary(decision) for decision in view.decisions],
        {c["type"]: f"{c['status']} {c['reason']}" for c in view.status["conditions"]},
        observer.count("created"),
        observer.count("deleted"),
        requests,
    )


@asynccontextmanager
async def staged(laptop: Laptop, api: KubeClient, told: io.StringIO) -> AsyncIterator[Stage]:
    """Give a stage whose traffic has ended after the block, whatever happened."""
    stage = Stage(laptop, api, Screen(told))
    try:
        yield stage
    finally:
        if stage.traffic:
            await stage.traffic.stop()


async def kill_operator(home: Home, moments: list[float]) -> int:
    """Kill the operator at each moment; one that is just starting too, one that isn't there as soon as it is."""
    began = time.monotonic()
    for moment in moments:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        record = None
        while record is None or not record.is_alive:
            record = processes.load(home.records / "operator.json")
            await asyncio.sleep(0.01)
        record.signal(signal.SIGKILL)
        await asyncio.to_thread(record.wait, 10.0)
        assert not record.is_alive
    return len(moments)


async def come_to_rest(stage: Stage, observer: Observer) -> None:
    """Wait until the last champion is alone and nothing is made or removed any more."""

    def is_resting(view: View) -> bool:
        recent = [c for c in observer.since(time.monotonic() - QUIET_SECONDS) if c.verb != "changed"]
        steady = not view.is_true("Reconciling") and not view.is_true("RetrainingActive")
        return view.is_true("Ready") and len(view.variants) == 1 and steady and not recent

    await stage.wait("rest", is_resting, seconds=60)


def summary(decision: dict[str, Any]) -> str:
    """Say what was decided about whom, and the traffic from then on; not when, and on how many requests."""
    about = " -> ".join((decision.get(side) or {}).get("name", "") for side in ("from", "to"))
    shares = ((w["model"], w["weight"], w.get("shadowPercent", 0)) for w in decision.get("weights", ()))
    traffic = ", ".join(f"{model} {weight}/{shadow}" for model, weight, shadow in sorted(shares))
    return f"{decision['action']} {about} ({traffic})"


def table(reference: Outcome, killed: Outcome) -> str:
    """Put both runs side by side."""
    rows = [
        ("kills", reference.kills, killed.kills),
        ("seconds", f"{reference.seconds:.0f}", f"{killed.seconds:.0f}"),
        ("requests", reference.requests["sent"], killed.requests["sent"]),
        ("failed", reference.requests["failed"], killed.requests["failed"]),
        ("p99, ms", reference.requests["p99Milliseconds"], killed.requests["p99Milliseconds"]),
        ("decisions", len(reference.decisions), len(killed.decisions)),
    ]
    for verb in ("created", "deleted"):
        counts = [getattr(run, verb) for run in (reference, killed)]
        rows += [(f"{verb} {kind}", *(c[kind] for c in counts)) for kind in sorted(counts[0] | counts[1])]
    lines = [f"{name:32} {left!s:>10} {right!s:>10}" for name, left, right in [("", "reference", "killed"), *rows]]
    return "\n".join(["", *lines, *killed.decisions])


@pytest.mark.timeout(600)
async def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    built = tmp_path / "built"
    await run_python(EXAMPLE / "build.py", "--out", str(built))

    async def run(name: str, moments: list[float]) -> Outcome:
        # Models name their files by path, so both runs use the same ones; what the first trained must not be found.
        shutil.rmtree(built / "retrained", ignore_errors=True)
        return await play(Props(EXAMPLE, built), tmp_path / name, moments)

    reference = await run("reference", [])
    chance = random.Random(SEED)
    killed = await run("killed", sorted(chance.uniform(0, reference.seconds) for _ in range(KILLS)))
    print(table(reference, killed))
    assert killed.kills == KILLS
    assert reference.requests["failed"] == killed.requests["failed"] == 0, killed.requests["failures"]
    assert killed.requests["sent"] >= reference.requests["sent"] > 1000
    assert killed.champion == reference.champion == "screening-r1"
    assert killed.decisions == reference.decisions
    assert killed.conditions == reference.conditions
    assert killed.created == reference.created
    assert killed.deleted == reference.deleted
