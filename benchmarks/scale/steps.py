"""The steps, each a function from a site to figures. Definitions: README.md."""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from benchmarks.common.figures import Figure, percentile
from benchmarks.common.progress import say
from benchmarks.scale.figures import figure
from benchmarks.scale.site import POLL, READS, WRITES, Requests, Site, at_once, spent, until, watching
from benchmarks.scale.system import REPLICAS, Document, Seat
from support.processes import cpu_seconds, memory_mebibytes

_READY_SECONDS: Final = 1800
_EDIT_PAUSE: Final = 0.2
_HARM_PAUSE: Final = 0.37
"""Not a divisor of any interval, so that harm falls on every moment between two looks."""
_ERRORS: Final = 500
_WEIGHT: Final = 50


@dataclass(frozen=True, slots=True)
class Ready:
    """How all seats became ready: seconds, everybody's CPU seconds, and what the controller asked of the API server."""

    seconds: float
    cpu: dict[str, float]
    requests: Counter[tuple[str, str]]

    def per_seat(self, verbs: frozenset[str], seats: int) -> dict[str, float]:
        """Give requests per seat by verb and resource, many first."""
        found = {f"{v} {r}": n / seats for (v, r), n in self.requests.most_common() if v in verbs}
        return {what: round(count, 2) for what, count in found.items()}


async def become_ready(site: Site) -> Ready:
    """Create all seats and wait until each says that it is ready for requests."""
    ready: dict[tuple[str, str], float] = {}
    while not await site.running.is_up():
        site.running.check()
        await asyncio.sleep(POLL)
    site.requests.new()
    cpu = site.cpu()

    def on_change(body: Document, gone: bool) -> None:
        if not gone and site.system.is_ready(body):
            ready.setdefault((body["metadata"]["namespace"], body["metadata"]["name"]), time.monotonic())

    async with watching(site.client, site.system.deployments, on_change):
        began = time.monotonic()
        await site.create(parent for seat in site.seats for parent in site.system.parents(seat))
        say(f"  created after {time.monotonic() - began:.1f} s")
        total = len(site.seats)
        await until(lambda: len(ready) == total, site, lambda: f"{len(ready)} of {total} ready", seconds=_READY_SECONDS)
    took = max(ready.values()) - began
    found = Ready(took, spent(cpu, site.cpu()), site.requests.new())
    writes = sum(count for (verb, _), count in found.requests.items() if verb in WRITES)
    say(f"  all ready after {took:.1f} s, {writes / total:.1f} writes each, CPU {found.cpu}")
    return found


async def rest(site: Site) -> None:
    """Wait until the controller has written nothing for longer than it takes to look at every deployment once more."""
    say("waiting until nothing is written any more")
    quiet = site.system.interval + 5
    end, since = time.monotonic() + 600, time.monotonic()
    site.requests.new()
    while time.monotonic() - since < quiet:
        if time.monotonic() > end:
            raise TimeoutError("the controller goes on writing though nothing changes")
        await asyncio.sleep(0.5)
        if _count(site.requests, WRITES):
            since = time.monotonic()


def _count(requests: Requests, verbs: frozenset[str]) -> int:
    return sum(count for (verb, _), count in requests.new().items() if verb in verbs)


@dataclass
class _Seen:
    """When a watch told of a deployment's new specification and of its child's: monotonic seconds by generation."""

    edits: dict[tuple[str, str, int], float] = field(default_factory=dict)
    children: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _generations: dict[str, int] = field(default_factory=dict)

    def on_edit(self, body: Document, gone: bool) -> None:
        """Note a deployment; status alone changes no generation."""
        del gone
        meta = body["metadata"]
        self.edits.setdefault((meta["namespace"], meta["name"], meta["generation"]), time.monotonic())

    def note_child(self, seat: str, body: Document, gone: bool) -> None:
        """Note a child whose specification was written."""
        meta = body["metadata"]
        if not gone and self._generations.get(meta["uid"]) != meta["generation"]:
            self._generations[meta["uid"]] = meta["generation"]
            self.children.setdefault((meta["namespace"], seat), []).append(time.monotonic())


async def edit(site: Site, *, edits: int) -> list[Figure]:
    """Change the number of pods of one seat after the other; time from the edit's watch event to its child's."""
    say(f"editing {edits} deployments")
    seen, system = _Seen(), site.system
    async with (
        watching(site.client, system.deployments, seen.on_edit),
        watching(site.client, system.child, lambda body, gone: seen.note_child(system.parent_of(body), body, gone)),
    ):
        took = [await _edit_one(site, seen, seat) for seat in itertools.islice(_spread(site.seats), edits)]
    for seat in itertools.islice(_spread(site.seats), edits):
        await site.patch(seat, system.edit(REPLICAS))
    milliseconds = [one * 1000 for one in took]
    return [
        figure(f"edit → child's write, p{p}", percentile(milliseconds, p), all=_rounded(milliseconds)) for p in (50, 99)
    ]


async def _edit_one(site: Site, seen: _Seen, seat: Seat) -> float:
    where = (seat.namespace, seat.name)
    before = len(seen.children.get(where, ()))
    known = {key for key in seen.edits if key[:2] == where}
    await site.patch(seat, site.system.edit(REPLICAS + 1))
    await until(lambda: len(seen.children.get(where, ())) > before, site, lambda: f"{seat}: no write", seconds=60)
    (edited,) = {key for key in seen.edits if key[:2] == where} - known
    await asyncio.sleep(_EDIT_PAUSE)
    return seen.children[where][before] - seen.edits[edited]


def _spread(seats: list[Seat]) -> list[Seat]:
    """Order seats so that neighbours are far apart."""
    stride = next(n for n in range(len(seats) * 5 // 8, len(seats) + 2) if _coprime(n, len(seats)))
    return [seats[i * stride % len(seats)] for i in range(len(seats))]


def _coprime(one: int, other: int) -> bool:
    while other:
        one, other = other, one % other
    return one == 1


async def harm(site: Site, *, contests: int) -> list[Figure]:
    """Let one pod of each challenger fail; time from there until no router sends it requests any more."""
    chosen = list(itertools.islice(_spread(site.seats), contests))
    versions = await challenge(site, chosen, _WEIGHT)
    await site.node.traffic(20, [(seat.namespace, seat.name) for seat in chosen])
    await asyncio.sleep(5)
    say(f"harming {contests} challengers")
    harmed = []
    for seat in chosen:
        where = (seat.namespace, seat.name)
        at = await site.node.harm(where, versions[seat], _ERRORS)
        harmed.append((at, await site.node.expect(where, versions[seat], 0)))
        await asyncio.sleep(_HARM_PAUSE)
    seconds = [await site.node.met(number, seconds=120) - at for at, number in harmed]
    await site.node.traffic(0)
    listed = [round(s, 2) for s in seconds]
    return [figure(f"harm → weight 0 at every router, p{p}", percentile(seconds, p), all=listed) for p in (50, 99)]


async def challenge(site: Site, chosen: list[Seat], weight: int, *, fixed: bool = False) -> dict[Seat, str]:
    """Have a second version of each seat answer a share of its requests; return when every router does so."""
    say(f"starting {len(chosen)} contests")
    plans = {seat: site.system.challenge(seat, weight, fixed=fixed) for seat in chosen}
    await site.create(parent for _, parents, _ in plans.values() for parent in parents)
    await at_once(lambda seat: site.patch(seat, plans[seat][2]), chosen)
    expected = [await site.node.expect((s.namespace, s.name), plans[s][0], weight) for s in chosen]
    for number in expected:
        await site.node.met(number, seconds=300)
    return {seat: version for seat, (version, _, _) in plans.items()}


async def kill(site: Site) -> list[Figure]:
    """Kill the controller and start it again; time until it has reconciled every seat, and what it wrote by then."""
    say("killing the controller")
    site.requests.new()
    controller = await site.restart()
    total, end = len(site.seats), time.monotonic() + 600
    while await controller.gone_through() < total:
        controller.check()
        if time.monotonic() > end:
            raise TimeoutError("the new controller does not reconcile every deployment")
        # Not oftener: it is the controller that has to say so, of a thousand.
        await asyncio.sleep(0.25)
    took = time.monotonic() - controller.started
    requests = site.requests.new()
    writes = {f"{v} {r}": n for (v, r), n in requests.items() if v in WRITES}
    return [
        figure("kill → all gone through", took, cpu=cpu_seconds(controller.pid)),
        figure("kill: writes", sum(writes.values()), of=writes),
    ]


async def idle(site: Site, *, seconds: float = 60) -> list[Figure]:
    """Do nothing for a while; the figures are for 60 s of it."""
    say(f"idle for {seconds:.0f} s")
    site.requests.new()
    cpu = cpu_seconds(site.running.pid)
    await asyncio.sleep(seconds)
    cpu = cpu_seconds(site.running.pid) - cpu
    requests = site.requests.new()
    of = {f"{v} {r}": n for (v, r), n in requests.items()}
    writes, reads = (sum(n for (v, _), n in requests.items() if v in verbs) for verbs in (WRITES, READS))
    scale = 60 / seconds
    return [
        figure("idle 60 s: writes", writes * scale, of=of),
        figure("idle 60 s: reads", reads * scale, of=of),
        figure("idle 60 s: CPU", cpu * scale),
    ]


async def traffic(site: Site, *, seconds: float) -> list[Figure]:
    """Let every pod count requests; the first interval, in which all counts are new, is left out."""
    say(f"traffic at every deployment for {seconds:.0f} s")
    await site.node.traffic(5)
    await asyncio.sleep(site.system.interval + 5)
    site.requests.new()
    pid, memory = site.running.pid, 0.0
    began, cpu, written = time.monotonic(), cpu_seconds(pid), await site.written_bytes()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(1)
        memory = max(memory, memory_mebibytes(pid))
    took = time.monotonic() - began
    cores, bytes_ = (cpu_seconds(pid) - cpu) / took, (await site.written_bytes() - written) / took
    of = {f"{v} {r}": n for (v, r), n in site.requests.new().items()}
    await site.node.traffic(0)
    return [
        figure("traffic: CPU", cores, seconds=took),
        figure("traffic: written", bytes_ / 1024, of=of),
        figure("traffic: RSS", memory, highest=memory_mebibytes(pid, "VmHWM")),
    ]


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of a route: milliseconds from its record, and from the edit, until every router had it; bytes each."""

    since_record: float
    since_edit: float
    pushed: list[int]


async def route(site: Site, *, changes: int) -> list[Figure]:
    """Change the weight of one deployment of the namespace; time from its record until every router has it."""
    seat = site.seats[len(site.seats) // 2]
    version = (await challenge(site, [seat], 10, fixed=True))[seat]
    say(f"changing one route {changes} times")
    share = max(await site.node.configuration_bytes(seat.namespace)) / len(site.seats)
    records: list[float] = []

    def on_record(body: Document, gone: bool) -> None:
        if not gone and site.system.record_of(body) == (seat.namespace, seat.name):
            records.append(time.monotonic())

    made: list[_Change] = []
    async with watching(site.client, site.system.records, on_record):
        for number in range(changes):
            made.append(await _change_route(site, seat, version, 11 + number % 80, records))
            await asyncio.sleep(_EDIT_PAUSE)
    pushed = [float(each) for change in made for each in change.pushed]
    took, whole = [c.since_record for c in made], [c.since_edit for c in made]
    return [
        figure("route → acknowledged", percentile(took, 50), all=_rounded(took), from_edit=_rounded(whole)),
        figure("route: pushed per router", percentile(pushed, 50) / share, bytes=pushed, share=round(share)),
    ]


async def _change_route(site: Site, seat: Seat, version: str, weight: int, records: list[float]) -> _Change:
    before, known = await site.node.received_bytes(seat.namespace), len(records)
    where = (seat.namespace, seat.name)
    number = await site.node.expect(where, version, weight)
    _, _, patch = site.system.challenge(seat, weight, fixed=True)
    began = time.monotonic()
    await site.patch(seat, patch)
    met = await site.node.met(number, seconds=60)
    await until(lambda: len(records) > known, site, lambda: f"{seat}: no record", seconds=60)
    after = await site.node.received_bytes(seat.namespace)
    pushed = [new - old for old, new in zip(before, after, strict=True)]
    return _Change((met - records[known]) * 1000, (met - began) * 1000, pushed)


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 1) for value in values]
