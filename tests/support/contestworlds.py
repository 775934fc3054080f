"""Worlds with a champion `a` and a challenger `b`, and ways through the stages of their contest."""

from typing import Any

from support.world import World, a_model, a_spec


def a_world(**spec: Any) -> World:
    """Models `a` and `b` of one family."""
    models = {"a": a_model("a", "a"), "b": a_model("b", "b", labels={"team": "x"})}
    return World(spec=a_spec(**spec), models=models)


def a_contest(**spec: Any) -> World:
    """The champion serves and `b` is in its first stage."""
    world = a_world(challengers=[{"name": "next", "modelRef": {"name": "b"}}], **spec)
    return world.settle()


def through_shadow(world: World) -> World:
    """`b` is better in copies."""
    world.shadow("a", "b", 200, champion_wrong=20, challenger_wrong=2)
    return world.wait(11)


def through_canary(world: World) -> World:
    """`b` is better on its 5 percent."""
    world.answer("a", 1900, wrong=190)
    world.answer("b", 100, wrong=2)
    return world.wait(11)
