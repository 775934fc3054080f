"""Two candidates never both believe that they lead, whatever their clocks show and however long they sleep."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.adapters.election import Candidate, Lease, Terms

TERMS = Terms(15)


def a_lease(holder: str, *, epoch: int = 3, renewed: str = "r1", seconds: int = 15, version: str = "7") -> Lease:
    return Lease(holder, epoch, seconds, "a", renewed, version)


def a_leader(*, sent: float = 100.0) -> Candidate:
    return Candidate("a", TERMS).wrote(a_lease("a"), sent=sent, tick=sent + 1)


def test_the_terms_follow_from_the_duration() -> None:
    assert (TERMS.deadline, TERMS.retry, TERMS.look) == (10, 2, 1)


def test_the_first_candidate_creates_the_lease() -> None:
    assert Candidate("a").saw(None, 5.0).claim(5.0, now="t") == Lease("a", 1, 15, "t", "t")


def test_a_leader_leads_until_its_deadline_from_before_it_asked() -> None:
    assert a_leader(sent=100).holds(109.9)
    assert not a_leader(sent=100).holds(110)


def test_who_stands_by_waits_a_whole_duration_from_when_it_saw_the_renewal() -> None:
    candidate = Candidate("b").saw(a_lease("a"), 50.0)
    assert candidate.saw(a_lease("a", version="8"), 60.0).claim(64.9, now="t") is None
    assert candidate.saw(a_lease("a", renewed="r2"), 60.0).claim(74.9, now="t") is None
    taken = candidate.claim(65.0, now="t")
    assert taken == Lease("b", 4, 15, "t", "t", "7")


def test_what_the_holder_was_promised_counts_not_ones_own_terms() -> None:
    candidate = Candidate("b", Terms(3)).saw(a_lease("a", seconds=30), 0.0)
    assert candidate.claim(29.0, now="t") is None
    assert candidate.claim(30.0, now="t") is not None


def test_a_released_lease_is_free_at_once() -> None:
    released = a_leader().release()
    assert released is not None
    assert released.holder == ""
    assert Candidate("b").saw(released, 5.0).claim(5.0, now="t") == Lease("b", 4, 15, "t", "t", "7")


def test_who_does_not_lead_has_nothing_to_release() -> None:
    assert Candidate("b").saw(a_lease("a"), 0.0).release() is None
    assert a_leader().resigned().release() is None


def test_a_pod_whose_container_started_again_leads_at_once_in_a_new_epoch() -> None:
    claim = Candidate("a").saw(a_lease("a"), 0.0).claim(0.0, now="t")
    assert claim is not None
    assert claim.epoch == 4


def test_a_leader_that_sees_another_one_leads_no_more() -> None:
    assert not a_leader().saw(a_lease("b", epoch=4), 101).holds(101)


def test_a_leader_that_sees_its_own_name_in_another_epoch_leads_no_more() -> None:
    assert not a_leader().saw(a_lease("a", epoch=4), 101).holds(101)


def test_a_renewal_whose_answer_was_lost_is_no_loss_and_no_gain() -> None:
    found = a_leader(sent=100).saw(a_lease("a", renewed="r2", version="9"), 105.0)
    assert found.holds(109.9)
    assert not found.holds(110)
    assert found.claim(106, now="r3") == a_lease("a", renewed="r3", version="9")


def test_a_label_on_the_lease_changes_nothing() -> None:
    found = a_leader(sent=100).saw(a_lease("a", version="8"), 105.0)
    assert found.holds(109.9)
    assert not found.holds(110)


def test_a_leader_whose_lease_was_deleted_leads_no_more() -> None:
    assert not a_leader().saw(None, 101).holds(101)


def test_a_deleted_lease_is_awaited_like_a_silent_holder() -> None:
    candidate = Candidate("b").saw(a_lease("a"), 50.0).saw(None, 55.0)
    assert candidate.claim(64.0, now="t") is None
    assert candidate.claim(65.0, now="t") == Lease("b", 4, 15, "t", "t", "")


def test_who_stands_by_looks_again_when_the_lease_runs_out() -> None:
    candidate = Candidate("b").saw(a_lease("a"), 50.0)
    assert candidate.wait(51.0) == TERMS.look
    assert candidate.wait(64.75) == 0.25
    assert candidate.wait(70.0) == TERMS.look


@dataclass
class Runner:
    """A process of which every step may be late: it read, it sent, its request was carried out, it got the answer."""

    candidate: Candidate
    origin: float
    rate: float
    read: tuple[Lease | None] | None = None
    sent: tuple[float, Lease] | None = None
    answer: tuple[float, Lease | None] | None = None

    def tick(self, now: float) -> float:
        return self.origin + self.rate * now


@dataclass
class Store:
    """The one object, with optimistic locking as the API server does it."""

    lease: Lease | None = None
    version: int = 0
    epochs: list[int] = field(default_factory=list)

    def put(self, lease: Lease) -> Lease | None:
        if lease.version != (self.lease.version if self.lease else ""):
            return None
        self.version += 1
        self.lease = replace(lease, version=str(self.version))
        self.epochs.append(lease.epoch)
        return self.lease


def step(runner: Runner, store: Store, now: float, *, lost: bool) -> None:
    """Take one process one step further; `lost` loses the answer to a write."""
    tick = runner.tick(now)
    if runner.answer:
        sent, written = runner.answer
        runner.answer = None
        if written and not lost:
            runner.candidate = runner.candidate.wrote(written, sent=sent, tick=tick)
    elif runner.sent:
        sent, lease = runner.sent
        runner.sent, runner.answer = None, (sent, store.put(lease))
    elif runner.read:
        runner.candidate = runner.candidate.saw(runner.read[0], tick)
        runner.read = None
        claim = runner.candidate.claim(tick, now=f"{runner.candidate.identity} {now}")
        runner.sent = (tick, claim) if claim else None
    else:
        runner.read = (store.lease,)


# Who, after how many tenths of a second, how many steps in a row, whether an answer is lost, whether it shall end.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 20) | st.integers(20, 120),
        st.sampled_from((4, 4, 4, 4, 1, 2, 3)),
        st.sampled_from((False, False, False, True)),
        st.integers(0, 30),
    ),
    min_size=8,
    max_size=60,
)
CLOCKS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.9, 1.1)), min_size=3, max_size=3)


@settings(max_examples=500, deadline=None)
@given(clocks=CLOCKS, steps=STEPS)
def test_never_two_lead(clocks: list[tuple[float, float]], steps: list[tuple[int, int, int, bool, int]]) -> None:
    store, now = Store(), 0.0
    runners = [Runner(Candidate(name, TERMS), origin, rate) for name, (origin, rate) in zip("abc", clocks, strict=True)]
    for who, pause, count, lost, chance in steps:
        now += pause / 10
        runner = runners[who]
        if chance == 0 and runner.candidate.holds(runner.tick(now)) and not runner.sent and not runner.answer:
            # SIGTERM: it ends its work, gives the lease back and is started anew.
            released = runner.candidate.release()
            runner.candidate = Candidate(runner.candidate.identity, TERMS)
            if released:
                store.put(released)
        for _ in range(count):
            step(runner, store, now, lost=lost)
        leading = [r for r in runners if r.candidate.holds(r.tick(now))]
        assert len(leading) <= 1
    assert store.epochs == sorted(store.epochs)


@settings(deadline=None)
@given(clocks=CLOCKS)
def test_somebody_leads_soon_after_a_leader_fell_silent(clocks: list[tuple[float, float]]) -> None:
    store = Store(a_lease("dead", version="0"))
    runners = [Runner(Candidate(name, TERMS), origin, rate) for name, (origin, rate) in zip("abc", clocks, strict=True)]
    now = 0.0
    while not any(r.candidate.holds(r.tick(now)) for r in runners):
        now += 0.1
        assert now < TERMS.lease_seconds / 0.9 + TERMS.look
        for runner in runners:
            step(runner, store, now, lost=False)
