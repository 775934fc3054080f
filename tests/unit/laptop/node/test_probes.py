import asyncio
import contextlib
from collections.abc import Iterator

from kingmaker_laptop.node.checks import Outcome
from kingmaker_laptop.node.podspec import Container
from kingmaker_laptop.node.probes import ContainerProbes, Tally, count
from kingmaker_laptop.node.probespec import Check, Probe, TcpConnect

CHECK = TcpConnect(1)


def test_thresholds_count_outcomes_in_a_row() -> None:
    probe = Probe(CHECK, failure_threshold=3, success_threshold=2)
    tally = Tally(holds=True)
    for outcome in (False, False, True, False, False):
        tally = count(tally, outcome, probe)
        assert tally.holds
    tally = count(tally, False, probe)
    assert tally == Tally(holds=False)
    tally = count(tally, True, probe)
    assert not tally.holds
    assert count(tally, True, probe) == Tally(holds=True)


def probes_of(container: Container, outcomes: Iterator[bool], changed: asyncio.Event) -> ContainerProbes:
    async def ask(_: Check, __: float) -> Outcome:
        return Outcome(next(outcomes), "no")

    return ContainerProbes(container, ask=ask, on_change=changed.set, on_failure=lambda _: None)


async def test_startup_holds_the_other_probes_back() -> None:
    probe = Probe(CHECK, period=1)
    container = Container("c", "i", startup=probe, readiness=probe)
    changed = asyncio.Event()
    probes = probes_of(container, iter([False, True, True]), changed)
    assert (probes.is_started, probes.is_ready) == (False, False)
    task = asyncio.create_task(probes.run())
    await asyncio.wait_for(changed.wait(), 5)
    assert probes.is_started
    changed.clear()
    if not probes.is_ready:
        await asyncio.wait_for(changed.wait(), 5)
    assert probes.is_ready
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_liveness_failures_doom_the_container() -> None:
    container = Container("c", "i", liveness=Probe(CHECK, period=0, failure_threshold=2, grace=7))
    changed = asyncio.Event()
    probes = probes_of(container, iter([False, True, False, False]), changed)
    await asyncio.wait_for(probes.run(), 5)
    assert probes.kill_reason is not None
    assert probes.kill_reason.grace == 7
    assert "liveness" in probes.kill_reason.message


def test_without_probes_running_is_ready() -> None:
    probes = probes_of(Container("c", "i"), iter([]), asyncio.Event())
    assert (probes.is_started, probes.is_ready, probes.has_work) == (True, True, False)
