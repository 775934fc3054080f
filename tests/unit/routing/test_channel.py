"""What a router has follows from what it answers, also when one request answers several responses."""

from kingmaker.routing.channel import Channel, Sent
from kingmaker.routing.snapshot import CDS, EDS, Backend, Endpoint, Resources, Route, Snapshot, build_snapshot
from kingmaker.routing.stream import Stream

NOBODY = build_snapshot([])
NAMES = frozenset(["requests"])


def sent(number: int) -> Sent:
    return Sent(str(number), Resources({}, f"v{number}"), NOBODY)


def a_channel(*responses: int) -> Channel:
    """A channel with the responses sent, none of them answered."""
    channel = Channel()
    channel.receive(version="", nonce="", names=NAMES, error=None)
    for number in responses:
        channel.send(sent(number))
    return channel


def test_an_answer_settles_all_before_it() -> None:
    channel = a_channel(1, 2, 3)
    assert channel.receive(version="v2", nonce="2", names=NAMES, error=None)
    assert (channel.accepted, list(channel.pending)) == (sent(2), [sent(3)])


def test_a_refusal_leaves_what_was_accepted_before() -> None:
    channel = a_channel(1, 2)
    channel.receive(version="v1", nonce="1", names=NAMES, error=None)
    assert channel.receive(version="v1", nonce="2", names=NAMES, error="no")
    assert (channel.accepted, channel.error) == (sent(1), "no")


def test_a_refusal_that_also_answers_an_acceptance() -> None:
    channel = a_channel(1, 2)
    channel.receive(version="v1", nonce="2", names=NAMES, error="no")
    assert (channel.accepted, channel.error) == (sent(1), "no")


def test_an_acceptance_that_also_answers_a_refusal() -> None:
    channel = a_channel(1, 2)
    channel.receive(version="v2", nonce="2", names=NAMES, error="no to the first")
    assert channel.accepted == sent(2)


def test_an_unknown_nonce_settles_nothing() -> None:
    channel = a_channel(1)
    assert not channel.receive(version="v0", nonce="of another stream", names=NAMES, error=None)
    assert channel.accepted is None


def test_other_names_ask_for_an_answer() -> None:
    channel = a_channel(1)
    channel.receive(version="v1", nonce="1", names=NAMES, error=None)
    assert not channel.wants(sent(1).resources)
    channel.receive(version="v1", nonce="1", names=NAMES | {"more"}, error=None)
    assert channel.wants(sent(1).resources)


def test_endpoints_follow_clusters_that_come_back_unasked() -> None:
    def snapshot(*deployments: str) -> Snapshot:
        backends = (Backend("a", 100, (Endpoint("10.0.0.1"),)),)
        return build_snapshot(Route("team", name, 1, None, backends) for name in deployments)

    stream = Stream("10.1.2.3")
    one, two = snapshot("churn"), snapshot("churn", "fraud")
    for names in (one, two):
        stream.retarget(names)
    stream.receive(CDS, version="", nonce="", names=frozenset(), error=None)
    (clusters,) = stream.next_pushes()
    stream.receive(CDS, version=clusters.resources.version, nonce=clusters.nonce, names=frozenset(), error=None)
    both = frozenset(two.clusters.items)
    stream.receive(EDS, version="", nonce="", names=both, error=None)
    (endpoints,) = stream.next_pushes()
    stream.receive(EDS, version=endpoints.resources.version, nonce=endpoints.nonce, names=both, error=None)

    # The router is too busy to say that it let one go, before that comes back with the same endpoints.
    stream.retarget(one)
    assert [p.type_url for p in stream.next_pushes()] == [CDS, EDS]
    stream.retarget(two)
    assert [p.type_url for p in stream.next_pushes()] == [CDS, EDS]
