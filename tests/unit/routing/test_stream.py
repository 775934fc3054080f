"""A router never has a route to nowhere, and what is called acknowledged is what it does. Against a model of Envoy."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kingmaker.core.plan import Backend, RoutePlan
from kingmaker.routing.channel import Request
from kingmaker.routing.clusters import all_clusters, cluster_names
from kingmaker.routing.resources import CDS, EDS, LDS, RDS, SRDS, Resource
from kingmaker.routing.stream import Push, Stream
from kingmaker.routing.target import Change, Target

ADDRESS = "10.1.2.3"
HOSTS = (("10.0.0.1",), ("10.0.0.2",), ("10.0.0.1", "10.0.0.2"))
NAMES = ("churn", "fraud")

Routes = dict[str, RoutePlan]


@st.composite
def plans(draw: st.DrawFn) -> Routes:
    made = {}
    for deployment in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        models = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
        weight = draw(st.sampled_from([0, 5, 100])) if len(models) > 1 else 100
        weights = [weight, 100 - weight, 0][: len(models)]
        backends = tuple(Backend(m, w, draw(st.sampled_from(HOSTS))) for m, w in zip(models, weights, strict=True))
        # Both may claim one address.
        ip = draw(st.sampled_from([None, "10.9.0.1"]))
        sticky = "x-id" if draw(st.booleans()) else None
        made[deployment] = RoutePlan(draw(st.integers(1, 2)), backends, ip, sticky)
    return made


@dataclass
class Envoy:
    """What Envoy has, and how it answers.

    The types of which it has something to say wait in `outbox`. An answer also carries what it wants by then, so a name
    may be asked for before earlier responses with it are answered.
    """

    clusters: set[str] = field(default_factory=set)
    assignments: dict[str, Resource] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Resource] = field(default_factory=dict)
    listens: bool = False
    versions: dict[str, dict[str, str]] = field(default_factory=lambda: {u: {} for u in (CDS, EDS, LDS, SRDS, RDS)})
    asked: dict[str, set[str]] = field(default_factory=dict)
    again: dict[str, set[str]] = field(default_factory=lambda: {EDS: set(), RDS: set()})
    answers: dict[str, deque[tuple[str, str | None]]] = field(default_factory=dict)
    outbox: deque[str] = field(default_factory=deque)

    def names(self, url: str) -> set[str]:
        return {EDS: self.clusters, RDS: set(self.scopes.values())}.get(url, set())

    def tell(self, stream: Stream) -> None:
        """Send the next request."""
        url = self.outbox.popleft()
        first, asked, wanted = url not in self.asked, self.asked.get(url, set()), self.names(url)
        nonce, error = self.answers[url].popleft() if self.answers.get(url) else ("", None)
        versions = {n: v for n, v in self.versions[url].items() if not wanted or n in wanted} if first else {}
        subscribe = frozenset((wanted - asked) | (self.again.get(url, set()) & wanted))
        self.asked[url] = set(wanted)
        if url in self.again:
            self.again[url].clear()
        stream.receive(url, Request(subscribe, frozenset(asked - wanted), versions, nonce, error))

    def connect(self) -> None:
        """Ask for everything again, as Envoy does on a new stream."""
        self.asked.clear()
        self.answers.clear()
        self.outbox.clear()
        for url, wanted in ((CDS, True), (EDS, self.clusters), (LDS, True), (SRDS, self.listens), (RDS, self.scopes)):
            if wanted:
                self.outbox.append(url)

    def take(self, push: Push, *, refuse: bool) -> None:
        """Work off a response. Of several resources that Envoy refuses together, it takes some all the same."""
        url, resources, removed = push.type_url, push.response.resources, push.response.removed
        self.answers.setdefault(url, deque()).append((push.response.nonce, "refused by this test" if refuse else None))
        wanted = {u: set(self.names(u)) for u in (EDS, RDS)}
        if not refuse:
            self.versions[url].update({r.name: r.version for r in resources})
            for name in removed:
                self.versions[url].pop(name, None)
        if not refuse or (url in {CDS, EDS} and len(resources) + len(removed) > 1):
            self.apply(url, resources[: len(resources) // 2] if refuse else resources, () if refuse else removed)
        for other in (EDS, RDS):
            self.forget(other, wanted[other] - self.names(other))
            if self.names(other) != wanted[other]:
                self.outbox.append(other)
        # What follows from a response is asked for before it is answered.
        self.outbox.append(url)
        if url == LDS and self.listens and SRDS not in self.asked:
            self.outbox.append(SRDS)

    def apply(self, url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        if url == CDS:
            self.clusters = (self.clusters | {r.name for r in resources}) - set(removed)
        elif url == EDS:
            self.assignments |= {r.name: r for r in resources if r.name in self.clusters}
        elif url == SRDS:
            self.scopes |= {r.name: r.deployment for r in resources}
            self.scopes = {d: n for d, n in self.scopes.items() if d not in removed}
        elif url == RDS:
            self.tables |= {r.name: r for r in resources if r.name in self.names(RDS)}
        else:
            self.listens = True

    def forget(self, url: str, names: set[str]) -> None:
        """What is not wanted any more is forgotten, and asked for once more should it come back."""
        self.again[url] |= names
        for name in names:
            self.versions[url].pop(name, None)
            (self.assignments if url == EDS else self.tables).pop(name, None)


class Routing(RuleBasedStateMachine):
    """Any order of new routes, deliveries, refusals and operator restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.envoy = Envoy()
        self.inbox: deque[Push] = deque()
        self.start()

    def start(self) -> None:
        self.target = Target("team")
        self.stream = Stream(ADDRESS, self.target)
        self.inbox.clear()
        self.envoy.connect()

    @rule(plans=plans())
    def decide(self, plans: Routes) -> None:
        self.change(self.target.set_deployments(frozenset(plans)))
        for name, plan in plans.items():
            self.change(self.target.set_route(name, plan))
        self.write()

    @rule(plans=plans(), name=st.sampled_from(NAMES))
    def decide_about_one(self, plans: Routes, name: str) -> None:
        self.change(self.target.set_deployments(frozenset(NAMES)))
        self.change(self.target.set_route(name, plans.get(name)))
        self.write()

    @rule(name=st.sampled_from(NAMES), drop=st.booleans())
    def keep_or_drop(self, name: str, *, drop: bool) -> None:
        self.change(self.target.drop_route(name) if drop else self.target.keep_route(name, None))
        self.write()

    @rule()
    def restart_the_operator(self) -> None:
        self.start()

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def deliver_a_request(self) -> None:
        self.envoy.tell(self.stream)
        self.write()

    @precondition(lambda self: self.inbox)
    @rule(refuse=st.sampled_from([False, False, False, True]))
    def deliver_a_response(self, *, refuse: bool) -> None:
        listened = self.envoy.listens
        self.envoy.take(self.inbox.popleft(), refuse=refuse)
        assert listened or not self.envoy.listens or self.target.is_complete

    def change(self, change: Change) -> None:
        if change:
            self.stream.touch(change)

    def write(self) -> None:
        self.inbox.extend(self.stream.next_pushes())

    @invariant()
    def routes_lead_to_clusters_that_take_requests(self) -> None:
        for table in self.envoy.tables.values():
            assert table.route
            needed = all_clusters(table.name, table.route)
            assert needed <= self.envoy.clusters
            assert needed <= self.envoy.assignments.keys()

    @invariant()
    def what_is_acknowledged_is_so(self) -> None:
        for name in NAMES:
            known = self.stream.acknowledged(name)
            if known is None:
                continue
            route = self.envoy.tables[name].route
            assert route
            assert (route.decision, {b.model: b.weight for b in route.backends}) == (known.decision, known.weights)
            names = cluster_names(name, route)
            for model, endpoints in known.endpoints.items():
                for cluster in names[model]:
                    told = self.envoy.assignments[cluster].route
                    assert told
                    assert endpoints == next(frozenset(b.endpoints) for b in told.backends if b.model == model)

    def teardown(self) -> None:
        """When nothing changes and nothing is refused any more, the router ends up with what was decided."""
        last = RoutePlan(9, (Backend("a", 100, ("10.0.0.3",)),), None, None)
        self.decide({"last": last})
        for _ in (CDS, EDS, LDS, SRDS, RDS):
            self.settle()
            self.stream.insist()
            self.write()
        self.settle()
        assert {name: table.route for name, table in self.envoy.tables.items()} == {"last": last}
        assert set(self.envoy.scopes) == {"last", "last.team", "last.team.svc", "last.team.svc.cluster.local"}
        assert self.envoy.clusters == all_clusters("last", last)
        known = self.stream.acknowledged("last")
        assert known
        assert (known.decision, known.weights) == (9, {"a": 100})
        assert known.endpoints == {"a": frozenset({"10.0.0.3"})}
        assert not self.stream.is_refused

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
    assert Stream(ADDRESS, Target("team")).receive("type.googleapis.com/other", Request()) == frozenset()
