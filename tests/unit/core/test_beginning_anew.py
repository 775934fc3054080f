"""An operator that begins anew knows less than before, and tells nobody that anything changed."""

from support.world import World, a_model, a_spec


def a_world() -> World:
    return World(a_spec(), {"a": a_model("a", "a"), "b": a_model("b", "b")}).settle()


def test_routers_that_said_nothing_yet_are_taken_to_do_as_before() -> None:
    world = a_world()
    before = world.status
    world.frozen = world.settling = True
    assert world.step().status is None
    assert world.status == before


def test_who_stays_silent_is_told_once_there_was_time() -> None:
    world = a_world()
    world.frozen = True
    world.step()
    assert world.condition("RouterConfigured")["reason"] == "RouterPending"


def test_what_was_decided_since_was_never_acknowledged() -> None:
    world = a_world()
    world.frozen = world.settling = True
    world.edit(championRef={"name": "b"})
    world.settle()
    assert len(world.records) == 2
    assert world.condition("RouterConfigured")["status"] == "False"
