"""Slots of a pod's time: squares of what fell into each, whoever looks how often."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.counts.bursts import NO_BURSTS, SLOT_SECONDS, Bursts, News, fill, slot_at
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker.core.counts.process import Arm, DecisionCounts, ProcessCounts, Shadow
from kingmaker.core.counts.storage import dump_ledger, load_ledger

LATENCY = 22
news = st.builds(
    News,
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.integers(0, 9), min_size=LATENCY, max_size=LATENCY).map(tuple),
    st.dictionaries(st.sampled_from("bc"), st.integers(1, 9), max_size=2),
)


def filled(looks: list[News], indices: list[int | None]) -> Bursts:
    slot, sums = None, NO_BURSTS
    for look, index in zip(looks, indices, strict=True):
        slot, grown = fill(slot, look, index)
        sums += grown
    return sums


@given(st.lists(news, min_size=1, max_size=6))
def test_however_often_is_looked_a_slot_is_one(looks: list[News]) -> None:
    whole = News(
        sum(n.requests for n in looks),
        sum(n.errors for n in looks),
        tuple(map(sum, zip(*(n.latency for n in looks), strict=True))),
        {c: sum(n.failures.get(c, 0) for n in looks) for c in "bc" if any(c in n.failures for n in looks)},
    )
    found = filled(looks, [7] * len(looks))
    assert found == filled([whole], [7])
    assert found.errors == whole.errors**2
    assert found.slots == (whole.requests > 0)
    assert [found.slower_than(i) for i in range(LATENCY)] == [sum(whole.latency[i + 1 :]) ** 2 for i in range(LATENCY)]


@given(st.lists(news, min_size=2, max_size=6))
def test_slots_add_up(looks: list[News]) -> None:
    apart = filled(looks, list(range(len(looks))))
    assert apart == filled(looks, [None] * len(looks)), "without a time each look is a slot of its own"
    one, other = filled(looks[:1], [0]), filled(looks[1:], list(range(1, len(looks))))
    assert apart == one + other == other + one


def test_slots_have_a_length() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    numbers = [slot_at(start + timedelta(seconds=s)) for s in (0, SLOT_SECONDS - 1, SLOT_SECONDS)]
    assert numbers[0] == numbers[1] == numbers[2] - 1


def a_pod(uid: str, errors: int, *, answered: int = 100, start: str = "1") -> ProcessCounts:
    counts = DecisionCounts(Arm(answered, errors), {"c": Shadow(failures=errors)})
    return ProcessCounts(uid, "a", "sha256:" + "a" * 64, "", start, {3: counts})


def look(ledger: Ledger, *pods: ProcessCounts, slot: int) -> Ledger:
    wanted = {"sha256:" + "a" * 64: {3}}
    uids = frozenset(pod.pod_uid for pod in pods)
    return fold(ledger, pods, pods=uids, wanted=wanted, watched=None, slot=slot).ledger


def bursts(ledger: Ledger) -> Bursts:
    return ledger.totals["sha256:" + "a" * 64][3].bursts


def test_pods_restarts_and_stored_ledgers_count_each_failure_once() -> None:
    ledger = look(Ledger(), a_pod("p", 2), a_pod("q", 1), slot=1)
    ledger = load_ledger(dump_ledger(ledger))
    ledger = look(ledger, a_pod("p", 5), a_pod("q", 1), slot=1)
    ledger = look(ledger, a_pod("p", 7), a_pod("q", 1, answered=200), slot=2)
    assert (bursts(ledger).errors, bursts(ledger).slots) == (5**2 + 1**2 + 2**2, 4)
    assert bursts(ledger).failures == {"c": 30}
    restarted = look(ledger, a_pod("p", 3, start="2"), a_pod("q", 1, answered=200), slot=2)
    assert bursts(restarted).errors == 30 + 3**2
    assert look(restarted, a_pod("p", 3, start="2"), a_pod("q", 1, answered=200), slot=9).totals == restarted.totals
