"""What a router has follows from what it answers, resource by resource."""

from itertools import count

from kingmaker.routing.channel import Channel, Request, Response
from kingmaker.routing.resources import Resource


def resource(name: str, text: str = "1") -> Resource:
    return Resource.of(name, text.encode(), deployment=name)


class Router:
    """A channel and the responses that were sent on it."""

    def __init__(self, channel: Channel, *names: str, versions: dict[str, str] | None = None) -> None:
        self.channel = channel
        self.nonces = map(str, count())
        channel.receive(Request(frozenset(names), versions=versions or {}))

    def take(self, *wanted: Resource) -> list[Response]:
        for each in wanted:
            self.channel.want(each.name, each)
        return self.channel.take(self.nonces, may_be_empty=False)

    def answer(self, response: Response, error: str | None = None) -> set[str]:
        return self.channel.receive(Request(nonce=response.nonce, error=error))


def names(responses: list[Response]) -> list[list[str]]:
    return [[r.name for r in response.resources] for response in responses]


def test_what_is_new_is_sent_once() -> None:
    router = Router(Channel(wildcard=True))
    (first,) = router.take(resource("a"), resource("b"))
    assert names([first]) == [["a", "b"]]
    assert router.take(resource("a"), resource("b")) == []
    assert router.answer(first) == {"a", "b"}
    assert router.take(resource("a"), resource("b")) == []
    assert names(router.take(resource("a", "2"), resource("b"))) == [["a"]]


def test_a_router_that_comes_back_is_sent_differences_alone() -> None:
    held = {name: resource(name).version for name in ("a", "b")}
    router = Router(Channel(wildcard=True), versions=held)
    assert names(router.take(resource("a"), resource("b", "2"))) == [["b"]]
    assert router.channel.has("a", resource("a"))


def test_what_is_not_answered_may_be_one_thing_or_another() -> None:
    router = Router(Channel(wildcard=True))
    first, second = resource("a"), resource("a", "2")
    router.answer(*router.take(first))
    (response,) = router.take(second)
    assert set(router.channel.possible("a")) == {first, second}
    assert not router.channel.has("a", second)
    router.answer(response)
    assert router.channel.possible("a") == (second,)


def test_a_refused_resource_does_not_hold_up_those_sent_with_it() -> None:
    router = Router(Channel(wildcard=True))
    good, bad = resource("good"), resource("bad")
    (both,) = router.take(good, bad)
    router.answer(both, "something is wrong")
    assert not router.channel.has("good", good)
    one, other = router.take(good, bad)
    assert names([one, other]) == [["good"], ["bad"]]
    router.answer(one)
    router.answer(other, "bad is wrong")
    assert router.channel.has("good", good)
    assert (router.channel.error("good"), router.channel.error("bad")) == (None, "bad is wrong")


def test_what_was_refused_is_sent_again_when_it_changes_or_on_demand() -> None:
    router = Router(Channel(wildcard=True))
    (response,) = router.take(resource("a"))
    router.answer(response, "no")
    assert router.take(resource("a")) == []
    assert router.channel.insist() == {"a"}
    (again,) = router.take(resource("a"))
    router.answer(again, "no")
    (changed,) = router.take(resource("a", "2"))
    router.answer(changed)
    assert router.channel.error("a") is None
    assert not router.channel.is_refused


def test_who_goes_back_to_what_a_router_has_mends_the_refusal() -> None:
    router = Router(Channel(wildcard=True))
    router.answer(*router.take(resource("a")))
    router.answer(*router.take(resource("a", "2")), "no")
    assert router.channel.is_refused
    assert router.take(resource("a")) == []
    assert not router.channel.is_refused


def test_only_names_that_were_asked_for_are_sent() -> None:
    router = Router(Channel(wildcard=False), "a")
    assert names(router.take(resource("a"), resource("b"))) == [["a"]]


def test_who_asks_again_is_sent_again_and_earlier_answers_say_nothing() -> None:
    router = Router(Channel(wildcard=False), "a")
    (early,) = router.take(resource("a"))
    router.channel.receive(Request(frozenset({"a"})))
    (late,) = router.take(resource("a"))
    assert router.answer(early) == set()
    assert not router.channel.has("a", resource("a"))
    router.answer(late)
    assert router.channel.has("a", resource("a"))


def test_nobody_remembers_what_is_gone() -> None:
    router = Router(Channel(wildcard=True))
    router.answer(*router.take(resource("a")))
    router.channel.want("a", None)
    (response,) = router.channel.take(router.nonces, may_be_empty=False)
    assert response.removed == ("a",)
    router.answer(response)
    assert list(router.channel.names) == []


def test_a_first_answer_is_due_even_if_there_is_nothing_to_say() -> None:
    router = Router(Channel(wildcard=True))
    assert router.channel.take(router.nonces, may_be_empty=False) == []
    (empty,) = router.channel.take(router.nonces, may_be_empty=True)
    assert (empty.resources, empty.removed) == ((), ())
    assert router.channel.take(router.nonces, may_be_empty=True) == []


def test_a_single_type_is_sent_one_by_one() -> None:
    router = Router(Channel(wildcard=False, single=True), "a", "b")
    assert names(router.take(resource("a"), resource("b"))) == [["a"], ["b"]]
