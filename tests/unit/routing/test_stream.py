"""A router never has a route to nowhere, and what is called acknowledged is what it does. Against a model of Envoy."""

from collections import deque
from dataclasses import dataclass, field
from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kingmaker.routing.snapshot import CDS, EDS, LDS, RDS, Backend, Endpoint, Resources, Route, Snapshot, build_snapshot
from kingmaker.routing.stream import Push, Stream

ADDRESS = "10.1.2.3"


HOSTS = (("10.0.0.1",), ("10.0.0.2",), ("10.0.0.1", "10.0.0.2"))

# Deployment, decision, sticky; model, weight, hosts.
Shape = tuple[tuple[str, int, bool, tuple[tuple[str, int, tuple[str, ...]], ...]], ...]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    made = []
    for deployment in draw(st.lists(st.sampled_from(["churn", "fraud"]), unique=True)):
        models = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
        weight = draw(st.sampled_from([0, 5, 100])) if len(models) > 1 else 100
        weights = [weight, 100 - weight, 0][: len(models)]
        backends = tuple((m, w, draw(st.sampled_from(HOSTS))) for m, w in zip(models, weights, strict=True))
        made.append((deployment, draw(st.integers(1, 2)), draw(st.booleans()), backends))
    return tuple(made)


@cache
def snapshot_of(shape: Shape) -> Snapshot:
    return build_snapshot(
        Route(
            "team",
            deployment,
            decision,
            None,
            tuple(Backend(m, w, tuple(Endpoint(h) for h in hosts)) for m, w, hosts in backends),
            "x-id" if sticky else None,
        )
        for deployment, decision, sticky, backends in shape
    )


@dataclass
class Envoy:
    """What Envoy has, and how it answers.

    The types of which it has something to say wait in `outbox`. What it says is made up only when it can be sent, so
    one request may answer several responses.
    """

    clusters: set[str] = field(default_factory=set)
    assignments: dict[str, bytes] = field(default_factory=dict)
    table: Snapshot | None = None
    listens: bool = False
    held: dict[str, Resources] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    outbox: deque[str] = field(default_factory=deque)

    def names(self, url: str) -> frozenset[str]:
        return frozenset(self.clusters) if url == EDS else frozenset(["requests"] if url == RDS else [])

    def ask(self, url: str) -> None:
        if url not in self.outbox:
            self.outbox.append(url)

    def tell(self, stream: Stream) -> None:
        """Send the next request."""
        url = self.outbox.popleft()
        version = self.held[url].version if url in self.held else ""
        stream.receive(
            url,
            version=version,
            nonce=self.nonces.get(url, ""),
            names=self.names(url),
            error=self.errors.pop(url, None),
        )

    def connect(self) -> None:
        """Ask for everything again, as Envoy does on a new stream."""
        self.outbox.clear()
        self.nonces.clear()
        self.errors.clear()
        self.ask(CDS)
        if self.clusters:
            self.ask(EDS)
        if CDS in self.held:
            self.ask(LDS)
        if self.listens:
            self.ask(RDS)

    def take(self, push: Push, table: Snapshot, *, refuse: bool) -> None:
        """Work off a response."""
        url = push.type_url
        self.nonces[url] = push.nonce
        if refuse:
            self.errors[url] = "refused by this test"
            self.ask(url)
            return
        first = url not in self.held
        self.held[url] = push.resources
        before = frozenset(self.clusters)
        if url == CDS:
            self.clusters = set(push.resources.items)
            # A cluster that is new takes no requests before it is told its endpoints.
            self.assignments = {n: a for n, a in self.assignments.items() if n in before & self.clusters}
        elif url == EDS:
            self.assignments |= {n: a for n, a in push.resources.items.items() if n in self.clusters}
        elif url == LDS:
            self.listens = True
        else:
            self.table = table
        self.ask(url)
        if url == CDS and self.clusters != before:
            self.ask(EDS)
        if url == CDS and first:
            self.ask(LDS)
        if url == LDS and first:
            self.ask(RDS)


class Routing(RuleBasedStateMachine):
    """Any order of new snapshots, deliveries, refusals and operator restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.envoy = Envoy()
        self.inbox: deque[tuple[Push, Snapshot]] = deque()
        self.stream = Stream(ADDRESS)
        self.target: Snapshot | None = None
        self.envoy.connect()

    @rule(shape=shapes())
    def decide(self, shape: Shape) -> None:
        self.target = snapshot_of(shape)
        self.stream.retarget(self.target)
        self.write()

    @rule()
    def restart_the_operator(self) -> None:
        self.inbox.clear()
        self.stream = Stream(ADDRESS)
        self.envoy.connect()
        # All of the first requests arrive at once.
        while self.envoy.outbox:
            self.envoy.tell(self.stream)
        self.stream.stop_waiting()
        self.target = None

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def deliver_a_request(self) -> None:
        self.envoy.tell(self.stream)
        self.write()

    @precondition(lambda self: self.inbox)
    @rule(refuse=st.sampled_from([False, False, False, True]))
    def deliver_a_response(self, refuse: bool) -> None:
        push, snapshot = self.inbox.popleft()
        self.envoy.take(push, snapshot, refuse=refuse)

    def write(self) -> None:
        for push in self.stream.next_pushes():
            assert self.target is not None
            self.inbox.append((push, self.target))

    @invariant()
    def routes_lead_to_clusters_that_take_requests(self) -> None:
        if self.envoy.table:
            needed = set(self.envoy.table.clusters.items)
            assert needed <= self.envoy.clusters
            assert needed <= self.envoy.assignments.keys()

    @invariant()
    def what_is_acknowledged_is_so(self) -> None:
        for name, known in self.stream.acknowledged().items():
            assert self.envoy.table
            route = self.envoy.table.routes[name]
            assert (route.decision, {b.model: b.weight for b in route.backends}) == (known.decision, known.weights)
            for model, endpoints in known.endpoints.items():
                cluster = f"{name}/{model}{'/sticky' if route.affinity_header else ''}"
                told = self.envoy.assignments[cluster]
                assert all(e.address.encode() in told for e in endpoints)
                assert told.count(b"10.0.0.") == len(endpoints)

    def teardown(self) -> None:
        """When nothing changes and nothing is refused any more, the router ends up with what was decided."""
        if self.target is None:
            return
        last: Shape = (("last", 9, False, (("a", 100, ("10.0.0.3",)),)),)
        self.decide(last)
        for _ in (CDS, EDS, LDS, RDS):
            self.settle()
            self.stream.insist()
            self.write()
        self.settle()
        assert self.envoy.table == snapshot_of(last)
        assert self.envoy.clusters == {"last/a"}
        known = self.stream.acknowledged()["last"]
        assert (known.decision, known.weights) == (9, {"a": 100})
        assert known.endpoints == {"a": frozenset({Endpoint("10.0.0.3")})}
        assert self.stream.error is None

    @rule()
    def settle(self) -> None:
        """Deliver everything: without this, states with a table would be seldom reached."""
        while self.inbox or self.envoy.outbox:
            if self.inbox:
                self.deliver_a_response(refuse=False)
            else:
                self.deliver_a_request()
            self.routes_lead_to_clusters_that_take_requests()
            self.what_is_acknowledged_is_so()


TestRouting = Routing.TestCase
TestRouting.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_unknown_types_are_ignored() -> None:
    assert not Stream(ADDRESS).receive("type.googleapis.com/other", version="", nonce="", names=frozenset(), error=None)
