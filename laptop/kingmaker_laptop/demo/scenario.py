"""The demo from the first process to the last: bring up, show, sum up, take down."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.failure import tell_what_was_seen
from kingmaker_laptop.demo.laptop import Laptop, run_python
from kingmaker_laptop.demo.screen import Screen
from kingmaker_laptop.demo.stage import DEPLOYMENT, NAMESPACE, Stage
from kingmaker_laptop.demo.steps import (
    Props,
    break_unit,
    label_late,
    promote_better,
    retrain_after_shift,
    retrain_by_labels,
    roll_back_harmful,
    seat_champion,
)
from kingmaker_laptop.errors import LocalError

EXAMPLE: Final = Path(__file__).parents[3] / "examples" / "breast_cancer"

INTERRUPTED: Final = 130


async def show(screen: Screen, *, folder: Path | None, keep: bool) -> int:
    """Run the demo and give its exit code; whatever happens, no process is left when this returns.

    Args:
        screen: Where it is told.
        folder: Where the cluster lives; None for a new temporary one.
        keep: Go on serving after the last step until Ctrl-C.
    """
    if not EXAMPLE.is_dir():
        raise LocalError(f"the demo needs the examples of the repository, {EXAMPLE} is missing: run it in a checkout")
    place = folder or Path(tempfile.mkdtemp(prefix="kingmaker-demo-"))
    laptop = Laptop(place)
    task = asyncio.create_task(_perform(screen, laptop, keep=keep))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        screen.plain("\nInterrupted.")
        return INTERRUPTED
    finally:
        screen.close()
        # From here on Ctrl-C must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        await asyncio.to_thread(laptop.down)
        screen.plain("Everything is ended. Logs are kept:")
        screen.plain(f"  {laptop.home.logs}")
        screen.plain(f"  {laptop.home.node} (pods)")


async def _perform(screen: Screen, laptop: Laptop, *, keep: bool) -> int:
    props = Props(EXAMPLE, laptop.home.folder / "models")
    screen.plain("Kingmaker: one model, one seat, six things that happen to it")
    screen.note(f"A real Kubernetes control plane, Envoy, ONNX Runtime and training, in {laptop.home.folder}")
    began = time.monotonic()
    with screen.cleared():
        async with asyncio.TaskGroup() as group:
            group.create_task(laptop.up())
            group.create_task(_build(props))
    screen.plain(f"  up after {time.monotonic() - began:.1f} s")
    async with _stage(laptop, screen) as stage:
        try:
            await play(stage, props)
            code = await sum_up(stage)
            screen.plain(f"  logs: {laptop.home.logs}")
            screen.plain("  to keep it running and look around: make demo KEEP=1")
        except DemoError as error:
            await tell_what_was_seen(stage, str(error))
            return 1
        if keep:
            await _stay(stage, laptop)
        return code


async def _build(props: Props) -> None:
    props.built.mkdir(parents=True, exist_ok=True)
    await run_python(props.example / "build.py", "--out", str(props.built))


@contextlib.asynccontextmanager
async def _stage(laptop: Laptop, screen: Screen) -> AsyncIterator[Stage]:
    async with KubeClient(read_kubeconfig(laptop.home.kubeconfig), agent="kingmaker-demo") as api:
        stage = Stage(laptop, api, screen)
        try:
            yield stage
        finally:
            if stage.traffic:
                await asyncio.shield(stage.traffic.stop())


async def play(stage: Stage, props: Props) -> None:
    """Take all the steps; each waits for what it promises.

    Raises:
        DemoError: Something did not happen in time.
    """
    await seat_champion(stage, props)
    await promote_better(stage, props)
    await roll_back_harmful(stage, props)
    await break_unit(stage)
    await retrain_after_shift(stage)
    await retrain_by_labels(stage)
    await label_late(stage)


async def sum_up(stage: Stage) -> int:
    """Show what is left and how the requests fared; 1 when one failed."""
    report = stage.load.report
    screen = stage.screen
    screen.heading("What is left, in the API")
    for kind in ("models", "modeldeployments", "decisions"):
        screen.plain(f"$ kubectl get {kind} -n {NAMESPACE}")
        screen.table(await stage.place.kubectl("get", kind, "-n", NAMESPACE))
    screen.heading(f"{report['sent']:,} requests, {report['failed']} failed, in {stage.seconds:.0f} s")
    screen.plain(f"  latency p50 {report['p50Milliseconds']:g} ms, p99 {report['p99Milliseconds']:g} ms")
    labels = f"{report['labelsPosted']:,} labels posted late, {report['labelsUnmatched']} for no known request"
    screen.plain(f"  {labels}, {sum(report['labelFailures'].values())} failed")
    for reason, count in {**report["failures"], **report["labelFailures"]}.items():
        screen.plain(f"  {count} x {reason}")
    return 1 if report["failed"] else 0


async def _stay(stage: Stage, laptop: Laptop) -> None:
    home = laptop.home
    url = await laptop.url(NAMESPACE, DEPLOYMENT)
    stage.screen.heading("It goes on running, traffic too, until Ctrl-C. In another terminal:")
    stage.screen.plain(f"  export KUBECONFIG={home.kubeconfig}")
    stage.screen.plain(f"  kingmaker kubectl --dir {home.folder} -- get mdep -n {NAMESPACE} -w")
    stage.screen.plain(f"  kingmaker history --dir {home.folder} -n {NAMESPACE} {DEPLOYMENT}")
    stage.screen.plain(f"  curl {url}/v2/models/{DEPLOYMENT}")
    # Here Ctrl-C is the way to end it, not an interruption.
    with contextlib.suppress(asyncio.CancelledError):
        await stage.wait("Ctrl-C", lambda _: False, seconds=float("inf"))


def main(*, folder: Path | None, keep: bool) -> int:
    """Run the demo on stdout and give its exit code."""
    try:
        return asyncio.run(show(Screen(sys.stdout), folder=folder, keep=keep))
    except* DemoError as errors:
        sys.stderr.write(f"kingmaker demo: {errors.exceptions[0]}\n")
    return 1
