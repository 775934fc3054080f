"""When pods are asked, and what is remembered between two looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.counts.storage import dump_ledger
from kingmaker.core.state import Champion, Contest, State
from kingmaker.counting import Counting, Look, read_ledger
from kingmaker.ports import Key, PodAddress
from support.world import RULES, a_model, digest

START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = replace(RULES, evaluation=timedelta(seconds=30), contest_evaluation=timedelta(seconds=1))
CHAMPION = State(champion=Champion("a", digest("a"), START))
CONTEST = replace(CHAMPION, contests=(Contest("", "c", digest("c"), START),))
KEY, OTHER = Key("ModelDeployment", "ns", "churn"), Key("ModelDeployment", "ns", "other")
POD = {
    "metadata": {"uid": "uid-1", "name": "pod-1", "labels": {"kingmaker.dev/model": "a"}},
    "status": {"podIP": "10.0.0.1"},
}


def a_champion(baseline: str) -> dict[str, Any]:
    return {"a": a_model("a", "a", baseline={"uri": "file:///b.json", "digest": digest(baseline)})}


@dataclass
class Pods:
    """Pods that answer, and give each baseline that they are asked for."""

    scrapes: list[frozenset[str]] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    have_documents: bool = True

    async def scrape(self, pods: Iterable[PodAddress], baselines: Mapping[str, Baseline]) -> list[ProcessCounts]:
        self.scrapes.append(frozenset(baselines))
        return [ProcessCounts(pod.uid, "a", digest("a"), "", "1.000") for pod in pods]

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        self.documents.append(digest)
        return Baseline(digest, 1, ()) if self.have_documents else None


@dataclass
class Clock:
    time: datetime = START

    def now(self) -> datetime:
        return self.time


class Onlooker:
    def __init__(self) -> None:
        self.pods, self.clock = Pods(), Clock()
        self.counting = Counting(self.pods, self.clock, RULE.time_between_looks)

    async def look(
        self, seconds: float = 0, *, state: State = CHAMPION, key: Key = KEY, uid: str = "uid", baseline: str = "b",
        stored: Mapping[str, Any] | None = None,
    ) -> Look:  # fmt: skip
        self.clock.time += timedelta(seconds=seconds)
        return await self.counting.look(key, uid, state, a_champion(baseline), [POD], stored)


def a_config_map(ledger: Ledger) -> dict[str, Any]:
    return {"data": {"ledger.json": dump_ledger(ledger)}}


async def test_pods_are_asked_once_per_evaluation() -> None:
    onlooker = Onlooker()
    await onlooker.look()
    looks = [await onlooker.look(seconds) for seconds in (30, 1, 25, 3)]
    assert [look.scraped for look in looks] == [True, False, False, True]
    assert [len(look.profiles) for look in looks] == [1, 0, 0, 1]
    assert looks[2].scraped_at == START + timedelta(seconds=30), "so that the next look is asked for in time"


async def test_deployments_that_began_together_are_not_asked_together() -> None:
    onlooker = Onlooker()
    keys = [Key("ModelDeployment", "ns", f"churn-{n}") for n in range(20)]
    asked = [0] * 31
    for second in range(31):
        for key in keys:
            asked[second] += (await onlooker.look(key=key)).scraped
        onlooker.clock.time += timedelta(seconds=1)
    assert sum(asked) >= len(keys)
    assert max(asked) <= 5


async def test_pods_in_a_contest_are_asked_every_second() -> None:
    onlooker = Onlooker()
    await onlooker.look(state=CONTEST)
    looks = [await onlooker.look(seconds, state=CONTEST) for seconds in (1, 1, 0.5, 0.5, 1)]
    assert [look.scraped for look in looks] == [True, True, False, True, True]
    assert (await onlooker.look(5)).scraped is False, "the contest ended"


async def test_the_champions_baseline_is_read_once_and_known_to_the_first_scrape() -> None:
    onlooker = Onlooker()
    await onlooker.look()
    for _ in range(2):
        assert (await onlooker.look(31)).baselines.keys() == {digest("b")}
    assert onlooker.pods.documents == [digest("b")]
    assert set(onlooker.pods.scrapes) == {frozenset({digest("b")})}


async def test_a_baseline_that_no_pod_gives_is_not_waited_for_at_every_look() -> None:
    onlooker = Onlooker()
    onlooker.pods.have_documents = False
    await onlooker.look(state=CONTEST)
    looks = [await onlooker.look(1, state=CONTEST) for _ in range(12)]
    assert (sum(look.scraped for look in looks), len(onlooker.pods.documents)) == (12, 1)
    onlooker.pods.have_documents = True
    assert (await onlooker.look(15, state=CONTEST)).baselines


async def test_baselines_that_no_champion_has_are_forgotten() -> None:
    onlooker = Onlooker()
    for seconds in (0, 31):
        await onlooker.look(seconds)
        await onlooker.look(key=OTHER)
    await onlooker.look(31, baseline="c")
    assert onlooker.counting._baselines.keys() == {digest("b"), digest("c")}, "the other deployment has it still"
    onlooker.counting.forget(OTHER)
    assert onlooker.counting._baselines.keys() == {digest("c")}
    onlooker.counting.forget(KEY)
    assert onlooker.counting._baselines == {}


async def test_after_a_start_the_stored_ledger_goes_on_and_then_the_one_in_memory() -> None:
    onlooker = Onlooker()
    stored = a_config_map(Ledger(stored=START))
    assert (await onlooker.look(stored=stored)).ledger == Ledger(stored=START)
    newer = Ledger(stored=START, unsaved=True)
    onlooker.counting.remember(KEY, newer)
    assert (await onlooker.look(31, stored=stored)).ledger is newer


async def test_another_deployment_of_the_same_name_begins_anew() -> None:
    onlooker = Onlooker()
    await onlooker.look()
    onlooker.counting.remember(KEY, Ledger(stored=START))
    assert (await onlooker.look(1, uid="another")).ledger == Ledger()


async def test_a_ledger_that_somebody_deleted_is_stored_again() -> None:
    onlooker = Onlooker()
    await onlooker.look(stored=a_config_map(Ledger(stored=START)))
    again = (await onlooker.look(1)).ledger
    assert (again.stored, again.unsaved) == (None, True)


async def test_a_ledger_that_can_not_be_read_does_not_stop_the_deployment() -> None:
    assert read_ledger({"data": {"ledger.json": '{"totals": 3}'}}) == Ledger()
    assert (await Onlooker().look(stored={"data": {"ledger.json": "}"}})).ledger == Ledger()


async def test_who_only_looks_asks_nobody() -> None:
    pods = Pods()
    counting = Counting(pods, Clock(), None)
    look = await counting.look(KEY, "uid", CHAMPION, a_champion("b"), [POD], None)
    assert (look.scraped, pods.scrapes, pods.documents) == (False, [], [])
