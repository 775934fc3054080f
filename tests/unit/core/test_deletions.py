"""What goes on while people delete what is in use."""

from support.world import World, a_model, a_spec


def test_a_model_that_is_deleted_in_use_goes_on_serving() -> None:
    world = World(a_spec(), {"a": a_model("a", "a")}).settle()
    route = world.route
    del world.models["a"]
    world.settle()
    assert world.route == route
    assert not world.deletes
    assert world.condition("ChampionAvailable")["status"] == "True"
    world.models["a"] = a_model("a", "a")
    world.settle()
    assert (world.route, len(world.records)) == (route, 1)


def test_a_challenger_whose_model_is_deleted_leaves_the_contest_and_the_champion_has_all_requests() -> None:
    challengers = [{"name": "b", "modelRef": {"name": "b"}, "weight": 20}]
    world = World(a_spec(challengers=challengers), {"a": a_model("a", "a"), "b": a_model("b", "b")}).settle()
    assert world.weights == {"a": 80, "b": 20}
    del world.models["b"]
    world.settle()
    assert sum(world.weights.values()) == 100
    assert world.condition("Ready")["status"] == "True"
